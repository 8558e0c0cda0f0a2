"""The one way to subscribe: a batch of raw records becomes one PostgreSQL transaction behind the gate.

FastStream only fetches: batches, manual acknowledgement, a parser that cannot raise, bytes in. Progress lives in PostgreSQL; the
offsets in Kafka are a hint for lag displays. Correctness rests on one thing: a cursor moves by compare-and-set in the
transaction of the effect.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import asyncpg
from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaAckableMessage

from common import cursors, gate, parked
from common.broker import Broker
from common.contracts.registry import FACTS, TOPICS, Topic
from common.contracts.values import Fact
from common.cursors import Conflict, Fenced, Partition
from common.decoding import decode, to_facts
from common.errors import TryAgain
from common.event_spans import EventSpans
from common.gate import Halving, LaneKey, Place
from common.message import Event
from common.postgres import Database
from common.telemetry import Telemetry
from common.transaction import Transaction

F = TypeVar("F", bound=Fact)


@dataclass(frozen=True, slots=True)
class Arrived(Generic[F]):
    """One event that arrived, decoded."""

    event: Event
    data: F


Handler = Callable[[Sequence[Arrived[Any]], Transaction], Awaitable[None]]
"""Takes a list of events of one type, each key's in order. Nothing that leaves the process happens in it."""

START_SECONDS = 45
STOP_SECONDS = 5
HANDLER_SECONDS = 30
"""For all events of one savepoint; longer is treated as trouble of the outside world, tried again, then cut in halves."""
PATIENCE = 5
"""After so many roll-backs in a row, trouble counts as the fault of an event."""
SIDE_BY_SIDE = 2
"""Transactions at once, over different partitions: while one waits for PostgreSQL, Python works on the other."""
_CHECK_EVERY = 5.0
_STUCK_AFTER = 30.0
_HINT_EVERY = 1.0


class Stuck(Exception):
    """There are records to read and none arrive, or the broker is another one: start again."""


def outside_trouble(error: BaseException) -> bool:
    """Is the world ill (roll back, wait, try again) or is the event (park it)?"""
    ill = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError, TryAgain, Conflict, Fenced)
    state = getattr(error, "sqlstate", None) or ""
    return isinstance(error, ill) or state[:2] in {"08", "25", "40", "53", "55", "57", "58", "XX"}


class Consumer(ConsumerRebalanceListener):
    """Runs the handlers of one group; one subscriber for all its topics."""

    def __init__(
        self,
        database: Database,
        group: str,
        handlers: Mapping[type[Fact], Handler],
        broker: Broker,
        told: Telemetry,
        *,
        facts: Mapping[str, type[Fact]] = FACTS,
        topics: Mapping[str, Topic] = TOPICS,
        at_once: int = 2000,
        before: Handler | None = None,
        after_batch: Callable[[], None] | None = None,
    ) -> None:
        """`at_once` records at most make a batch; `before` sees the events of all types before the handlers do, to take
        locks in one order; `after_batch` is told after each commit."""
        self._database = database
        self._group = group
        self._broker = broker
        self._told = told
        self._facts = facts
        self._handled = {kind.type: kind for kind in handlers}
        self._handlers = {kind.type: handler for kind, handler in handlers.items()}
        self._topics = sorted({kind.topic for kind in handlers})
        self._dense = frozenset(name for name in self._topics if topics[name].kind == "facts")
        self._at_once = at_once
        self._before = before
        self._after_batch = after_batch
        self._claiming = asyncio.Lock()
        self._incarnation = ""
        self._generations: dict[Partition, int] = {}
        self._failures = [0] * SIDE_BY_SIDE
        self._positions: dict[TopicPartition, int] = {}
        self._hinted_at = 0.0
        self._moved_at = 0.0
        self._busy = 0
        self._subscriber: Any = None
        self.assigned = False
        self.reachable = False

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
        self.assigned = self.reachable = False
        self._incarnation = await self._broker.incarnation()
        self.reachable = True
        kafka: Any = KafkaBroker(
            self._broker.bootstrap,
            logger=None,
            allow_auto_create_topics=False,
            metadata_max_age_ms=10_000,  # a topic made later is found this soon
        )
        self._subscriber = subscriber = kafka.subscriber(
            *self._topics,
            group_id=self._group,
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
            self.assigned = self.reachable = False
            self._generations.clear()
            await _leave(kafka, subscriber)

    async def _check(self) -> None:
        """Raise `Stuck` if the broker is another one, or if we do not move although there is something to read (#1154)."""
        if await self._broker.incarnation() != self._incarnation:
            raise Stuck("the broker lives another life")
        consumer = self._subscriber.consumer
        mine = consumer.assignment()
        if not mine or self._busy:
            return
        async with asyncio.timeout(5):
            ends = await consumer.end_offsets(mine)
            positions = {part: await consumer.position(part) for part in mine}
        for topic in self._topics:
            if all(positions[part] >= ends[part] for part in mine if part.topic == topic):
                self._told.metrics.lag.labels(topic).set(0)
        behind = any(positions[part] < ends[part] for part in mine)
        if behind and not self._busy and time.monotonic() - self._moved_at > _STUCK_AFTER:
            raise Stuck(f"nothing arrived for {_STUCK_AFTER:.0f} s although there is something to read")

    # assignment ------------------------------------------------------------------------------------------------------
    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """They may be another's now; the generation in PostgreSQL decides."""
        self._generations.clear()
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
            missing = {part for part in parts if part not in self._generations}
            if missing:
                async with self._database.transaction() as tx:
                    claims = await cursors.claim(tx, self._group, self._incarnation, missing)
                for claim in claims:
                    self._generations[claim.partition] = claim.generation
                    self._seek(claim.partition, claim.offset)
            return missing

    def _seek(self, part: Partition, offset: int) -> None:
        try:
            self._subscriber.consumer.seek(TopicPartition(*part), offset)
        except IllegalStateError:  # no longer ours
            self._generations.pop(part, None)

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
            if records:
                await self._store(records, after, patient=self._failures[share] < PATIENCE)
        except Exception as error:  # noqa: BLE001  whatever it was: nothing is committed, so go back and try again
            self._failures[share] += 1
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
                self._generations.pop(part, None)
        await asyncio.sleep(min(0.05 * 2**failures, 5.0))

    async def _store(self, records: Sequence[ConsumerRecord], after: Mapping[Partition, int], *, patient: bool) -> None:
        """One batch in one transaction: fence, gate, handlers, cursors."""
        found = decode(records, self._facts)
        with EventSpans(self._told, self._group, found.records) as spans:
            async with self._database.transaction() as tx:
                await cursors.fence(tx, self._group, self._incarnation, self._generations, after)
                lanes = await cursors.lanes(tx, self._group, found.events)
                plan = gate.sort(found.events, lanes, self._dense)
                facts, refused = to_facts(plan.run, found.values, self._handled)
                work = Halving(plan.run, self._dense, refused)
                tx.handled_in(spans.begin(plan.run))
                while part := work.next():
                    try:
                        async with tx.savepoint(), asyncio.timeout(HANDLER_SECONDS):
                            await self._handle(part, facts, tx)
                    except Exception as error:
                        if outside_trouble(error) and (patient or isinstance(error, Conflict)):
                            raise
                        work.failed(repr(error)[:1000].replace("\x00", "�"))
                    else:
                        work.succeeded()
                reached = gate.reached(work.done)
                await cursors.move(tx, self._group, lanes, reached)
                waiting = plan.parked + work.parked
                if waiting:
                    await parked.park(tx, self._group, waiting)
                healed = self._healed(reached, lanes, waiting)
                if healed:
                    await parked.supersede(tx, self._group, healed)
                if found.broken:
                    await parked.quarantine(tx, self._group, self._incarnation, found.broken)
            spans.parked(waiting)
        self._report(records, plan, work.done, waiting, found.broken)
        if self._after_batch is not None:
            self._after_batch()

    async def _handle(self, events: Sequence[Event], facts: Mapping[Place, Fact], tx: Transaction) -> None:
        if self._before is not None:
            await self._before([Arrived(event, facts[event[:3]]) for event in events if event.type in self._handlers], tx)
        for run in gate.runs(events):
            handler = self._handlers.get(run[0].type)
            if handler is not None:  # else: of a topic that we read, but of no interest to us
                await handler([Arrived(event, facts[event[:3]]) for event in run], tx)

    def _healed(
        self, reached: Mapping[LaneKey, int], lanes: Mapping[LaneKey, gate.Lane], waiting: Sequence[gate.Parked]
    ) -> dict[LaneKey, int]:
        """State topics: the keys whose newer version took effect while an older one waited."""
        waits = {event[:2] for event, *_ in waiting}
        return {
            where: last
            for where, last in reached.items()
            if where.topic not in self._dense and (where in waits or (where in lanes and lanes[where].head is not None))
        }

    def _report(
        self,
        records: Sequence[ConsumerRecord],
        plan: gate.Plan,
        done: Sequence[Event],
        waiting: Sequence[gate.Parked],
        broken: Sequence[Any],
    ) -> None:
        count = self._told.metrics.events
        for outcome, events in (("handled", done), ("repeat", plan.repeats), ("parked", [item.event for item in waiting])):
            for topic in {event.topic for event in events}:
                count.labels(topic, outcome).inc(sum(event.topic == topic for event in events))
        for record, reason in broken:
            count.labels(record.topic, "quarantined").inc()
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            self._told.log.error("record in quarantine", extra=place | {"reason": reason[:80]})
        for event, reason, refusal in waiting:
            which = {"topic": event.topic, "key": event.key, "sequence": event.sequence, "event": event.id, "type": event.type}
            self._told.log.error("event parked", extra=which | {"reason": reason, "field": refusal and refusal.pointer})
        now = time.time()
        for topic, sent in {record.topic: record.timestamp for record in reversed(records)}.items():
            if sent > 0:
                self._told.metrics.lag.labels(topic).set(max(0.0, now - sent / 1000))

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


async def _leave(kafka: KafkaBroker, subscriber: Any) -> None:
    """Say farewell, within a deadline: aiokafka's stop may wait for ever, and the protocol needs no farewell."""
    tasks, consumer = list(getattr(subscriber, "tasks", ())), subscriber.consumer
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
