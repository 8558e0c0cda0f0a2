"""A partition that was just assigned: its records may be there before PostgreSQL has said that it is ours, and where to go on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO

import pytest

from common import migrate
from common.messaging import cursors
from common.messaging.cursors import Ownership
from common.messaging.gate import Move
from common.messaging.message import Partition
from common.messaging.placement import partition_of
from common.postgres import Database
from common.service import Service
from common.telemetry import Telemetry
from tests.brokers import Broker
from tests.common.hop import HANDLERS, MIGRATIONS, RATES, Seen, Source, looking_at, rate, settings, until
from tests.common.test_relay import nothing_left

YEN = Partition(RATES, partition_of("JPY", 4))


@pytest.fixture
async def seen(postgres: str, kafka: Broker, database: Database) -> AsyncIterator[Seen]:
    """Five events lie in a partition; the hop took the first three in, by PostgreSQL's word. Kafka knows nothing of that."""
    async with Source(postgres, kafka).running() as source:
        for _ in range(5):
            await source.emit(rate("JPY"))
        await nothing_left(source)
    await migrate.apply(postgres, "hop", {"hop": MIGRATIONS})
    async with database.transaction() as tx:
        [claim] = await cursors.claim(tx, "hop", kafka.incarnation, [YEN])
        await cursors.fence(tx, "hop", Ownership(kafka.incarnation, {YEN: claim.generation}), {YEN: 3})
        await cursors.move(tx, "hop", {(RATES, "JPY"): Move(0, 3)})
    async with looking_at(postgres, "hop") as seen:
        yield seen


class Hop:
    """The hop, and what it says."""

    def __init__(self, postgres: str, broker: Broker) -> None:
        self.log = StringIO()
        self.service = Service(
            "hop", settings(postgres, broker), migrations=MIGRATIONS, telemetry=Telemetry("hop", log_to=self.log)
        )
        self.service.on_events(HANDLERS)

    def has_records(self) -> bool:
        """Whether a batch is in its hands."""
        return any(subscription.busy for subscription in self.service._subscriptions.values())

    def told(self, metric: str, **labels: str) -> float:
        return self.service.telemetry.registry.get_sample_value(f"musubi_{metric}_total", labels) or 0


@asynccontextmanager
async def hop_with_records_and_no_claim(postgres: str, kafka: Broker, seen: Seen) -> AsyncIterator[Hop]:
    """While the block runs its claim waits for PostgreSQL; a batch has been delivered already."""
    hop = Hop(postgres, kafka)
    async with hop.service.lifespan():
        async with seen.connection.transaction():
            await seen.connection.execute("lock table consumer_offset in exclusive mode")
            await until(hop.has_records)
            yield hop
        await until(lambda: everything(seen))
        assert await seen.effects() == [("JPY", 4), ("JPY", 5)]
        assert hop.told("events", topic=RATES, outcome="repeat") == 0, "it began where it had to"
        assert hop.told("batches_rolled_back") == 0
        assert "shorter" not in hop.log.getvalue()


async def everything(seen: Seen) -> bool:
    return ("JPY", 5) in await seen.effects()


async def test_records_that_come_before_the_claim_wait_for_it_and_those_are_read_that_it_says(
    postgres: str, kafka: Broker, seen: Seen
) -> None:
    async with hop_with_records_and_no_claim(postgres, kafka, seen):
        assert not await seen.effects()


async def test_where_the_claim_fails_the_first_batch_makes_it(postgres: str, kafka: Broker, seen: Seen) -> None:
    async with hop_with_records_and_no_claim(postgres, kafka, seen):
        claiming = "select pid from pg_locks where relation = 'consumer_offset'::regclass and not granted"
        [[before]] = await seen.connection.fetch(claiming)
        await seen.connection.execute("select pg_terminate_backend($1)", before)

        async def another() -> bool:
            return any(pid != before for [pid] in await seen.connection.fetch(claiming))

        await until(another)
