"""The partitions of a reader are shared out to transactions that run side by side; none waits for another's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition

from common.contracts.catalog import ExchangeRatePublished
from common.errors import TryAgain
from common.messaging.consumer import Arrived
from common.messaging.placement import partition_of
from common.messaging.stay import SIDE_BY_SIDE, Stay
from common.messaging.subscription import Subscription
from common.service import Service
from common.telemetry import Telemetry
from common.transaction import Transaction
from tests.brokers import Broker
from tests.common.hop import MIGRATIONS, RATES, Seen, Source, looking_at, rate, record_rates, settings, until

SLOW = "JPY"
QUICK = next(key for key in ("EUR", "GBP", "THB", "VND", "IDR") if (partition_of(key, 4) - partition_of(SLOW, 4)) % SIDE_BY_SIDE)
"""A currency whose partition is in another share than that of SLOW, on the embedded broker's four partitions."""


class Hesitant:
    """A handler that keeps the slow one's first event until it is told how to go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.told = asyncio.Event()
        self.fails = False

    async def __call__(self, events: Sequence[Arrived[ExchangeRatePublished]], tx: Transaction) -> None:
        if any(arrived.event.key == SLOW for arrived in events) and not self.told.is_set():
            self.reached.set()
            await self.told.wait()
            if self.fails:
                raise TryAgain("ill", {"en": "the world is ill for a moment"})
        await record_rates(events, tx)


class World:
    """A source, and a hop that hesitates."""

    def __init__(self, source: Source, hop: Service, seen: Seen, handler: Hesitant) -> None:
        self.source = source
        self.handler = handler
        self.seen = seen
        self._hop = hop

    async def took(self, key: str, sequence: int) -> bool:
        return (key, sequence) in await self.seen.effects()

    @property
    def subscription(self) -> Subscription:
        return self._hop._subscriptions["hop"]

    @property
    def stay(self) -> Stay:
        return self.subscription._stay

    def next_batch_waits(self) -> bool:
        """Whether a batch is there whose share has not ended the one before."""
        return self.stay._handing_over

    def told(self, metric: str, **labels: str) -> float:
        return self._hop.telemetry.registry.get_sample_value(f"musubi_{metric}_total", labels) or 0


@asynccontextmanager
async def hesitating(postgres: str, kafka: Broker) -> AsyncIterator[World]:
    handler = Hesitant()
    hop = Service("hop", settings(postgres, kafka), migrations=MIGRATIONS, telemetry=Telemetry("hop", log_level="CRITICAL"))
    hop.on_events({ExchangeRatePublished: handler})
    async with Source(postgres, kafka).running() as source, hop.lifespan(), looking_at(postgres, "hop") as seen:
        await source.emit(rate(SLOW))
        await asyncio.wait_for(handler.reached.wait(), 20)
        yield World(source, hop, seen, handler)


@pytest.fixture
async def world(postgres: str, kafka: Broker) -> AsyncIterator[World]:
    async with hesitating(postgres, kafka) as world:
        yield world


async def test_a_slow_transaction_holds_up_only_the_partitions_of_its_own_share(world: World) -> None:
    for sequence in (1, 2):  # one batch, and one more
        await world.source.emit(rate(QUICK))
        await until(lambda sequence=sequence: world.took(QUICK, sequence))
    assert not await world.took(SLOW, 1), "it is still in work"

    world.handler.told.set()
    await until(lambda: world.took(SLOW, 1))


async def test_what_was_fetched_before_a_roll_back_comes_again_after_it(world: World) -> None:
    await world.source.emit(rate(SLOW))
    await until(world.next_batch_waits)

    world.handler.fails = True
    world.handler.told.set()

    await until(lambda: world.took(SLOW, 2))
    assert await world.seen.effects() == [(SLOW, 1), (SLOW, 2)]
    assert world.told("batches_rolled_back") == 1
    assert world.told("events", topic=RATES, outcome="repeat") == 0


async def test_what_waits_while_its_partition_is_given_anew_comes_again_under_the_new_claim(world: World) -> None:
    await world.source.emit(rate(SLOW))
    await until(world.next_batch_waits)
    part = TopicPartition(RATES, partition_of(SLOW, 4))

    await world.stay.on_partitions_revoked([part])  # as aiokafka does in a rebalance
    claiming = asyncio.create_task(world.stay.on_partitions_assigned([part]))
    world.handler.told.set()
    await claiming

    await until(lambda: world.took(SLOW, 2))
    await world.source.emit(rate(SLOW))
    await until(lambda: world.took(SLOW, 3))
    assert await world.seen.effects() == [(SLOW, 1), (SLOW, 2), (SLOW, 3)]
    assert world.told("events", topic=RATES, outcome="repeat") == 0, "nothing was taken that was fetched before"


async def test_who_stops_begins_nothing_more_and_ends_what_is_in_work(world: World) -> None:
    await world.source.emit(rate(SLOW))
    await until(world.next_batch_waits)

    stopping = asyncio.create_task(world.subscription.stop(10))
    await until(lambda: world.stay.stopping)
    world.handler.told.set()
    await stopping

    assert await world.seen.effects() == [(SLOW, 1)]


async def test_a_stay_that_ends_rolls_back_what_is_in_work_and_leaves_nothing_behind(world: World) -> None:
    await world.source.emit(rate(SLOW))
    await until(world.next_batch_waits)

    await world.stay.end()
    world.handler.told.set()
    await until(lambda: not world.stay.busy)

    assert await world.seen.effects() == []
