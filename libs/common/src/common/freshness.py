"""How old the oldest thing is that still waits: a batch to be sent, an event to be read, what is held back, what one service has.

Looked at every few seconds, beside the work and never for each event, and told as metrics (decision 0075). A reader that stands
still does not say so itself; so the broker is asked how far the logs go, and PostgreSQL how far the group is. All processes of a
service see the same.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from common import freshness_store as store
from common import telemetry
from common.freshness_store import Held
from common.messaging import kafka_log
from common.messaging.broker import Broker
from common.messaging.consumer import Consumer
from common.messaging.message import Partition
from common.postgres import Database
from common.transaction import Transaction

LOOK_SECONDS = 5.0
COUNT_SECONDS = 30.0
"""What is held is counted this seldom: a count looks at every row."""
GRACE_SECONDS = 0.5
"""What is read within this time does not count as waiting: between two questions there is always something on its way."""
MISSED_LOOKS = 6
"""After so many looks in a row that failed, what was seen last is not told any more."""
_LONGEST_LOOK_SECONDS = 20.0
_ASKED_AGAIN = 3
"""Each costs a second where the broker is as slow as before."""
_REASONS = ("poison", "gap", "behind", "fetched", "dead")
_QUARANTINE = "quarantine"
_NONE = Held(0, 0.0)

Question = Callable[[Transaction], Awaitable[float]]
"""Asks the database for the age in seconds of the oldest thing of one kind that waits; 0 where none does."""


class Age(NamedTuple):
    """One age to be told: the metric's name, what it means, and whom to ask."""

    metric: str
    meaning: str
    question: Question


class _Head(NamedTuple):
    """The first record of a partition that the group has not dealt with: where, since when, and whether that is a guess."""

    incarnation: str
    offset: int
    written: float
    guessed: bool


@dataclass
class _Look:
    """One kind of look: how often it is due, when it last came off, and when it was last tried."""

    every: float
    seen: float = float("-inf")
    tried: float = float("-inf")

    def succeeded(self) -> None:
        self.seen = time.monotonic()

    def due(self) -> bool:
        """Is it time? If so, it counts as tried."""
        due = time.monotonic() - self.tried >= self.every
        self.tried = time.monotonic() if due else self.tried
        return due

    @property
    def fresh(self) -> bool:
        return time.monotonic() - self.seen < MISSED_LOOKS * self.every


class Freshness(Collector):
    """Two background steps, and what they saw, for the registry. Where a look fails again and again nothing is claimed any more:
    the ages vanish, and only the time since the last look grows."""

    def __init__(self, database: Database, broker: Broker, registry: CollectorRegistry) -> None:
        self._database = database
        self._broker = broker
        self._consumers: list[Consumer] = []
        self._began = time.monotonic()
        self._looks = {"database": _Look(LOOK_SECONDS)}
        self._questions = [
            Age(telemetry.OLDEST_UNSENT_BATCH, "Age of the oldest batch that waits to be sent", store.oldest_unsent)
        ]
        self._ages: dict[str, float] = {}
        self._held: Mapping[str, Held] = {}
        self._unprocessed: Mapping[str, float] = {}
        self._heads: dict[Partition, _Head] = {}
        registry.register(self)

    def watch(self, age: Age) -> None:
        """Look at this, too."""
        self._questions.append(age)

    def reads(self, consumer: Consumer) -> None:
        """There is a group here, which has topics of its own: look how far it is, and what it holds."""
        self._consumers.append(consumer)
        self._looks |= {"log": _Look(LOOK_SECONDS), "held": _Look(COUNT_SECONDS)}

    # looking ---------------------------------------------------------------------------------------------------------
    async def look_at_database(self) -> bool:
        """A background step: the outbox, what only this service has, and now and then what is held."""
        async with self._database.reading() as tx:
            await store.no_longer_than_it_may(tx)
            self._ages = {age.metric: await age.question(tx) for age in self._questions}
        self._looks["database"].succeeded()
        if self._consumers and self._looks["held"].due():
            await self._look_at_held()
        return False

    async def _look_at_held(self) -> None:
        held: dict[str, Held] = {}
        async with self._database.reading() as tx:
            await store.no_longer_than_it_may(tx)
            for group in [consumer.group for consumer in self._consumers]:
                found = {**await store.held_events(tx, group), _QUARANTINE: await store.held_records(tx, group)}
                for reason, (amount, oldest) in found.items():
                    before = held.get(reason, _NONE)
                    held[reason] = Held(before.amount + amount, max(before.oldest, oldest))
        self._held = held
        self._looks["held"].succeeded()

    async def look_at_log(self) -> bool:
        """A background step: how old the oldest event is that its group has not dealt with, in each topic."""
        topics = [topic for consumer in self._consumers for topic in consumer.topics]
        async with asyncio.timeout(_LONGEST_LOOK_SECONDS):
            incarnation, ends = await self._broker.ends_of(topics)
            await asyncio.sleep(GRACE_SECONDS)
            async with self._database.reading() as tx:
                await store.no_longer_than_it_may(tx)
                next_: dict[Partition, int] = {}
                for consumer in self._consumers:
                    progress = await store.progress(tx, consumer.group, incarnation)
                    next_ |= {part: at for part, at in progress.items() if part.topic in consumer.topics}
            behind = {part: next_.get(part, 0) for part, end in ends.items() if next_.get(part, 0) < end}
            await self._look_at_heads(incarnation, behind)
        now, oldest = time.time(), dict.fromkeys(topics, 0.0)
        for part, head in self._heads.items():
            oldest[part.topic] = max(oldest[part.topic], now - head.written)
        self._unprocessed = oldest
        self._looks["log"].succeeded()
        return False

    async def _look_at_heads(self, incarnation: str, behind: Mapping[Partition, int]) -> None:
        """Since when each first unread record lies there. What the broker said at an earlier look is not asked again; where it
        was too slow to say, that is told since we saw it, and asked again, a few at each look."""
        known = {part: head for part, head in self._heads.items() if head[:2] == (incarnation, behind.get(part))}
        guessed = [part for part, head in known.items() if head.guessed]
        asked = {part: offset for part, offset in behind.items() if part not in known or part in guessed[:_ASKED_AGAIN]}
        if asked:
            async with kafka_log.opened(self._broker.bootstrap, self._broker.login) as log:
                written = await log.written_at(asked)
            now = time.time()
            for part, offset in asked.items():  # to the end, so that the other guesses have their turn at the next look
                guess = known.pop(part).written if part in known else now
                known[part] = _Head(incarnation, offset, written.get(part, guess), part not in written)
        self._heads = known

    # telling ---------------------------------------------------------------------------------------------------------
    def describe(self) -> Iterator[Metric]:
        """Nothing is asked for when this is registered."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """What was seen last, if that is not long ago."""
        looked = GaugeMetricFamily(telemetry.LOOK_AGE, "Time since this was last looked at with success", labels=["at"])
        for name, look in self._looks.items():
            looked.add_metric([name], time.monotonic() - max(look.seen, self._began))
        yield looked
        if self._looks["database"].fresh:
            for age in self._questions:
                yield GaugeMetricFamily(age.metric, age.meaning, value=self._ages[age.metric])
        if self._consumers:
            yield from self._of_groups()

    def _of_groups(self) -> Iterator[Metric]:
        if self._looks["log"].fresh:
            meaning = "Age of the oldest event that the group has not dealt with"
            ages = GaugeMetricFamily(telemetry.OLDEST_UNPROCESSED, meaning, labels=["group", "topic"])
            for consumer in self._consumers:
                for topic in self._unprocessed.keys() & consumer.topics:
                    ages.add_metric([consumer.group, topic], self._unprocessed[topic])
            yield ages
        if self._looks["held"].fresh:
            oldest = GaugeMetricFamily(telemetry.OLDEST_HELD, "Age of the oldest that is held, by reason", labels=["reason"])
            amounts = GaugeMetricFamily(telemetry.PARKED, "Events that are held, by reason", labels=["reason"])
            for reason in (*_REASONS, _QUARANTINE):
                oldest.add_metric([reason], self._held.get(reason, _NONE).oldest)
            for reason in _REASONS:
                amounts.add_metric([reason], self._held.get(reason, _NONE).amount)
            yield oldest
            yield amounts
            amount = self._held.get(_QUARANTINE, _NONE).amount
            yield GaugeMetricFamily(telemetry.QUARANTINED, "Records that are no event and wait for somebody", value=amount)
