"""What nobody can want any more goes; nothing else ever does."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from io import StringIO

import pytest

from common import migrate
from common.contracts.registry import TOPICS
from common.messaging import sending_store
from common.messaging.message import Partition
from common.messaging.prune import Pruner
from common.messaging.sending import Sending
from common.postgres import Database
from common.telemetry import Telemetry
from tests.common.hop import NOTIFICATIONS, notification, rate

MESSAGING = {"messaging": files("common") / "migrations" / "messaging"}
READ = TOPICS | {NOTIFICATIONS: TOPICS[NOTIFICATIONS]._replace(readers=("reader",))}
PART = Partition(NOTIFICATIONS, 0)
DAY = timedelta(days=1)


@dataclass
class Years:
    """A service whose clock the test sets, with what it stored; events are stored when the clock says so."""

    dsn: str
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 1, tzinfo=UTC))
    log: StringIO = field(default_factory=StringIO)

    def __post_init__(self) -> None:
        self.database = Database(self.dsn, "source", clock=lambda: self.now)
        self._pruner = self.new_pruner()

    def new_pruner(self) -> Pruner:
        """As after a restart."""
        return Pruner(self.database, Telemetry("source", log_level="INFO", log_to=self.log), topics=READ)

    async def emit(self, *facts) -> None:
        """Announce, now."""
        async with self.database.transaction() as tx:
            for fact in facts:
                tx.emit(fact)
        async with self.database.connection() as connection:
            await connection.execute("update outbox set stored_at = $1 where stored_at > $1", self.now)

    async def sent(self, until: int, life: str = "a life") -> None:
        """All is sent; the one partition ends there."""
        async with self.database.connection() as connection:
            sending = Sending(life, {PART: until}, {PART: until})
            await sending_store.met(connection, sending, all_again=False)
            await connection.execute("delete from unsent")
            await connection.execute("update broker_life set since = $1 where since > $1", self.now)

    async def reader_is_at(self, offset: int, group: str = "reader", life: str = "a life") -> None:
        """A group says so, now."""
        async with self.database.connection() as connection:
            await sending_store.note_reader(connection, group, life, {PART: offset})
            await connection.execute("update reader set heard_at = $1 where grp = $2", self.now, group)

    async def after(self, time: timedelta) -> list[tuple[str, int]]:
        """Let time pass, prune, and say which events are left, by key and sequence."""
        self.now += time
        while await self._pruner.step():
            pass
        return await self.left()

    async def left(self) -> list[tuple[str, int]]:
        """Key and sequence of every event in the outbox."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("select key, sequence from outbox order by batch, n")
            return [(row["key"], row["sequence"]) for row in rows]


@pytest.fixture
async def years(postgres: str) -> AsyncIterator[Years]:
    await migrate.apply(postgres, "source", MESSAGING)
    years = Years(postgres)
    await years.database.open()
    yield years
    await years.database.close()


async def test_facts_go_after_a_week_once_their_reader_has_passed_them(years: Years) -> None:
    await years.emit(notification("old"))
    await years.sent(1)
    assert await years.after(2 * timedelta(hours=1)) == [("old", 1)]
    await years.emit(notification("young"))
    await years.sent(2)
    await years.reader_is_at(1)
    assert await years.after(6 * DAY) == [("old", 1), ("young", 1)]
    assert await years.after(DAY) == [("young", 1)]


async def test_what_a_reader_has_not_passed_stays_however_old(years: Years) -> None:
    await years.emit(notification("a"))
    await years.sent(1)
    await years.after(2 * timedelta(hours=1))  # a mark at 1
    await years.reader_is_at(0)
    assert await years.after(20 * DAY) == [("a", 1)]
    await years.reader_is_at(1)
    assert await years.after(timedelta(hours=2)) == []


async def test_a_group_that_is_in_no_registry_is_waited_for_too_once_it_was_heard(years: Years) -> None:
    await years.emit(notification("a"))
    await years.sent(1)
    await years.after(2 * timedelta(hours=1))
    await years.reader_is_at(1)
    await years.reader_is_at(0, "somebody else")
    assert await years.after(8 * DAY) == [("a", 1)]
    await years.reader_is_at(1, "somebody else")
    assert await years.after(timedelta(hours=2)) == []


async def test_a_reader_that_was_never_heard_is_waited_for(years: Years) -> None:
    await years.emit(notification("a"))
    await years.sent(1)
    await years.after(2 * timedelta(hours=1))
    assert await years.after(27 * DAY) == [("a", 1)]


async def test_a_reader_that_was_silent_for_four_weeks_holds_nothing_back_and_the_log_says_so(years: Years) -> None:
    await years.emit(notification("a"))
    await years.sent(1)
    await years.reader_is_at(0)
    assert await years.after(27 * DAY) == [("a", 1)]
    assert "28 days" not in years.log.getvalue()
    assert await years.after(2 * DAY) == []
    assert "28 days" in years.log.getvalue()


async def test_the_newest_version_of_each_state_stays_for_ever(years: Years) -> None:
    await years.emit(rate("JPY"), rate("JPY"), rate("VND"))
    await years.emit(rate("JPY"))
    await years.sent(0)
    assert await years.after(6 * DAY) == [("JPY", 1), ("JPY", 2), ("VND", 1), ("JPY", 3)]
    assert await years.after(2 * DAY) == [("VND", 1), ("JPY", 3)]
    assert await years.after(3000 * DAY) == [("VND", 1), ("JPY", 3)]


async def test_what_is_unsent_stays(years: Years) -> None:
    await years.emit(rate("JPY"), notification("a"))
    await years.emit(rate("JPY"))
    async with years.database.connection() as connection:
        await sending_store.met(connection, Sending("a life", {PART: 5}, {PART: 5}), all_again=False)
    await years.reader_is_at(5)
    await years.after(2 * timedelta(hours=1))
    assert await years.after(20 * DAY) == [("JPY", 1), ("a", 1), ("JPY", 2)]


async def test_in_another_life_of_the_broker_the_marks_begin_anew(years: Years) -> None:
    await years.emit(notification("a"))
    await years.sent(1)
    await years.reader_is_at(1)
    await years.after(2 * timedelta(hours=1))
    await years.sent(1, "another life")
    assert await years.after(8 * DAY) == [("a", 1)]  # the reader was not heard in this life
    await years.reader_is_at(1, life="another life")
    assert await years.after(timedelta(hours=2)) == []


async def test_when_everything_is_sent_again_what_readers_had_passed_does_not_count(years: Years) -> None:
    await years.emit(notification("a"))
    await years.sent(9)
    await years.reader_is_at(9)
    await years.after(2 * timedelta(hours=1))
    async with years.database.connection() as connection:
        await sending_store.met(connection, Sending("a life", {PART: 4}, {PART: 9}), all_again=True)
        await connection.execute("insert into unsent select batch from outbox")
    assert await years.after(8 * DAY) == [("a", 1)]
    async with years.database.connection() as connection:
        await sending_store.everything_is_marked(connection)
    await years.sent(12)
    assert await years.after(timedelta(hours=2)) == [("a", 1)]
    await years.reader_is_at(12)
    assert await years.after(timedelta(hours=2)) == []


async def test_many_old_events_go_in_portions_and_are_looked_at_once_an_hour(years: Years) -> None:
    for _ in range(30):
        await years.emit(*[rate("JPY")] * 200)
    await years.sent(0)
    years.now += 8 * DAY
    pruner = years.new_pruner()
    steps = 1
    while await pruner.step():
        steps += 1
    assert steps >= 3
    assert await years.left() == [("JPY", 6000)]
    await years.emit(rate("JPY"))
    years.now += timedelta(minutes=50)
    assert not await pruner.step()


async def test_what_partners_sent_is_remembered_for_35_days_and_settled_records_for_90(years: Years) -> None:
    async with years.database.connection() as connection:
        for table, columns, values in (
            ("inbox_seen", "source, id, sha256, seen_at", "'s', $2::text, '\\x00', $1"),
            (
                "quarantine",
                'grp, topic, incarnation, part, "offset", reason, state, at',
                "'g', $2::text, '', 0, 0, '', 'skipped', $1",
            ),
            ("quarantine", 'grp, topic, incarnation, part, "offset", reason, at', "'g', $2::text, '', 0, 1, '', $1"),
        ):
            for days in (34, 36, 89, 91):
                at = years.now - days * DAY
                await connection.execute(f"insert into {table} ({columns}) values ({values})", at, str(days))
    await years.after(timedelta(0))
    async with years.database.connection() as connection:
        assert [row[0] for row in await connection.fetch("select id from inbox_seen")] == ["34"]
        rows = await connection.fetch("select topic, state from quarantine order by at desc, state")
    assert [(row["topic"], row["state"]) for row in rows] == [
        ("34", "skipped"), ("34", "waiting"), ("36", "skipped"), ("36", "waiting"), ("89", "skipped"), ("89", "waiting"),
        ("91", "waiting"),
    ]  # fmt: skip
