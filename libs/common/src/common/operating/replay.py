"""Hands events that took effect before to a group's handlers again, past the gate, beside the running service.

Two readings of the log: the first only notes what is there and chooses (`replay_choice`), the second hands over what was chosen,
in transactions. Cursors are not moved but held, so that the service and the replay never handle one key at the same time.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import ConsumerRecord

from common.errors import TryAgain
from common.messaging import cursors
from common.messaging.consumer import Consumer, outside_trouble
from common.messaging.gate import Halving, LaneKey, Parked
from common.messaging.kafka_log import KafkaLog, Stretch
from common.messaging.message import Broken, Event, Partition, happened, parse
from common.operating import replay_store
from common.operating.replay_choice import Choice, InOrder, PassedOver, Stored, choose

AT_ONCE = 200
"""Events in one transaction; the service waits for their keys meanwhile."""
ATTEMPTS = 5
"""So often a transaction is tried when the database is in trouble."""
KEYS_AT_ONCE = 5000

_AWAY = {
    "en": "The database is in trouble. What was replayed before stays; please run it again later.",
    "ja": "データベースに問題があります。ここまでの再処理は保存されています。あとで再実行してください。",
}


class Asked(NamedTuple):
    """What to replay: of which topics, from one moment up to (not with) another, and of one key or of all.

    `by_event_time`: on a broker that is sent everything again in each life the time at which a record was stored means nothing,
    so there the event's own time counts."""

    topics: Sequence[str]
    begin: datetime
    end: datetime
    key: str | None = None
    by_event_time: bool = False


class Failed(NamedTuple):
    """An event whose handler failed, or whose data breaks its contract. It had no effect in the replay."""

    topic: str
    key: str
    sequence: int
    type: str
    pointer: str
    error: str


@dataclass
class Report:
    """What a replay did: events handled and facts announced by type, what failed, and what was passed over and why."""

    handled: Counter[str] = field(default_factory=Counter)
    announced: Counter[str] = field(default_factory=Counter)
    failed: list[Failed] = field(default_factory=list)
    passed_over: Counter[PassedOver] = field(default_factory=Counter)


async def look(log: KafkaLog, consumer: Consumer, asked: Asked) -> Choice:
    """Read the log and choose; changes nothing. Raises `TryAgain` where broker or database do not answer."""
    seen: dict[LaneKey, dict[int, Stored]] = {}
    whole = await log.whole(asked.topics)
    begins, ends = dict.fromkeys(whole, 0), {part: stretch.end for part, stretch in whole.items()}
    if not asked.by_event_time:
        begins, ends = await log.offsets_at(asked.begin, whole), await log.offsets_at(asked.end, whole)
    stretches = {
        part: Stretch(max(begins[part], stretch.first), ends[part] if part.topic in consumer.dense else stretch.end)
        for part, stretch in whole.items()
    }
    unreadable = 0
    async for records in log.read(stretches):
        for record in records:
            event = parse(record)
            inside = record.offset < ends[Partition(record.topic, record.partition)]
            if isinstance(event, Broken):
                unreadable += inside and not asked.by_event_time
            elif event.type in consumer.types and asked.key in (None, event.key):
                if asked.by_event_time:
                    inside = asked.begin <= _moment(event, record) < asked.end
                if inside or event.topic not in consumer.dense:
                    stored = Stored(record.partition, record.offset, inside)
                    _note(seen.setdefault(event[:2], {}), event.sequence, stored)
    choice = await _choose(consumer, asked, seen)
    if unreadable:
        choice.passed_over[PassedOver.UNREADABLE] += unreadable
    return choice


def _note(versions: dict[int, Stored], sequence: int, stored: Stored) -> None:
    """The first record of an event is the one that took effect; it counts as inside if any of its repeats is."""
    first = versions.get(sequence)
    versions[sequence] = stored if first is None else first._replace(in_range=first.in_range or stored.in_range)


def _moment(event: Event, record: ConsumerRecord) -> datetime:
    """When the event happened, as it says itself; when it was stored, where it names a day that never was."""
    return happened(event) or datetime.fromtimestamp(max(0, record.timestamp) / 1000, UTC)


async def _choose(consumer: Consumer, asked: Asked, seen: Mapping[LaneKey, Mapping[int, Stored]]) -> Choice:
    keys: dict[str, list[str]] = {}
    for topic, key in seen:
        keys.setdefault(topic, []).append(key)
    lasts: dict[LaneKey, int] = {}
    async with consumer.database.reading() as tx:
        for topic, all_ in keys.items():
            for begin in range(0, len(all_), KEYS_AT_ONCE):
                lasts |= await cursors.lasts(tx, consumer.group, topic, all_[begin : begin + KEYS_AT_ONCE])
        decided = await replay_store.decided(tx, consumer.group, asked.topics)
    return choose(seen, lasts, decided, consumer.dense)


class _RolledBack(Exception):
    """The end of a dry run's transaction."""


class Replay:
    """Carries out a choice. In a dry run every transaction is rolled back, so none sees what the one before did."""

    def __init__(self, log: KafkaLog, consumer: Consumer, choice: Choice, *, dry_run: bool, at_once: int = AT_ONCE) -> None:
        self._log = log
        self._consumer = consumer
        self._choice = choice
        self._dry_run = dry_run
        self._at_once = at_once
        self._blocked: set[LaneKey] = set()
        self.report = Report(passed_over=Counter(choice.passed_over))

    async def run(self) -> Report:
        """Raises `TryAgain` where broker or database do not answer; what was committed before stays, see `report`."""
        batch: list[Event] = []
        async for event in self._chosen():
            batch.append(event)
            if len(batch) >= self._at_once:
                await self._persist(batch)
                batch = []
        if batch:
            await self._persist(batch)
        return self.report

    async def _chosen(self) -> AsyncIterator[Event]:
        """The chosen events from the log, each key's in order."""
        in_order: InOrder[Event] = InOrder(self._choice.runs)
        places = self._choice.places
        async for records in self._log.read({part: Stretch(min(of), max(of) + 1) for part, of in places.items()}):
            for record in records:
                place = places[Partition(record.topic, record.partition)].get(record.offset)
                if place is not None:
                    for event in in_order.take(place, self._as_event(record)):
                        yield event
        for event in in_order.rest():
            yield event

    def _as_event(self, record: ConsumerRecord) -> Event | None:
        event = parse(record)
        if isinstance(event, Event):
            return event
        self.report.passed_over[PassedOver.UNREADABLE] += 1
        return None

    async def _persist(self, events: Sequence[Event]) -> None:
        """One batch, again where the database is in trouble: a deadlock with the service, a restart."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._hand_over(events)
                return
            except Exception as error:
                if not outside_trouble(error):
                    raise
                if attempt == ATTEMPTS:
                    raise TryAgain("database-away", _AWAY) from error
                await asyncio.sleep(0.2 * 2**attempt)

    async def _hand_over(self, events: Sequence[Event]) -> None:
        consumer = self._consumer
        free = [event for event in events if event[:2] not in self._blocked]
        still, work, announced = free, Halving([], ()), Counter[str]()
        with contextlib.suppress(_RolledBack), consumer.spans() as spans:
            async with consumer.database.transaction() as tx:
                tx.replaying = True
                lasts = await replay_store.hold(tx, consumer.group, {event[:2] for event in free})
                still = [event for event in free if event.topic in consumer.dense or lasts.get(event[:2]) == event.sequence]
                work = await consumer.work_through(tx, still, spans, patient=True)
                announced = Counter(event.type for event in tx.emitted)
                if self._dry_run:
                    raise _RolledBack
        self._count(work.done, announced, work.parked)
        over = self.report.passed_over
        over[PassedOver.BEHIND] += len(events) - len(free)
        over[PassedOver.MOVED_ON] += len(free) - len(still)
        self.report.passed_over = +over

    def _count(self, done: Sequence[Event], announced: Counter[str], parked: Sequence[Parked]) -> None:
        report = self.report
        report.handled.update(event.type for event in done)
        report.announced.update(announced)
        for event, reason, refusal in parked:
            if reason == "behind" or refusal is None:
                report.passed_over[PassedOver.BEHIND] += 1
            else:
                report.failed.append(Failed(*event[:3], event.type, refusal.pointer, refusal.error))
            if event.topic in self._consumer.dense:
                self._blocked.add(event[:2])
