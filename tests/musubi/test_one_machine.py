"""The one-machine mode as a user meets it: the installed command, in its own process and folder."""

import json
import logging
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from common.clock import rfc3339, utc_now
from musubi import one_machine, run_file
from tests.brokers import Broker
from tests.musubi.machine import MUSUBI, Process

Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("up")` runs the command in the test's own folder; whatever still runs at the end is stopped."""
    started: list[Process] = []

    def begin(*arguments: str, **settings: str) -> Process:
        started.append(Process(tmp_path, *arguments, **settings))
        return started[-1]

    yield begin
    for process in started:
        if process.process.poll() is None:
            process.stop()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One `musubi up` for the tests that only look at it or publish something of their own; its folder is `machine.home`."""
    process = Process(tmp_path_factory.mktemp("machine"), "up").says("ready")
    yield process
    process.stop()


def musubi(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MUSUBI, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def municipality(subject: str, name: str) -> str:
    """A partner's event, as a line."""
    data = {"names": {"en": name}, "country": "JP", "timezone": "Asia/Tokyo", "languages": ["ja"]}
    event = {
        "specversion": "1.0", "id": f"id-{subject}", "source": "https://partner.example", "subject": subject,
        "type": "municipality.submitted.v1", "time": rfc3339(utc_now()), "data": data,
    }  # fmt: skip
    return json.dumps(event)


def names_of_municipalities(address: str) -> set[str]:
    names: set[str] = set()
    query: dict[str, str | int] = {"limit": 100}
    while True:
        answer = httpx.get(f"{address}/api/needs/v1/municipalities", params=query, trust_env=False).json()
        names |= {item["names"]["en"] for item in answer["items"]}
        if not answer["next"]:
            return names
        query["cursor"] = answer["next"]


def test_the_demo_shows_what_is_stored_and_cleans_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [MUSUBI, "demo", "--once", "--json"], cwd=tmp_path, env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["needs"] >= 60 and said["offerings"] >= 60
    assert min(said["proposals"], said["notifications"], said["mails"]) > 0
    assert said["seconds"]["ready"] < said["seconds"]["loaded"] < said["seconds"]["mailed"] < said["seconds"]["stopped"]
    assert list(tmp_path.iterdir()) == []


def test_loading_the_examples_again_changes_nothing_and_says_so(start: Start) -> None:
    first = start("demo")
    happened = first.says(r"mails were written\.").output.splitlines()
    sentence = next(line for line in happened if "mails were written" in line)
    for role in ("officer", "company", "office", "secretariat", "operator"):
        first.says(rf"{role}\s+\S.*\n\s+http://127\.0\.0\.1:\d+/sign-in/")
    first.says("Ctrl-C")
    assert first.stop() == 0
    again = start("demo").says("nothing changed").says("Ctrl-C")
    assert sentence in again.output


def test_what_was_stored_is_there_after_a_stop_and_after_a_kill(start: Start, tmp_path: Path) -> None:
    machine = start("up").says("ready")
    (tmp_path / "a.ndjson").write_text(municipality("a", "Alpha"))
    assert musubi(tmp_path, "publish", "a.ndjson").returncode == 0
    assert machine.stop() == 0
    assert "will be there next time" in machine.output
    assert run_file.find(machine.folder) is None and not (machine.folder / run_file.FILE).exists()

    machine = start("up").says("ready")
    (tmp_path / "b.ndjson").write_text(municipality("b", "Beta"))
    assert musubi(tmp_path, "publish", "b.ndjson").returncode == 0
    old_key = machine.running.key
    machine.kill()

    machine = start("up").says("ready")
    assert names_of_municipalities(machine.running.address) == {"Alpha", "Beta"}
    with_old_key = httpx.post(
        f"{machine.running.address}/api/needs/v1/events", json=[], headers={"Authorization": f"Bearer {old_key}"}, trust_env=False
    )
    assert with_old_key.status_code in (401, 403)


def test_a_second_one_on_the_same_folder_says_who_holds_it(machine: Process) -> None:
    second = musubi(machine.home, "up", "--port", "0")
    assert second.returncode == 1
    assert str(machine.process.pid) in second.stderr and machine.running.address in second.stderr
    assert "Traceback" not in second.stderr


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = musubi(tmp_path, "up", "--port", port)
    assert done.returncode == 1
    assert f"Port {port} is taken" in done.stderr and "--port 0" in done.stderr


def test_each_bad_line_is_named_and_the_good_ones_are_accepted(machine: Process) -> None:
    negative = json.loads(municipality("n", "Negative"))
    negative["data"]["population"] = -5
    unknown = {**json.loads(municipality("u", "Unknown")), "type": "municipality.submitted.v9"}
    lines = [municipality("a", "Alpha"), "no json", json.dumps(negative), json.dumps(unknown), "17", municipality("b", "Beta")]
    (machine.home / "mixed.ndjson").write_text("\n".join(lines))

    done = musubi(machine.home, "publish", "mixed.ndjson", "--json")
    results = {said["number"]: said for said in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert {number: said["status"] for number, said in results.items()} == {
        1: "accepted", 2: "unreadable", 3: "refused", 4: "refused", 5: "refused", 6: "accepted",
    }  # fmt: skip
    assert results[3]["errors"][0]["pointer"] == "/data/population"
    assert results[4]["errors"][0]["pointer"] == "/type"
    assert names_of_municipalities(machine.running.address) >= {"Alpha", "Beta"}

    for_people = musubi(machine.home, "publish", "mixed.ndjson").stdout.splitlines()
    assert len(for_people) == 6
    assert for_people[0].split("\t")[2] == "repeat"
    assert "/data/population" in for_people[2]


def test_more_than_a_request_holds_is_sent_in_several(machine: Process) -> None:
    (machine.home / "many.ndjson").write_text("\n".join(municipality(f"c{n}", f"City {n}") for n in range(250)))
    done = musubi(machine.home, "publish", "many.ndjson")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 250
    assert "250 accepted" in done.stderr


def test_only_this_machine_and_only_the_owner_can_reach_it(machine: Process) -> None:
    port = int(machine.running.address.rpartition(":")[2])
    assert stat.S_IMODE((machine.folder / run_file.FILE).stat().st_mode) == 0o600
    for name, mode in {"postgres": 0o700, "mails": 0o700, "musubi.log": 0o600}.items():
        assert stat.S_IMODE((machine.folder / name).stat().st_mode) == mode
    listening = {
        line.split()[1]
        for path in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(path).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    }
    assert listening == {f"0100007F:{port:04X}"}
    foreign = httpx.get(machine.running.address, headers={"Host": "musubi.attacker.example"}, trust_env=False)
    assert foreign.status_code == 403


def test_what_libraries_warn_of_stands_in_the_log_as_json_too(tmp_path: Path) -> None:
    (tmp_path / "musubi.log").touch(mode=0o644)
    with one_machine._log_file(tmp_path):
        logging.getLogger("some.library").warning(
            "Unable to connect to %s", "127.0.0.1:1"
        )  # commands hush aiokafka where they run
    log = tmp_path / "musubi.log"
    (line,) = map(json.loads, log.read_text().splitlines())
    assert (line["level"], line["message"], line["service"]) == ("WARNING", "Unable to connect to 127.0.0.1:1", "musubi")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_status_and_new_links_come_from_the_running_one(machine: Process) -> None:
    status = json.loads(musubi(machine.home, "status", "--json").stdout)
    assert (status["running"], status["address"], status["pid"]) == (True, machine.running.address, machine.process.pid)
    assert set(status["services"]) == {"needs", "catalog", "matching", "notify"}
    links = json.loads(musubi(machine.home, "links", "--json").stdout)
    assert [link["role"] for link in links] == ["office", "secretariat", "operator"]
    for link in links:
        assert httpx.get(link["url"], trust_env=False).status_code == 200


async def test_a_services_role_cannot_read_anothers_tables(machine: Process) -> None:
    connection = await asyncpg.connect(machine.running.postgres["needs"])
    try:
        for table in ("catalog.offering", "matching.match", "notify.delivery", "identity.session"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select * from {table}")
        assert await connection.fetch("select * from identity.live_sessions") == []
    finally:
        await connection.close()


@pytest.mark.kafka
async def test_a_kafka_and_a_postgresql_that_are_named_are_used_instead(start: Start, real_kafka: Broker, postgres: str) -> None:
    demo = start("demo", MUSUBI_KAFKA=real_kafka.address, MUSUBI_POSTGRES=postgres).says(r"mails were written\.").says("Ctrl-C")
    assert demo.stop() == 0
    assert not (demo.folder / "postgres").exists()
    connection = await asyncpg.connect(postgres)
    needs, notified = await connection.fetchrow(
        "select (select count(*) from needs.need), (select count(*) from notify.notification)"
    )
    await connection.close()
    assert f"{needs} needs of cities" in demo.output and f"{notified} notifications" in demo.output
    assert needs >= 60 and notified > 0
