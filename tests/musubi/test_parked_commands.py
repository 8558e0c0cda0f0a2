"""The operator's commands on what is held back, tried on a running Musubi with the installed command."""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from common.messaging.message import Event, to_headers
from common.operating.held import Cause, EventId, RecordId
from musubi import editor, held_lists, held_names
from musubi.advice import CannotGoOn
from musubi.held_names import RecordName
from musubi.tables import table
from tests.eventually import eventually
from tests.facts import event_of, need_posted
from tests.musubi.machine import MUSUBI, Process

STEER = "\x1b[2J\x9b"
"""What would clear a terminal."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One `musubi up` for all of these; each test uses keys of its own."""
    process = Process(tmp_path_factory.mktemp("operated"), "up").says("ready")
    yield process
    process.stop()


class Operator:
    """Somebody at a terminal in the machine's folder."""

    def __init__(self, machine: Process) -> None:
        self.machine = machine

    def does(self, *arguments: str, code: int = 0, text: str = "", **settings: str) -> str:
        """Run a command of `musubi`, and return what it printed; it must leave with this code, and never with a traceback."""
        done = subprocess.run(
            [MUSUBI, *arguments], cwd=self.machine.home, capture_output=True, text=True, timeout=60, check=False, input=text,
            env={name: value for name, value in os.environ.items() if not name.startswith("MUSUBI_")} | settings,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert (done.returncode, "Traceback" in said) == (code, False), said
        return said

    def sees(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.does(*arguments, "--json"))

    def cause_of(self, service: str, word: str) -> dict[str, Any]:
        """The one cause that this service holds something for and whose line has this word in it."""
        (held,) = self.sees("parked", "list", "--service", service)["services"]
        (found,) = [row for row in (*held["events"], *held["records"]) if word in json.dumps(row)]
        return found


@pytest.fixture
def operator(machine: Process) -> Operator:
    return Operator(machine)


async def write(machine: Process, topic: str, key: bytes, body: bytes, headers: list[tuple[str, bytes]]) -> None:
    """Put a record into partition 0 of a topic, as it is."""
    producer = AIOKafkaProducer(bootstrap_servers=machine.running.kafka)
    await producer.start()
    try:
        await producer.send_and_wait(topic, body, key=key, partition=0, headers=headers)
    finally:
        await producer.stop()


def bad_need(key: str, *, sequence: int = 1, **changed: Any) -> Event:
    """A need whose quantity is no number above 0, unless it is changed otherwise."""
    event = event_of(need_posted(key), sequence)
    return event._replace(body=json.dumps(json.loads(event.body) | ({"quantity": -5} | changed)).encode())


async def arrives(machine: Process, event: Event) -> None:
    await write(machine, event.topic, event.key.encode(), event.body, to_headers(event))


@pytest.fixture
async def matching(machine: Process) -> AsyncIterator[asyncpg.Connection]:
    """matching's own tables."""
    connection = await asyncpg.connect(machine.running.postgres["matching"], server_settings={"search_path": "matching"})
    yield connection
    await connection.close()


async def is_held(matching: asyncpg.Connection, key: str, amount: int = 1) -> None:
    """Wait until events of this key are parked."""
    sql = "select count(*) from parked where key = $1 and reason in ('poison', 'behind')"
    await eventually(lambda: matching.fetchval(sql, key), lambda found: found == amount, what=f"{key} to be parked")


async def is_known(matching: asyncpg.Connection, key: str) -> None:
    """Wait until matching has taken in the need."""
    await eventually(lambda: matching.fetchval("select count(*) from need where id = $1", key), what=f"{key} to take effect")


async def test_what_is_held_is_listed_by_cause_with_counts_and_then_one_by_one(
    machine: Process, operator: Operator, matching: asyncpg.Connection
) -> None:
    for key in ("listed-1", "listed-2"):
        await arrives(machine, bad_need(key, quantity=3, deadline="never"))
        await is_held(matching, key)
    found = operator.cause_of("matching", "/deadline")
    assert (found["topic"], found["reason"], found["what"], found["amount"]) == ("needs.needs", "poison", "/deadline", 2)
    said = operator.does("parked", "list", "--service", "matching")
    line = next(line for line in said.splitlines() if "/deadline" in line)
    assert line.split()[:5] == [found["cause"], "needs.needs", "poison", "/deadline", "2"]
    one_by_one = operator.does("parked", "list", "--cause", found["cause"])
    assert "needs.needs:listed-1:1" in one_by_one and "needs.needs:listed-2:1" in one_by_one
    by_place = operator.sees("parked", "list", "--cause", "/deadline", "--service", "matching")["services"][0]["events"]
    assert [event["name"] for event in by_place] == ["needs.needs:listed-1:1", "needs.needs:listed-2:1"]
    assert "needs: nothing is held" in operator.does("parked", "list")


async def test_one_event_is_shown_with_place_reason_and_content(
    machine: Process, operator: Operator, matching: asyncpg.Connection
) -> None:
    await arrives(machine, bad_need("shown", title={"en": f"Title {STEER}"}))
    await is_held(matching, "shown")
    said = operator.does("parked", "show", "matching", "needs.needs:shown:1")
    assert "/quantity" in said and '"quantity": -5' in said and "need.posted.v1" in said
    assert not set(STEER[:1] + STEER[-1]) & set(said)
    assert operator.sees("parked", "show", "matching", "needs.needs:shown:1")["pointer"] in ("/quantity", "/title/en")


def replaced(file: Path, old: str, new: str) -> None:
    """What somebody does in an editor."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


async def test_an_edited_event_takes_effect_and_the_original_is_kept(
    machine: Process, operator: Operator, matching: asyncpg.Connection
) -> None:
    await arrives(machine, bad_need("edited"))
    await is_held(matching, "edited")
    name, why = "needs.needs:edited:1", ("--reason", "the city wrote -5 for 5")
    said = operator.does("parked", "edit", "matching", name, *why, code=1, EDITOR="sed -i s/-5,/-6,/")
    assert "/quantity" in said and said.count("\n") == 1
    broken = operator.does("parked", "edit", "matching", name, *why, "--file", "-", code=1, text="{")
    assert broken.count("JSON") == 1, broken
    kept = Path(next(word for word in said.split() if "musubi-edited-" in word).rstrip(";"))
    replaced(kept, '"quantity": -6', '"quantity": 5')
    said = operator.does("parked", "edit", "matching", name, *why, "--file", str(kept))
    os.unlink(kept)  # noqa: PTH108
    assert "Audit of matching: number" in said
    await is_known(matching, "edited")
    act = await matching.fetchrow("select * from audit where action = 'edit' and subject ->> 'key' = 'edited'")
    assert act and act["reason"] == why[1] and b'"quantity": -5' in act["before"] and b'"quantity":5' in act["after"]
    assert "(command line)" in act["actor"]


async def test_a_skipped_event_has_no_effect_and_what_comes_after_it_has(
    machine: Process, operator: Operator, matching: asyncpg.Connection
) -> None:
    await arrives(machine, bad_need("skipped"))
    await is_held(matching, "skipped")
    operator.does("parked", "skip", "matching", "needs.needs:skipped:1", "--reason", "sent by mistake")
    assert "skipped already" in operator.does("parked", "skip", "matching", "needs.needs:skipped:1", "--reason", "again", code=1)
    assert await matching.fetchval("select count(*) from need where id = 'skipped'") == 0
    await arrives(machine, event_of(need_posted("skipped"), 2))
    await is_known(matching, "skipped")


async def test_all_of_one_cause_are_tried_again(machine: Process, operator: Operator, matching: asyncpg.Connection) -> None:
    for key in ("again-1", "again-2"):
        await arrives(machine, bad_need(key, quantity=3, unit="furlong"))
        await is_held(matching, key)
    cause = operator.cause_of("matching", "/unit")["cause"]
    said = operator.does("parked", "retry-all", "matching", cause, "--reason", "the unit is known now")
    assert said.startswith("2 are tried again")
    done = operator.sees("parked", "retry", "matching", "needs.needs:again-1:1", "--reason", "once more")
    assert (done["action"], done["subject"]["key"]) == ("retry", "again-1")


async def test_all_keys_of_a_cause_go_on_without_what_is_missing(
    machine: Process, operator: Operator, matching: asyncpg.Connection
) -> None:
    """No service reads a topic of facts, so the gap is put where the consumer would put it."""
    await matching.execute(
        """insert into parked (grp, topic, key, sequence, reason, event_id, type, source, time, trace, correlation_id,
            causation_id, body, error, attempts, next_try)
        select 'matching', 'notify.notifications', 'late-' || n, 3, 'gap', gen_random_uuid(), 'notification.issued.v1', '', '',
            '', '', '', '{}', 'events 1 to 2 of this key are missing', 11, 'infinity' from generate_series(1, 2) as n"""
    )
    cause = operator.cause_of("matching", "events 1 to 2")["cause"]
    assert operator.does("parked", "go-on-all", "matching", cause, "--reason", "they are gone").startswith("2 keys go on")
    sql = "select key, before, last from inbox_cursor where topic = 'notify.notifications' order by key"
    assert [tuple(row) for row in await matching.fetch(sql)] == [("late-1", 0, 2), ("late-2", 0, 2)]
    other = operator.cause_of("matching", "fetched")["cause"]
    assert "Nothing is missing" in operator.does("parked", "go-on-all", "matching", other, "--reason", "again", code=1)
    await matching.execute("delete from parked where key like 'late-%'")


async def test_a_record_that_is_no_event_is_read_again_changed_or_skipped(
    machine: Process, operator: Operator, matching: asyncpg.Connection, tmp_path: Path
) -> None:
    event = event_of(need_posted("record"), 1)
    without_id = [header for header in to_headers(event) if header[0] != "ce_id"]
    await write(machine, event.topic, event.key.encode(), event.body, without_id)
    sql = "select topic, incarnation, part, \"offset\" from quarantine where state = 'waiting' and key = 'record'"
    (row,) = await eventually(lambda: matching.fetch(sql), what="the record to be in quarantine")
    name = held_names.of_record(RecordId(*row))
    shown = operator.does("parked", "show", "matching", name)
    assert "ce_id" in shown and "ce_type: need.posted.v1" in shown and '"record"' in shown
    assert "no event yet" in operator.does("parked", "retry", "matching", name, "--reason", "perhaps", code=1)
    headers = "\n".join(f"{name}: {value.decode()}" for name, value in to_headers(event))
    text = f"--- key\nrecord\n--- headers\n{headers}\n--- body\n{event.body.decode()}\n"
    short = name.partition("#")[0]
    operator.does("parked", "edit", "matching", short, "--file", "-", "--reason", "its id got lost", text=text)
    await is_known(matching, "record")
    await write(machine, event.topic, b"nothing", b"{", [])
    sql = sql.replace("'record'", "'nothing'")
    (row,) = await eventually(lambda: matching.fetch(sql), what="the record to be in quarantine")
    operator.does("parked", "skip", "matching", held_names.of_record(RecordId(*row)), "--reason", "nobody knows what it was")
    assert await matching.fetch(sql) == []
    hostile = [("ce_type", STEER.encode()) if name == "ce_type" else (name, value) for name, value in to_headers(event)]
    await write(machine, event.topic, b"hostile", event.body, hostile)
    sql = sql.replace("'nothing'", "'hostile'")
    (row,) = await eventually(lambda: matching.fetch(sql), what="the record to be in quarantine")
    said = operator.does("parked", "retry", "matching", held_names.of_record(RecordId(*row)), "--reason", "perhaps", code=1)
    assert "is not known here" in said and not set(STEER[:1] + STEER[-1]) & set(said)


async def test_an_altered_audit_is_found(
    machine: Process, operator: Operator, matching: asyncpg.Connection, tmp_path: Path
) -> None:
    await arrives(machine, bad_need("audited"))
    await is_held(matching, "audited")
    skip = ("parked", "skip", "matching", "needs.needs:audited:1", "--reason", "to be written down", "--json")
    log = tmp_path / "log"
    log.write_text("no JSON\n" + operator.does(*skip))
    whole = operator.sees("audit", "verify")
    assert whole["whole"] is True and {one["service"] for one in whole["services"]} == {"needs", "catalog", "matching", "notify"}
    newest = await matching.fetchval("select max(number) from audit")
    superuser = await asyncpg.connect(machine.running.postgres["matching"], user="postgres")
    try:
        await superuser.execute("set session_replication_role = replica")  # its triggers sleep
        change = "update matching.audit set reason = $2 where number = $1"
        await superuser.execute(change, newest, "nothing happened")
        said = operator.does("audit", "verify", "--service", "matching", code=1)
        assert f"matching: BROKEN at number {newest}: changed" in said
        assert operator.sees("audit", "verify", "--service", "needs")["whole"] is True
        await superuser.execute(change, newest, "to be written down")
        assert "matching: whole" in operator.does("audit", "verify", "--log", str(log))
        gone = await superuser.fetchrow("delete from matching.audit where number = $1 returning audit", newest)
        assert gone and operator.sees("audit", "verify")["whole"] is True
        said = operator.does("audit", "verify", "--log", str(log), code=1)
        assert f"BROKEN at number {newest}: missing, though it was logged" in said
    finally:
        await superuser.close()


async def test_a_replay_finds_the_broker_and_the_events_of_the_running_machine(
    machine: Process, operator: Operator, matching: asyncpg.Connection
) -> None:
    await arrives(machine, event_of(need_posted("replayed"), 1))
    await is_known(matching, "replayed")
    asked = ("replay", "--group", "matching", "--from", "1h", "--to", "now", "--key", "replayed")
    dry = operator.sees(*asked, "--dry-run")
    assert (dry["handled"], dry["announced"], dry["audit"]) == ({"need.posted.v1": 1}, {"need.routed.v1": 1}, None)
    said = operator.does(*asked, "--reason", "a drill")
    assert "handled" in said and "Audit of matching: number" in said
    operator.does("audit", "verify")


def test_what_is_missing_or_wrong_is_said_in_one_line(operator: Operator, tmp_path: Path) -> None:
    for arguments, words in (
        (("parked", "retry", "matching", "needs.needs:nobody:1", "--reason", "x"), "`musubi parked list`"),
        (("parked", "retry", "matching", "needs.needs:nobody:1", "--reason", " "), "say why"),
        (("parked", "retry", "matching", "nonsense", "--reason", "x"), "TOPIC:KEY:SEQUENCE"),
        (("parked", "show", "accounts", "needs.needs:a:1"), "There is no service accounts"),
        (("parked", "list", "--cause", "00000000"), "`musubi parked list`"),
        (("parked", "retry-all", "matching", "00000000", "--reason", "x"), "`musubi parked list`"),
        (("parked", "list", "--folder", str(tmp_path)), "musubi up"),
        (("audit", "verify", "--folder", str(tmp_path)), "musubi up"),
    ):
        said = operator.does(*arguments, code=1)
        assert words in said and said.startswith("musubi: ") and said.count("\n") == 1, said
    said = operator.does("parked", "list", code=1, MUSUBI_POSTGRES="postgresql://127.0.0.1:9/nothing")
    assert "does not answer" in said and "MUSUBI_POSTGRES" in said and said.count("\n") == 1
    assert "--reason" in operator.does("parked", "skip", "matching", "needs.needs:nobody:1", code=2)


def test_names_lead_back_to_what_they_name() -> None:
    event = EventId("needs.needs", "a key: with/all@sorts#of 1", 12)
    assert held_names.read(held_names.of_event(event)) == event
    record = RecordId("needs.needs", "0123456789abcdef", 3, 4711)
    name = held_names.read(held_names.of_record(record))
    assert isinstance(name, RecordName) and name.means(record)
    assert not name.means(record._replace(incarnation="x")) and not name.means(record._replace(offset=4712))
    one, other = (held_names.of_cause(Cause("needs.needs", "need.posted.v1", reason, "/a")) for reason in ("poison", "gap"))
    assert one != other and len(one) == 8
    with pytest.raises(CannotGoOn):
        held_names.read("needs.needs")


def test_a_cause_may_be_named_by_what_the_list_shows_if_that_is_one_cause_only() -> None:
    shown = [("11111111", "/country"), ("22222222", "/unit"), ("33333333", "/unit"), ("22222222", "/unit"), ("44444444", "")]
    assert held_names.meant("/country", shown) == "11111111"
    assert held_names.meant("22222222", shown) == "22222222"
    assert held_names.meant("/nothing", shown) == "/nothing"
    with pytest.raises(CannotGoOn, match="22222222, 33333333"):
        held_names.meant("/unit", shown)


def test_a_record_in_parts_is_put_together_again() -> None:
    text = "--- key\nk\n--- headers\nce_id: 1\n--- body\n{\n--- key\n}"
    assert editor.parts_of(text) == ("k", "ce_id: 1\n", "{\n--- key\n}")
    assert editor.parts_of(editor.as_one(editor.parts_of(text))).body == "{\n--- key\n}"
    with pytest.raises(CannotGoOn, match="--- body"):
        editor.parts_of("--- key\nk\n")


def test_a_body_is_laid_out_with_every_digit_as_it_is() -> None:
    assert held_lists.laid_out(b'{"a":1.10,"b":1E+400}') == '{\n  "a": 1.10,\n  "b": 1E+400\n}'
    assert held_lists.laid_out(b"{\xff") == "{\ufffd"


def test_a_table_lines_up_also_in_japanese_and_shows_nothing_that_steers_the_terminal() -> None:
    lines = table(("NAME", "WHY"), [("蓄電池", f"a{STEER}"), ("lamp", "b\nc"), ("x" * 99, "long")])
    assert [line.rsplit("  ", 1)[-1] for line in lines] == ["WHY", "a�[2J�", "b c", "long"]
    assert lines[3].startswith("  " + "x" * 59 + "…")
