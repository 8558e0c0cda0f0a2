"""What `musubi doctor` says when all is well, and of each thing that is not: what it is, and what mends it."""

# pyright: reportPrivateImportUsage=false
# (as in `musubi.topic_rights`)

import asyncio
import json
import subprocess
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from common.clock import utc_now
from common.kafka_login import NOBODY
from musubi import cli, doctor, doctor_around, doctor_kafka, embedded_postgres, places, roles, topics
from musubi.doctor_findings import Finding, failed, merged, well, within
from musubi.embedded_kafka import EmbeddedBroker
from musubi.embedded_postgres import EmbeddedPostgres
from tests.brokers import Broker
from tests.eventually import eventually
from tests.musubi.doctors import NOWHERE, told
from tests.musubi.machine import MUSUBI, Process, as_running
from tests.proxy import Mode, Proxy

OF_NO_USE_YET = ("holiday years", "fonts")
TOPICS_FIX = "run `musubi topics apply`"

pytestmark = pytest.mark.usefixtures("nothing_said")


async def migrated(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring all schemas up to date, and let the doctor look here."""
    monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
    assert await asyncio.to_thread(cli.main, ["migrate"]) == 0


def test_all_is_well_where_musubi_runs_and_nothing_where_it_has_ended(tmp_path: Path) -> None:
    machine = Process(tmp_path, "up").says("Musubi is ready")

    def asked() -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [MUSUBI, "doctor", "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout)

    try:
        code, said = asked()
        for _ in range(10):  # pages answer a moment before matching's engine is checked and its partitions are there
            if code == 0:
                break
            code, said = asked()
        found = {(one["check"], one["state"]) for one in said["checks"]}
        assert (code, said["well"]) == (0, True)
        assert found == {(check, "left out") for check in ("rights", "sign-in", *OF_NO_USE_YET)} | {
            (check, "well")
            for check in ("settings", "broker", "topics", "database", "migrations", "services", "mail", "clock", "time zones")
        }  # fmt: skip
    finally:
        machine.stop()
    code, said = asked()
    failures = {one["check"]: one["fix"] for one in said["checks"] if one["state"] == "failed"}
    assert (code, said["well"], set(failures)) == (1, False, {"broker", "database"})
    assert all("`musubi up`" in fix for fix in failures.values())
    left_out = {one["check"] for one in said["checks"] if one["state"] == "left out"}
    assert left_out == {"topics", "rights", "migrations", "services", "sign-in", "clock", *OF_NO_USE_YET}


@pytest.mark.kafka
async def test_all_is_well_with_a_kafka_and_a_postgresql_of_ones_own(
    postgres: str, real_kafka: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await migrated(postgres, monkeypatch)
    monkeypatch.setenv("MUSUBI_KAFKA", real_kafka.address)
    capsys.readouterr()
    assert await asyncio.to_thread(cli.main, ["doctor", "--folder", str(NOWHERE)]) == 0
    printed = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert lines[-1] == "All is well."
    assert f"well topics {len(topics.ALL_TOPICS)} topics, as the registry says" in lines
    assert "well clock that of the broker is the same as here" in lines
    assert "\x1b" not in printed


async def test_a_topic_that_is_missing_is_named(postgres: str, tmp_path: Path) -> None:
    some = EmbeddedBroker.with_topics((t.name, t.partitions) for t in topics.ALL_TOPICS if t.name != "needs.needs")
    try:
        with as_running(tmp_path, postgres, Broker(some.address, some.incarnation, "embedded", some)) as folder:
            (found,) = (await told(folder))["topics"]
            assert (found.state, found.found) == ("failed", "missing: needs.needs")
            (found,) = (await told(folder, ("catalog",)))["topics"]  # which has nothing to do with it
            assert found.state == "well"
    finally:
        some.stop()


@pytest.mark.kafka
async def test_a_topic_that_is_not_kept_as_its_contract_says_is_named_with_the_command_that_mends_it(
    real_kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSUBI_KAFKA", real_kafka.address)
    admin = AdminClient({"bootstrap.servers": real_kafka.address, "log_level": 0})
    for gone in admin.delete_topics(["dead-letters", "needs.needs"], operation_timeout=15).values():
        gone.result()

    async def made_by_somebody_else() -> bool:
        made = admin.create_topics([NewTopic("needs.needs", 1, config={"cleanup.policy": "delete"})])["needs.needs"]
        return made.exception() is None

    await eventually(made_by_somebody_else)

    async def look() -> list[Finding]:
        return (await told())["topics"]

    by_fix = {finding.fix: finding.found for finding in await eventually(look, lambda found: len(found) == 3)}
    assert by_fix.pop(TOPICS_FIX) == "missing: dead-letters"
    (partitions, few), (configs, kept) = sorted(by_fix.items(), reverse=True)
    assert "but 1" in few and "kafka-topics.sh" in partitions and "--topic needs.needs --partitions 4" in partitions
    assert "cleanup.policy delete" in kept
    assert "--add-config cleanup.policy=compact,min.compaction.lag.ms=604800000" in configs


async def test_what_was_not_migrated_is_named_and_then_all_is_well(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
    (found,) = (await told())["migrations"]
    assert (found.found, found.fix) == ("there is no schema of that name", "run `musubi migrate`")
    assert found.of == "needs, catalog, matching, notify, identity"
    await migrated(postgres, monkeypatch)
    assert {finding.state for finding in (await told())["migrations"]} == {"well"}
    connection = await asyncpg.connect(postgres)
    try:
        await connection.execute("delete from notify.migration where name like 'notify/%'")
        await connection.execute("update catalog.migration set checksum = 'another' where name like 'catalog/%'")
        sick = {finding.of: finding for finding in (await told())["migrations"] if finding.state == "failed"}
    finally:
        await connection.close()
    assert set(sick) == {"catalog", "notify"}
    assert sick["notify"].found.startswith("not applied: notify/0001")
    assert "was changed" in sick["catalog"].found and "the version of Musubi" in sick["catalog"].fix


async def test_a_role_that_may_not_use_a_schema_is_named(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrated(postgres, monkeypatch)
    role = f"somebody_{uuid.uuid4().hex[:8]}"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create role {role} login")
    try:
        await connection.execute(f"grant all on schema needs to {role}; grant all on all tables in schema needs to {role}")
        await connection.execute(f"grant usage on schema catalog to {role}")
        monkeypatch.setenv("MUSUBI_POSTGRES", postgres.replace("//postgres@", f"//{role}@"))
        by_schema = {of: one for one in (await told())["migrations"] for of in one.of.split(", ")}
    finally:
        await connection.execute(f"drop owned by {role}")
        await connection.execute(f"drop role {role}")
        await connection.close()
    assert {of for of, one in by_schema.items() if one.state == "well"} == {"needs", "identity"}
    assert f"role {role} may not use the schema" in by_schema["matching"].found
    assert f"role {role} may not look into it" in by_schema["catalog"].found
    assert "--service" in by_schema["catalog"].fix


def ask_for_passwords(server: EmbeddedPostgres) -> None:
    """From now on it lets nobody in by TCP without one."""
    (server.folder / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")


async def test_wrong_passwords_roles_and_databases_are_told_apart(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"listen_addresses": "127.0.0.1", "port": str(free_port), "fsync": "off"}
    with embedded_postgres.temporary(settings=settings) as server:
        connection = await asyncpg.connect(f"{server.dsn()}&port={free_port}")
        ask_for_passwords(server)
        await connection.execute("select pg_reload_conf()")
        await connection.execute("create role somebody login password 'right'")
        await connection.execute("create database ascii encoding 'SQL_ASCII' locale_provider libc locale 'C' template template0")
        await connection.close()

        async def look(user: str, database: str) -> Finding:
            monkeypatch.setenv("MUSUBI_POSTGRES", f"postgresql://{user}@127.0.0.1:{free_port}/{database}")
            (found,) = (await told())["database"]
            return found

        assert "the right password" in (await look("somebody:wrong", "postgres")).fix
        assert "createdb" in (await look("somebody:right", "nothing")).fix
        assert "no Japanese" in (await look("somebody:right", "ascii")).found
        assert (await look("somebody:right", "postgres")).state == "well"
        assert "wrong" not in str(await look("somebody:wrong", "postgres"))


async def test_whatever_falls_silent_is_told_in_time(
    postgres: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Proxy(mode=Mode.SILENT) as proxy:
        monkeypatch.setenv("MUSUBI_KAFKA", proxy.address)
        monkeypatch.setenv("MUSUBI_POSTGRES", f"postgresql://somebody@{proxy.address}/musubi")
        monkeypatch.setenv("MUSUBI_SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("MUSUBI_SMTP_PORT", str(proxy.port))
        monkeypatch.setenv("MUSUBI_OIDC_ISSUER", f"http://{proxy.address}")
        monkeypatch.setenv("MUSUBI_OIDC_CLIENT_ID", "musubi")
        for name in roles.SERVICES:
            monkeypatch.setenv(f"MUSUBI_URL_{name.upper()}", f"http://{proxy.address}")
        begun = time.monotonic()
        code, (embedded, *_) = await asyncio.gather(
            asyncio.to_thread(cli.main, ["doctor", "--json", "--folder", str(NOWHERE)]),
            doctor_kafka.examined(places.Kafka(proxy.address, "a life"), NOBODY, roles.SERVICES, utc_now),
        )
        assert code == 1
        assert time.monotonic() - begun < 12
    checks = json.loads(capsys.readouterr().out)["checks"]
    failures = {one["check"]: one for one in checks if one["state"] == "failed"}
    assert sorted(one["of"] for one in checks if one["check"] == "services") == sorted(roles.SERVICES)
    assert set(failures) == {"broker", "database", "mail", "services", "sign-in"}
    assert all(one["fix"] for one in failures.values())
    assert failures["database"]["of"] == "needs, catalog, matching, notify, identity"
    assert "MUSUBI_KAFKA" in failures["broker"]["fix"]
    assert "Ctrl-C" in embedded.fix and "MUSUBI_KAFKA" not in embedded.fix


async def test_where_nobody_listens_each_is_told_once(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_KAFKA", f"127.0.0.1:{free_port}")
    monkeypatch.setenv("MUSUBI_POSTGRES", f"postgresql://somebody@127.0.0.1:{free_port}/musubi")
    found = await told()
    for check in ("broker", "database"):
        assert [one.found for one in found[check]] == [f"nothing listens at 127.0.0.1:{free_port}"]
    assert {one.state for check in ("topics", "rights", "migrations", "clock") for one in found[check]} == {"left out"}


@pytest.mark.kafka
async def test_a_clock_that_is_wrong_is_told(postgres: str, real_kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSUBI_KAFKA", real_kafka.address)
    monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
    found = (await told(clock=lambda: utc_now() + timedelta(minutes=20)))["clock"]
    assert [one.state for one in found] == ["failed", "failed"]
    assert {one.found for one in found} == {
        "that of the broker is 20 min behind ours", "that of PostgreSQL is 20 min behind ours"
    }  # fmt: skip
    found = (await told(clock=lambda: utc_now() - timedelta(seconds=5)))["clock"]
    assert all("ahead of ours" in one.found and "NTP" in one.fix for one in found)


def test_a_time_zone_that_is_not_known_here_is_named() -> None:
    (found,) = doctor_around.unknown_zones(["Asia/Tokyo", "Asia/Nowhere", "../etc/passwd"])
    assert (found.state, found.found) == ("failed", "not known here: ../etc/passwd, Asia/Nowhere")
    assert "tzdata" in found.fix


async def test_a_check_that_hangs_or_breaks_hides_no_other() -> None:
    async def hang() -> list[Finding]:
        await asyncio.Event().wait()
        return []

    async def stumble() -> list[Finding]:
        raise KeyError("what is this")

    (hanging,), (broken,) = await asyncio.gather(within(0.05, "broker", hang()), within(1, "database", stumble()))
    assert (hanging.check, hanging.state, "no answer within" in hanging.found) == ("broker", "failed", True)
    assert (broken.check, broken.state, "KeyError in test_doctor.py" in broken.found) == ("database", "failed", True)
    assert "what is this" not in str(broken)  # it might be a piece of a password


def test_what_is_the_same_for_several_services_is_told_once() -> None:
    three = [failed("database", "away", "start it", of="needs"), failed("database", "away", "start it", of="catalog")]
    assert merged([*three, well("mail", "fine")]) == [three[0]._replace(of="needs, catalog"), well("mail", "fine")]


def test_a_failure_and_its_fix_are_one_line() -> None:
    lines = [line.plain for line in doctor.in_words([failed("topics", "missing: x\x1b[2J", "run it"), well("mail", "fine")])]
    assert lines == ["failed    topics  missing: x�[2J. To mend it: run it.", "well      mail    fine", "1 to mend."]


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
async def test_colours_are_for_terminals_and_only_where_they_are_wanted(
    no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"TERM": "xterm", "FORCE_COLOR": "1", "NO_COLOR": no_color}.items():
        monkeypatch.setenv(name, value)
    assert await asyncio.to_thread(cli.main, ["doctor", "--folder", str(NOWHERE)]) == 1
    assert ("\x1b[" in capsys.readouterr().out) is coloured
