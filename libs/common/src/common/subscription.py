"""The one way to subscribe. FastStream only fetches: batches, manual acknowledgement, a parser that cannot raise, bytes in.

Progress lives in PostgreSQL: on assignment each partition is claimed and sought to the offset stored there. The offsets in Kafka
are a hint for lag displays.
"""

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaAckableMessage

from common import cursors
from common.broker import Broker
from common.consumer import Consumer
from common.cursors import Fenced, Ownership, Partition
from common.telemetry import Telemetry

START_SECONDS = 45
STOP_SECONDS = 5
PATIENCE = 5
"""After so many roll-backs in a row, trouble counts as the fault of an event."""
SIDE_BY_SIDE = 2
"""Transactions at once, over different partitions: while one waits for PostgreSQL, Python works on the other."""
_CHECK_EVERY = 5.0
_STUCK_AFTER = 30.0
_HINT_EVERY = 1.0


class Stuck(Exception):
    """There are records to read and none arrive, or the broker is another one: start again."""


class Subscription(ConsumerRebalanceListener):
    """Brings the records of all topics of one group to its consumer, as long as `run` runs."""

    def __init__(self, consumer: Consumer, broker: Broker, told: Telemetry, *, at_once: int = 2000) -> None:
        """`at_once` records at most make a batch."""
        self._consumer = consumer
        self._broker = broker
        self._told = told
        self._at_once = at_once
        self._claiming = asyncio.Lock()
        self._owned = Ownership("")
        self._failures = [0] * SIDE_BY_SIDE
        self._positions: dict[TopicPartition, int] = {}
        self._hinted_at = 0.0
        self._moved_at = 0.0
        self._busy = 0
        self._subscriber: Any = None
        self.assigned = False

    # life ------------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Consume until cancelled; whatever happens, start again."""
        failures = 0
        while True:
            begun = time.monotonic()
            try:
                await self._live()
            except Exception as error:  # noqa: BLE001  a consumer that gives up is worse than any error
                failures = 0 if time.monotonic() - begun > 60 else failures + 1
                self._told.log.warning("consumer starts again", extra={"error": repr(error)[:256]})
                await asyncio.sleep(min(0.5 * 2**failures, 10.0))

    async def _live(self) -> None:
        """One stay at the broker; ends by an exception only."""
        self._owned = Ownership(await self._broker.incarnation())
        kafka: Any = KafkaBroker(
            self._broker.bootstrap,
            logger=None,
            allow_auto_create_topics=False,
            metadata_max_age_ms=10_000,  # a topic made later is found this soon
        )
        self._subscriber = subscriber = kafka.subscriber(
            *self._consumer.topics,
            group_id=self._consumer.group,
            batch=True,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            max_records=self._at_once,
            batch_timeout_ms=10,  # also the sleep after an empty fetch
            parser=_as_message,
            decoder=_as_is,
            listener=self,
            no_reply=True,
        )
        subscriber(self._on_batch)
        try:
            async with asyncio.timeout(START_SECONDS):
                await kafka.start()
            self._moved_at = time.monotonic()
            while True:
                await asyncio.sleep(_CHECK_EVERY)
                await self._check()
        finally:
            self.assigned = False
            await _leave(kafka, subscriber)

    async def _check(self) -> None:
        """Raise `Stuck` if the broker is another one, or if we do not move although there is something to read (#1154)."""
        if await self._broker.incarnation() != self._owned.incarnation:
            raise Stuck("the broker lives another life")
        consumer = self._subscriber.consumer
        mine = consumer.assignment()
        if not mine or self._busy:
            return
        async with asyncio.timeout(5):
            ends = await consumer.end_offsets(mine)
            behind = {part for part in mine if await consumer.position(part) < ends[part]}
        for topic in {part.topic for part in mine} - {part.topic for part in behind}:
            self._told.metrics.lag.labels(topic).set(0)
        if behind and not self._busy and time.monotonic() - self._moved_at > _STUCK_AFTER:
            raise Stuck(f"nothing arrived for {_STUCK_AFTER:.0f} s although there is something to read")

    # assignment ------------------------------------------------------------------------------------------------------
    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """They may be another's now; the generation in PostgreSQL decides."""
        self._owned.generations.clear()
        self._positions.clear()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Fence the owner before and go on where PostgreSQL says.

        aiokafka swallows what is raised here, and it may deliver records before this returns; so `_take` claims too."""
        self.assigned = True
        self._moved_at = time.monotonic()
        await self._claim(Partition(*part) for part in assigned)

    async def _claim(self, parts: Iterable[Partition]) -> set[Partition]:
        """Make these partitions ours, where they are not yet; says which were not."""
        async with self._claiming:
            missing = {part for part in parts if part not in self._owned.generations}
            if missing:
                async with self._consumer.database.transaction() as tx:
                    claims = await cursors.claim(tx, self._consumer.group, self._owned.incarnation, missing)
                for claim in claims:
                    self._owned.generations[claim.partition] = claim.generation
                    self._owned.next[claim.partition] = claim.offset
                    self._seek(claim.partition, claim.offset)
            return missing

    def _seek(self, part: Partition, offset: int) -> None:
        try:
            self._subscriber.consumer.seek(TopicPartition(*part), offset)
        except IllegalStateError:  # no longer ours
            self._owned.generations.pop(part, None)

    # batches ---------------------------------------------------------------------------------------------------------
    async def _on_batch(self, records: Any) -> None:
        """Share the partitions out to transactions that run side by side. A key lives in one partition, so in one of them."""
        shares: list[list[ConsumerRecord]] = [[] for _ in range(SIDE_BY_SIDE)]
        for record in records.all:
            shares[record.partition % SIDE_BY_SIDE].append(record)
        self._busy += 1
        try:
            await asyncio.gather(*(self._take(number, share) for number, share in enumerate(shares) if share))
        finally:
            self._busy -= 1
            self._moved_at = time.monotonic()

    async def _take(self, share: int, records: Sequence[ConsumerRecord]) -> None:
        first: dict[Partition, int] = {}
        after: dict[Partition, int] = {}
        for record in records:
            part = Partition(record.topic, record.partition)
            first.setdefault(part, record.offset)
            after[part] = record.offset + 1
        try:
            claimed = await self._claim(after)  # usually none
            if claimed:  # they were sought to the stored offset and come again
                records = [record for record in records if Partition(record.topic, record.partition) not in claimed]
                after = {part: offset for part, offset in after.items() if part not in claimed}
            stored = self._owned.next
            if any(first[part] < stored.get(part, 0) for part in after):  # fetched before that seek
                records = [r for r in records if r.offset >= stored.get(Partition(r.topic, r.partition), 0)]
                after = {part: max(offset, stored.get(part, 0)) for part, offset in after.items()}
            if records:
                await self._consumer.store(records, after, self._owned, patient=self._failures[share] < PATIENCE)
                stored |= after
        except Exception as error:  # noqa: BLE001  whatever it was: nothing is committed, so go back and try again
            self._failures[share] += 1  # a count for each share: the other one's success says nothing about this one
            await self._go_back(first, error, self._failures[share])
        else:
            self._failures[share] = 0
            await self._hint(after)

    async def _go_back(self, first: Mapping[Partition, int], error: Exception, failures: int) -> None:
        self._told.metrics.rolled_back.inc()
        self._told.log.warning("batch rolled back", extra={"in_a_row": failures, "error": repr(error)[:256]})
        for part, offset in first.items():
            self._seek(part, offset)
            if isinstance(error, Fenced):
                self._owned.generations.pop(part, None)
        await asyncio.sleep(min(0.05 * 2**failures, 5.0))

    async def _hint(self, after: Mapping[Partition, int]) -> None:
        """Tell Kafka how far we are, now and then; only lag displays read it. Explicit offsets, errors ignored (#929)."""
        self._positions |= {TopicPartition(*part): offset for part, offset in after.items()}
        now = time.monotonic()
        if now - self._hinted_at < _HINT_EVERY:
            return
        self._hinted_at = now
        try:
            async with asyncio.timeout(2):
                await self._subscriber.consumer.commit(dict(self._positions))
        except Exception as error:  # noqa: BLE001
            self._told.log.info("offsets not committed", extra={"error": repr(error)[:256]})


class Records:
    """A batch of raw records. A class of its own, so that FastStream does not take it for a list of arguments."""

    __slots__ = ("all",)

    def __init__(self, all_: Sequence[ConsumerRecord]) -> None:
        self.all = all_


async def _as_message(records: tuple[ConsumerRecord, ...]) -> KafkaAckableMessage:
    """Replaces FastStream's parser, which decodes every header of every record and loses the batch when one is not UTF-8."""
    return KafkaAckableMessage(body=Records(records), raw_message=records, headers={}, batch_headers=[], consumer=FAKE_CONSUMER)


async def _as_is(message: KafkaAckableMessage) -> Any:
    return message.body


async def _leave(kafka: Any, subscriber: Any) -> None:
    """Say farewell, within a deadline: aiokafka's stop may wait for ever, and the protocol needs no farewell."""
    tasks, consumer = list(subscriber.tasks), subscriber.consumer
    with contextlib.suppress(Exception):
        async with asyncio.timeout(STOP_SECONDS):
            await kafka.stop()
            return
    for task in tasks:
        task.cancel()
    if consumer is not None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                await consumer._client.close()
