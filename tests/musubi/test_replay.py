"""Replays: what took effect is handed to the handlers again, beside the running service, and nothing leaves the house for it."""

import asyncio
import json
import os
import signal
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.clock import utc_now
from common.messaging import kafka_log
from common.messaging.consumer import Consumer
from common.operating import mending, replay
from common.operating.held import EventId
from common.operating.replay import Asked, Replay, Report
from common.operating.replay_choice import PassedOver
from common.service import Service
from common.telemetry import Telemetry
from musubi import cli
from musubi.advice import CannotGoOn
from musubi.moments import moment_of
from musubi.replay import in_words
from tests.brokers import Broker, write
from tests.chain import Chain, rows, running_chain
from tests.common.hop import HANDLERS, NOTIFICATIONS, RATES, Seen, Source, looking_at, notification, rate, running_hop, until
from tests.eventually import eventually
from tests.facts import event_of
from tests.mailbox import Mailbox
from tests.musubi.machine import MUSUBI
from tests.partner_events import city, company, need, offering

ALWAYS = datetime(1900, 1, 1, tzinfo=UTC)


class Replayed:
    """A running hop with its source, and replays of it."""

    def __init__(self, service: Service, broker: Broker, source: Source, seen: Seen) -> None:
        self.source = source
        self.seen = seen
        self.database, self.name = service.database, service.name
        self._broker = broker
        self._consumer = Consumer(service.database, service.name, HANDLERS, Telemetry(service.name, log_level="ERROR"))

    async def replay(self, topic: str, *, dry_run: bool = False, at_once: int = 3, **asked: Any) -> Report:
        """Replay a topic: all that it ever held, if no range is given."""
        wanted: dict[str, Any] = {"begin": ALWAYS, "end": utc_now() + timedelta(hours=1)} | asked
        async with kafka_log.opened(self._broker.address) as log:
            question = Asked([topic], **wanted, by_event_time=self._broker.kind == "embedded")
            choice = await replay.look(log, self._consumer, question)
            return await Replay(log, self._consumer, choice, dry_run=dry_run, at_once=at_once).run()

    async def reached(self, topic: str, *events: tuple[str, int]) -> list[tuple[str, int]]:
        """Wait until these took effect; returns all effects of the topic."""
        found: list[tuple[str, int]] = []

        async def there() -> bool:
            found[:] = await self.seen.effects(topic)
            return set(events) <= set(found)

        await until(there)
        return list(found)


@asynccontextmanager
async def running(postgres: str, broker: Broker) -> AsyncIterator[Replayed]:
    name = f"hop_{uuid.uuid4().hex[:8]}"
    async with (
        Source(postgres, broker).running() as source,
        running_hop(postgres, broker, name) as service,
        looking_at(postgres, name) as seen,
    ):
        yield Replayed(service, broker, source, seen)


async def test_facts_are_handled_again_in_order_and_what_they_announce_is_announced(postgres: str, any_kafka: Broker) -> None:
    async with running(postgres, any_kafka) as hop:
        for n in range(1, 6):
            await hop.source.emit(notification("a", rule=f"rule {n}"), notification("b", rule=f"rule {n}"))
        before = await hop.reached(NOTIFICATIONS, ("a", 5), ("b", 5))
        report = await hop.replay(NOTIFICATIONS)
        after = await hop.seen.effects(NOTIFICATIONS)
        again = after[len(before) :]
        for key in "ab":
            assert [n for k, n in again if k == key] == [1, 2, 3, 4, 5]
        assert report.handled == {"notification.issued.v1": 10}
        assert (report.failed, report.passed_over) == ([], {})


async def test_of_whole_states_only_the_version_that_stands_is_handled_again(postgres: str, any_kafka: Broker) -> None:
    async with running(postgres, any_kafka) as hop:
        for per_usd in ("150", "151", "152"):
            await hop.source.emit(rate("JPY", per_usd=per_usd))
        await hop.source.emit(rate("EUR"))
        before = await hop.reached(RATES, ("JPY", 3), ("EUR", 1))
        await hop.reached(NOTIFICATIONS, ("JPY-3", 1), ("EUR-1", 1))
        report = await hop.replay(RATES)
        again = (await hop.seen.effects(RATES))[len(before) :]
        assert sorted(again) == [("EUR", 1), ("JPY", 3)]
        assert report.announced == {"notification.issued.v1": 2}
        assert report.passed_over == {PassedOver.OLDER: 2}
        await hop.reached(NOTIFICATIONS, ("JPY-3", 2), ("EUR-1", 2))  # announced as usual


async def test_a_dry_run_says_the_same_and_changes_nothing(postgres: str, any_kafka: Broker) -> None:
    async with running(postgres, any_kafka) as hop:
        await hop.source.emit(*(rate(currency) for currency in ("JPY", "EUR", "VND", "USD")))
        await hop.reached(NOTIFICATIONS, *((f"{currency}-1", 1) for currency in ("JPY", "EUR", "VND", "USD")))
        tables = "select (select count(*) from effect), (select count(*) from outbox), (select max(last) from inbox_cursor)"
        before = await hop.seen.connection.fetchrow(tables)
        dry = await hop.replay(RATES, dry_run=True)
        assert await hop.seen.connection.fetchrow(tables) == before
        assert dry == await hop.replay(RATES)
        assert (dry.handled.total(), dry.announced.total()) == (4, 4)


async def test_only_what_was_asked_for_is_handled_again(postgres: str, any_kafka: Broker) -> None:
    async with running(postgres, any_kafka) as hop:
        moments: list[datetime] = []
        for n in range(1, 4):
            await hop.source.emit(notification("a"), notification("b"))
            await hop.reached(NOTIFICATIONS, ("a", n), ("b", n))
            moments.append(utc_now() + timedelta(milliseconds=20))
            await until(lambda: utc_now() > moments[-1] + timedelta(milliseconds=20))
        before = len(await hop.seen.effects(NOTIFICATIONS))
        await hop.replay(NOTIFICATIONS, begin=moments[0], end=moments[1])
        await hop.replay(NOTIFICATIONS, begin=moments[1], key="a")
        again = (await hop.seen.effects(NOTIFICATIONS))[before:]
        assert sorted(again) == [("a", 2), ("a", 3), ("b", 2)]


async def test_what_waits_is_passed_over_because_the_service_gets_it_anyway(postgres: str, any_kafka: Broker) -> None:
    async with running(postgres, any_kafka) as hop:
        await hop.source.emit(notification("a"), notification("a"), notification("a", rule="poison"), notification("a"))
        await hop.source.emit(rate("JPY"), rate("JPY", source="poison"))
        await hop.reached(NOTIFICATIONS, ("a", 2))
        await hop.reached(RATES, ("JPY", 1))

        async def three_wait() -> bool:
            return len(await hop.seen.parked()) == 3

        await until(three_wait)
        report = await hop.replay(NOTIFICATIONS, key="a")
        assert (report.handled, report.passed_over) == ({"notification.issued.v1": 2}, {PassedOver.NOT_YET: 2})
        report = await hop.replay(RATES)
        assert (report.handled, report.passed_over) == ({"exchange-rate.published.v1": 1}, {PassedOver.NOT_YET: 1})


async def test_what_fails_is_named_with_its_reason_and_only_its_own_key_stops(postgres: str, kafka: Broker) -> None:
    async with running(postgres, kafka) as hop:
        await hop.seen.cure("poison")
        await hop.source.emit(notification("a"), notification("a", rule="poison"), *(notification("a") for _ in range(4)))
        await hop.source.emit(notification("b"), notification("b"))
        before = len(await hop.reached(NOTIFICATIONS, ("a", 6), ("b", 2)))
        await hop.seen.connection.execute("delete from cured")
        report = await hop.replay(NOTIFICATIONS)
        again = (await hop.seen.effects(NOTIFICATIONS))[before:]
        assert sorted(again) == [("a", 1), ("b", 1), ("b", 2)]
        (failed,) = report.failed
        assert (failed.key, failed.sequence, failed.error) == ("a", 2, "ValueError('poison')")
        assert report.passed_over == {PassedOver.BEHIND: 4}
        assert await hop.seen.parked() == []


async def test_what_an_operator_decided_is_not_undone(postgres: str, kafka: Broker) -> None:
    async with running(postgres, kafka) as hop:
        for key in ("skipped", "edited"):
            await hop.source.emit(notification(key), notification(key, rule="poison"), notification(key))
        late = [event_of(notification("gone-on"), sequence) for sequence in (1, 2, 3)]
        await write(kafka, late[2])

        async def five_wait() -> bool:
            return len(await hop.seen.parked()) == 5

        await until(five_wait)
        async with hop.database.transaction() as tx:
            act: dict[str, Any] = {"actor": "somebody", "reason": "a test"}
            await mending.skip(tx, hop.name, EventId(NOTIFICATIONS, "skipped", 2), **act)
            await mending.skip(tx, hop.name, EventId(NOTIFICATIONS, "gone-on", 3), **act)
            body = notification("edited", rule="mended").model_dump_json()
            await mending.edit(tx, hop.name, EventId(NOTIFICATIONS, "edited", 2), body, **act)
        await hop.reached(NOTIFICATIONS, ("skipped", 3), ("edited", 3), ("gone-on", 3))
        await write(kafka, *late[:2], event_of(notification("last"), 1))
        before = len(await hop.reached(NOTIFICATIONS, ("last", 1)))
        report = await hop.replay(NOTIFICATIONS)
        again = (await hop.seen.effects(NOTIFICATIONS))[before:]
        assert sorted(again) == [("edited", 1), ("edited", 3), ("gone-on", 3), ("last", 1), ("skipped", 1), ("skipped", 3)]
        assert (report.failed, report.passed_over) == ([], {PassedOver.DECIDED: 4})


async def test_beside_the_running_service_no_key_ever_moves_backwards(postgres: str, any_kafka: Broker) -> None:
    currencies = ("JPY", "EUR", "VND", "USD")
    async with running(postgres, any_kafka) as hop:
        await hop.source.emit(*(rate(currency) for currency in currencies))
        await hop.reached(RATES, *((currency, 1) for currency in currencies))

        async def announce() -> None:
            for _ in range(60):
                await hop.source.emit(*(rate(currency) for currency in currencies))

        announcing = asyncio.create_task(announce())
        replays = 0
        while not announcing.done() or replays < 3:
            await hop.replay(RATES, at_once=2)
            replays += 1
        await announcing
        effects = await hop.reached(RATES, *((currency, 61) for currency in currencies))
        for currency in currencies:
            mine = [n for key, n in effects if key == currency]
            assert mine == sorted(mine)
            assert set(mine) == set(range(1, 62))


@pytest.mark.parametrize("text", ["yesterday", "2026-11-24T10:00:00", "2 h", "-1h", "999999d", "0001-01-01T00:00:00+09:00", ""])
def test_a_time_that_could_mean_two_things_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(CannotGoOn, match="2026-11-24T10:00:00Z"):
        moment_of(text, utc_now())


def test_times_are_moments_or_how_long_ago() -> None:
    now = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    assert moment_of("2026-11-24T10:00:00+09:00", now) == datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
    assert moment_of("90m", now) == datetime(2026, 11, 24, 1, 30, tzinfo=UTC)
    assert moment_of("now", now) == now


async def test_an_interrupted_replay_says_that_nothing_was_done_yet(postgres: str) -> None:
    asked = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1") as silent:
        port = silent.sockets[0].getsockname()[1]
        variables = {**os.environ, "MUSUBI_POSTGRES": postgres, "MUSUBI_KAFKA": f"127.0.0.1:{port}"}
        asked_for = ("replay", "--group", "notify", "--from", "1h", "--to", "now", "--dry-run")
        replaying = await asyncio.create_subprocess_exec(
            MUSUBI, *asked_for, env=variables, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        async with asyncio.timeout(30):
            await asked.wait()
            replaying.send_signal(signal.SIGINT)
            said, errors = await replaying.communicate()
    assert (replaying.returncode, errors) == (130, b"")
    assert said.decode() == "notify: interrupted while it looked for the events. None was handled, nothing was changed.\n"


def test_an_interrupted_replay_says_what_was_done_and_what_was_not() -> None:
    found = {
        "group": "notify", "from": "a", "to": "b", "dry_run": False, "interrupted": True, "chosen": 900, "audit": 7, "hash": "00",
        "handled": {"need.posted.v1": 400}, "announced": {}, "passed_over": {}, "failed": [],
    }  # fmt: skip
    said = "\n".join(in_words(found))
    assert "400 events of 900 handled, and that stays; the others were not." in said
    assert "number 7" in said
    assert "interrupted after 400 of 900 events" in "\n".join(in_words({**found, "dry_run": True, "audit": None}))


# the command, on the whole chain --------------------------------------------------------------------------------------
@pytest.fixture
async def chain(postgres: str, real_kafka: Broker, smtp: Mailbox, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chain]:
    """A city and a company that were told of each other by mail; the commands find database and broker by the environment."""
    monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
    monkeypatch.setenv("MUSUBI_KAFKA", real_kafka.address)
    monkeypatch.setenv("MUSUBI_SMTP_HOST", smtp.host)
    monkeypatch.setenv("MUSUBI_SMTP_PORT", str(smtp.port))
    async with running_chain(postgres, real_kafka, smtp) as running:
        await running.publish_accepted(city(), company(), offering(), need())
        await smtp.received(3)
        await eventually(lambda: waiting_mails(running), lambda waiting: not waiting, what="all mails to be settled")
        yield running


async def waiting_mails(chain: Chain) -> list[Any]:
    return await rows(chain.dsn, "notify", "select 1 from delivery where state in ('to_compose', 'due')")


async def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command of `musubi`; its exit code and what it printed."""
    capsys.readouterr()
    code = await asyncio.to_thread(cli.main, arguments)
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.mark.kafka
async def test_no_mail_leaves_because_of_a_replay(chain: Chain, smtp: Mailbox, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(smtp.messages)
    for table in ("told", "delivery", "notification"):  # as if notify had never told anybody
        await rows(chain.dsn, "notify", f"delete from {table}")
    asked = ("replay", "--group", "notify", "--from", "1h", "--to", "now", "--json")
    code, said = await command(capsys, *asked, "--dry-run")
    dry = json.loads(said)
    assert (code, dry["announced"]) == (0, {"notification.issued.v1": before})
    assert await rows(chain.dsn, "notify", "select 1 from notification") == []
    code, said = await command(capsys, *asked, "--reason", "the table was lost")
    real = json.loads(said)
    assert (code, real["announced"], real["handled"]) == (0, dry["announced"], dry["handled"])
    assert real["handled"]["shortlist.changed.v1"] == 1
    told = await rows(chain.dsn, "notify", "select state, count(*) from delivery group by 1")
    assert [tuple(row) for row in told] == [("inbox_only", before)]
    # The sender is awake: a mail that is planned afterwards is sent, and it is the only one.
    await chain.publish_accepted(offering("another"))
    await smtp.received(before + 1)
    await eventually(lambda: waiting_mails(chain), lambda waiting: not waiting, what="all mails to be settled")
    old = await rows(chain.dsn, "notify", "select state from delivery where created_at <= $1", datetime.fromisoformat(real["to"]))
    assert {row["state"] for row in old} <= {"inbox_only"}
    subjects = await rows(chain.dsn, "notify", "select count(*) as amount from delivery where state = 'sent'")
    assert len(smtp.messages) == before + subjects[0]["amount"]
    acts = await rows(chain.dsn, "notify", "select actor, action, reason, subject ->> 'events' as events from audit")
    assert [(act["action"], act["reason"], act["events"]) for act in acts] == [("replay", "the table was lost", "3")]


@pytest.mark.kafka
async def test_matching_handled_again_says_nothing_new_and_loses_nothing(
    chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await rows(chain.dsn, "matching", "select count(*) as amount from outbox")
    asked = ("replay", "--group", "matching-groups", "--from", "1h", "--to", "now", "--reason", "a drill")
    code, said = await command(capsys, *asked)
    assert code == 0, said
    assert "need.routed.v1" in said and "offering.routed.v1" in said and "announced" not in said
    assert await rows(chain.dsn, "matching", "select count(*) as amount from outbox") == before


@pytest.mark.kafka
async def test_what_matching_announces_in_a_replay_is_news_like_any_other(
    chain: Chain, smtp: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(smtp.messages)
    await rows(chain.dsn, "matching", "update need set announced = null")  # as if the list had never been announced
    for table in ("told", "delivery", "notification"):
        await rows(chain.dsn, "notify", f"delete from {table}")
    asked = (
        "replay",
        "--group",
        "matching-groups",
        "--topic",
        "matching.needs-by-group",
        "--from",
        "1h",
        "--to",
        "now",
        "--json",
    )
    code, said = await command(capsys, *asked, "--dry-run")
    assert (code, json.loads(said)["announced"]) == (0, {"shortlist.changed.v1": 1})
    code, said = await command(capsys, *asked, "--reason", "lists were lost")
    assert (code, json.loads(said)["announced"]) == (0, {"shortlist.changed.v1": 1})
    await smtp.received(2 * before)


@pytest.mark.kafka
async def test_what_cannot_be_replayed_is_said_in_one_line(chain: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (("--group", "needs", "--from", "1h", "--to", "now", "--dry-run"), "needs reads no events"),
        (("--group", "nobody", "--from", "1h", "--to", "now", "--dry-run"), "There is no service nobody"),
        (("--group", "notify", "--from", "1h", "--to", "2h", "--dry-run"), "is not before"),
        (("--group", "notify", "--from", "1h", "--to", "now"), "say why"),
        (("--group", "notify", "--topic", "x", "--from", "1h", "--to", "now", "--dry-run"), "notify does not read x"),
    ):
        code, said = await command(capsys, "replay", *arguments)
        assert code == 1
        assert words in said and said.startswith("musubi: ") and said.count("\n") == 1
