"""The partitions of a reader are shared out to transactions that run side by side; none waits for another's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from common.contracts.catalog import ExchangeRatePublished
from common.errors import TryAgain
from common.messaging.consumer import Arrived
from common.messaging.publisher import partition_of
from common.messaging.subscription import SIDE_BY_SIDE
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

    def next_batch_waits(self) -> bool:
        """Whether a batch is there whose share has not ended the one before."""
        subscription: Any = self._hop._subscription
        return subscription._handing_over

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
