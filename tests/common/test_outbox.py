"""What a transaction announces leaves after its commit, in order, or never."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from importlib.resources import files

import asyncpg
import pytest

from common import migrate
from common.errors import Rejected
from common.messaging import outbox
from common.messaging.message import Event
from common.messaging.outbox import Batch
from common.postgres import Database
from tests.common.hop import notification, rate

MESSAGING = {"messaging": files("common") / "migrations" / "messaging"}


@pytest.fixture
async def announced() -> list[Batch]:
    """What the database said it had committed."""
    return []


@pytest.fixture
async def database(postgres: str, announced: list[Batch]) -> AsyncIterator[Database]:
    """A service's database with the messaging tables."""
    await migrate.apply(postgres, "source", MESSAGING)
    database = Database(postgres, "source", announce=announced.append)
    await database.open()
    yield database
    await database.close()


async def stored(database: Database) -> list[Event]:
    """Everything in the outbox, as the relay would send it."""
    async with database.connection() as connection:
        batches = await outbox.load(connection, [row[0] for row in await connection.fetch("select distinct batch from outbox")])
        return [event for batch in sorted(batches) for event in batches[batch]]


async def test_each_key_counts_its_events_from_one(database: Database) -> None:
    for _ in range(2):
        async with database.transaction() as tx:
            for currency in ("JPY", "VND", "JPY"):
                tx.emit(rate(currency))
    assert [(event.key, event.sequence) for event in await stored(database)] == [
        ("JPY", 1), ("VND", 1), ("JPY", 2), ("JPY", 3), ("VND", 2), ("JPY", 4),
    ]  # fmt: skip


async def test_sixteen_writers_at_once_leave_every_keys_events_dense_and_in_batch_order(database: Database) -> None:
    rng = random.Random(1)

    async def write() -> None:
        for _ in range(15):
            async with database.transaction() as tx:
                for currency in rng.choices(("JPY", "VND", "EUR", "USD"), k=5):
                    tx.emit(rate(currency))

    await asyncio.gather(*(write() for _ in range(16)))
    sequences: dict[str, list[int]] = defaultdict(list)
    for event in await stored(database):
        sequences[event.key].append(event.sequence)
    assert sum(map(len, sequences.values())) == 16 * 15 * 5
    for key, found in sequences.items():
        assert found == list(range(1, len(found) + 1)), key


async def test_what_is_handed_to_the_relay_is_what_is_stored(database: Database, announced: list[Batch]) -> None:
    async with database.transaction() as tx:
        tx.correlation_id = "a partner's event"
        tx.emit(rate("JPY"))
        tx.emit(notification("n1"))
        assert announced == []
    [batch] = announced
    async with database.connection() as connection:
        assert await outbox.unsent(connection, 10) == [batch.number]
        assert (await outbox.load(connection, [batch.number]))[batch.number] == batch.events
    assert [event.correlation_id for event in batch.events] == ["a partner's event"] * 2
    assert batch.events[0].source == "/services/source"


async def test_an_event_says_what_it_follows_from(database: Database, announced: list[Batch]) -> None:
    async with database.transaction() as tx:
        tx.emit(rate("JPY"))
    [first] = announced[0].events
    assert (first.correlation_id, first.causation_id) == (first.id, "")
    async with database.transaction() as tx:
        tx.emit(notification("n1"), cause=first)
    [second] = announced[1].events
    assert (second.correlation_id, second.causation_id) == (first.id, first.id)
    async with database.transaction() as tx:
        tx.emit(notification("n2"), cause=second)
    [third] = announced[2].events
    assert (third.correlation_id, third.causation_id) == (first.id, second.id)


async def test_what_fails_announces_nothing(database: Database, announced: list[Batch]) -> None:
    with pytest.raises(ValueError, match="after all"):
        async with database.transaction() as tx:
            tx.emit(rate("JPY"))
            raise ValueError("after all not")
    assert announced == []
    assert await stored(database) == []


async def test_a_savepoint_that_rolls_back_takes_back_what_it_announced(database: Database, announced: list[Batch]) -> None:
    async with database.transaction() as tx:
        tx.emit(rate("JPY"))
        with pytest.raises(ValueError, match="no"):
            async with tx.savepoint():
                tx.emit(rate("VND"))
                await tx.execute("insert into stream_head values ('t', 'k', 1)")
                raise ValueError("no")
        tx.emit(rate("EUR"))
        assert await tx.fetchval("select count(*) from stream_head") == 0
    assert [event.key for event in announced[0].events] == ["JPY", "EUR"]


async def test_while_reading_nothing_can_be_written_or_announced(database: Database) -> None:
    async with database.reading() as tx:
        with pytest.raises(RuntimeError):
            tx.emit(rate("JPY"))
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await tx.execute("delete from outbox")


async def test_what_could_never_be_sent_is_refused_at_once(database: Database) -> None:
    async with database.transaction() as tx:
        with pytest.raises(Rejected):
            tx.emit(notification("n1").model_copy(update={"id": "k" * 300}))
        with pytest.raises(Rejected):
            tx.emit(rate("JPY").model_copy(update={"source": "x" * 1_000_000}))
    assert await stored(database) == []


async def test_everything_or_a_topic_is_marked_unsent_in_portions(database: Database) -> None:
    for number in range(3):
        async with database.transaction() as tx:
            tx.emit(rate("JPY"))
            if number == 1:
                tx.emit(notification("n"))
    async with database.connection() as connection:
        batches = await outbox.unsent(connection, 10)
        await connection.execute("update outbox set batch = 7000 where batch = $1", batches[2])
        await connection.execute("delete from unsent")
        assert await outbox.mark_unsent(connection, "notify.notifications") == 1
        assert await outbox.unsent(connection, 10) == [batches[1]]
        assert await outbox.mark_unsent(connection) == 2  # the one that waits already is not counted
        assert await outbox.unsent(connection, 10) == [batches[0], batches[1], 7000]


async def test_as_many_whole_batches_are_loaded_as_were_asked_for(database: Database) -> None:
    for size in (2, 3, 1):
        async with database.transaction() as tx:
            for _ in range(size):
                tx.emit(rate("JPY"))
    async with database.connection() as connection:
        batches = await outbox.unsent(connection, 10)
        sizes = []
        for most in (None, 1, 2, 3, 5, 6, 7):
            loaded = await outbox.load(connection, batches, most)
            sizes.append([len(events) for events in loaded.values()])
    assert sizes == [[2, 3, 1], [2], [2], [2], [2], [2, 3], [2, 3, 1]]


async def test_a_keys_events_can_be_read_again_only_where_every_one_counts(database: Database) -> None:
    for _ in range(4):
        async with database.transaction() as tx:
            tx.emit(notification("n"))
            tx.emit(rate("JPY"))
    async with database.connection() as connection:
        again = await outbox.range_of(connection, "notify.notifications", "n", 2, 3)
        beyond = await outbox.range_of(connection, "notify.notifications", "n", 3, 9)
        state = await outbox.range_of(connection, "catalog.exchange-rates", "JPY", 1, 4)
    assert [event.sequence for event in again] == [2, 3]
    assert [event.sequence for event in beyond] == [3, 4]
    assert state == []


async def test_json_columns_keep_every_digit(database: Database) -> None:
    async with database.transaction() as tx:
        value = await tx.fetchval("select $1::jsonb", {"a": rate("JPY", per_usd="0.10").per_usd, "b": [1, None, "ダナン"]})
    assert str(value["a"]) == "0.10"
    assert value["b"] == [1, None, "ダナン"]
