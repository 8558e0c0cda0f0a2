"""What happens to the events that arrive: one batch of raw records becomes one PostgreSQL transaction behind the gate.

Correctness rests on one thing: a cursor moves by compare-and-set in the transaction of the effect. How records get here is the
business of `common.messaging.stay`. Parked events and replays come by `work_through` alone and so meet the same code as
fresh ones.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import asyncpg
from aiokafka import ConsumerRecord

from common.contracts.registry import FACTS, TOPICS, Topic
from common.contracts.values import Fact
from common.errors import TryAgain
from common.messaging import cursors, dead_letters, gate, parked
from common.messaging.cursors import Conflict, Fenced, Ownership, Partition
from common.messaging.decoding import decode, to_facts
from common.messaging.event_spans import EventSpans
from common.messaging.gate import Halving, LaneKey
from common.messaging.message import Broken, Event, Record
from common.postgres import Database
from common.telemetry import Telemetry
from common.transaction import Transaction

F = TypeVar("F", bound=Fact)

HANDLER_SECONDS = 30
"""For all events of one transaction; longer is treated as trouble of the outside world: tried again, then cut in halves."""
_FEWEST_SECONDS = 5


@dataclass(slots=True)  # not frozen: that would make it three times as dear, and there is one for every event
class Arrived(Generic[F]):
    """One event that arrived, decoded."""

    event: Event
    data: F


Handler = Callable[[Sequence[Arrived[Any]], Transaction], Awaitable[None]]
"""Takes a list of events of one type, each key's in order. Nothing that leaves the process happens in it."""

Note = Callable[[Sequence[Event], Sequence[Event]], None]
"""Is told, after a commit, which events took effect in it and what was announced."""


def outside_trouble(error: BaseException) -> bool:
    """Is the world ill (roll back, wait, try again) or is the event (park it)?"""
    ill = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError, TryAgain, Conflict, Fenced)
    state = getattr(error, "sqlstate", None) or ""
    return isinstance(error, ill) or state[:2] in {"08", "25", "40", "53", "55", "57", "58", "XX"}


def seconds_for(part: int, whole: int) -> float:
    """How long the handlers may take over a part of a transaction's events. Less for a half than for the whole: one event that
    hangs for ever is found among 2,000 within 100 s instead of 6 minutes, in which its other keys would wait."""
    return max(HANDLER_SECONDS * part / whole, _FEWEST_SECONDS)


class Consumer:
    """The handlers of one group, and the transaction around them."""

    def __init__(
        self,
        database: Database,
        group: str,
        handlers: Mapping[type[Fact], Handler],
        told: Telemetry,
        *,
        facts: Mapping[str, type[Fact]] = FACTS,
        topics: Mapping[str, Topic] = TOPICS,
        before: Handler | None = None,
        after_batch: Callable[[], None] | None = None,
        note: Note | None = None,
    ) -> None:
        """`facts` and `topics` are all that are known to anybody. `before` sees the events of all types before the handlers
        do, to take locks in one order; `after_batch` is told after each commit, and `note` what came of the fresh events."""
        self.database = database
        self.group = group
        self.known = topics
        self.topics = sorted({kind.topic for kind in handlers})
        self.types = frozenset(kind.type for kind in handlers)
        self._told = told
        self._facts = facts
        self._handled = {kind.type: kind for kind in handlers}
        self._handlers = {kind.type: handler for kind, handler in handlers.items()}
        self.dense = frozenset(name for name in self.topics if topics[name].kind == "facts")
        self._before = before
        self._after_batch = after_batch
        self._note = note

    async def store(
        self, records: Sequence[ConsumerRecord], after: Mapping[Partition, int], owned: Ownership, *, patient: bool
    ) -> None:
        """Give these records their effect, once. `after` is where to go on in each partition.

        Raises for trouble of the outside world, with nothing changed; unless `patient`, such trouble in a handler counts as the
        fault of an event, and the guilty one is found and parked."""
        found = decode(records, self._facts)
        with self.spans(found.records) as spans:
            async with self.database.transaction() as tx:
                await cursors.fence(tx, self.group, owned, after)
                moved = await cursors.advance(tx, self.group, gate.expected(found.events))
                plan, lanes = await self._judge(tx, found.events, moved)
                work = await self.work_through(tx, plan.run, spans, found.values, patient=patient)
                waiting = plan.parked + work.parked
                if waiting or lanes is not None:
                    await self._settle(tx, moved, lanes, work.done, waiting, found.records)
                if found.broken:
                    await self._quarantine(tx, owned.incarnation, found.broken)
            spans.parked(waiting)
            spans.quarantined(found.broken)
        self._count(plan, work.done, waiting, found.broken)
        self._complain(waiting, found.broken)
        self._measure_lag(records)
        if self._note is not None:
            self._note(work.done, tx.emitted)
        if self._after_batch is not None:
            self._after_batch()

    async def _judge(
        self, tx: Transaction, events: list[Event], moved: Mapping[LaneKey, gate.Move]
    ) -> tuple[gate.Plan, Mapping[LaneKey, gate.Lane] | None]:
        """What to do with each event, and where the keys stood. Nearly always every event is next in its key and nothing is
        parked of these keys: then there is nothing to judge or to look up (None)."""
        if not events:
            return gate.Plan(), None
        expected = gate.all_moved(events, moved)
        keys = moved.keys() if expected else {event[:2] for event in events}
        heads = await cursors.heads_of(tx, self.group, keys)
        if expected and not heads:
            return gate.Plan(events), None
        lanes = await cursors.lanes(tx, self.group, keys, moved, heads)
        return gate.sort(events, lanes, self.dense), lanes

    async def work_through(
        self,
        tx: Transaction,
        events: Sequence[Event],
        spans: EventSpans,
        values: Mapping[int, Any] | None = None,
        *,
        patient: bool,
    ) -> Halving:
        """Read each body, hold it against its contract, run the handlers: all in savepoints of `tx`, until what can be done is
        done. Fresh, fetched, retried and replayed events come by here alike; the gate and the cursors are the caller's business.

        `values` are bodies that were read already, by `id(event)`. Returns what took effect and what has to wait, and why. Raises
        for trouble of the outside world, unless not `patient`: then it counts as the fault of an event; a `Conflict` always."""
        tx.handled_in(spans.begin(events))
        facts, refused = to_facts(events, values or {}, self._handled)
        work = Halving(events, self.dense, refused)
        while run := work.next():
            try:
                async with tx.savepoint(), asyncio.timeout(seconds_for(len(run), len(events))):
                    await self._handle(run, facts, tx)
            except Exception as error:
                if outside_trouble(error) and (patient or isinstance(error, Conflict)):
                    raise
                work.failed(repr(error)[:1000].replace("\x00", "�"))
            else:
                work.succeeded()
        return work

    def spans(self, records: Mapping[int, Record] | None = None) -> EventSpans:
        """The spans of one transaction's events, to be entered around it; `records` are by `id(event)`, where there are any."""
        return EventSpans(self._told, self.group, records or {})

    async def _handle(self, events: Sequence[Event], facts: Mapping[int, Fact], tx: Transaction) -> None:
        if self._before is not None:
            await self._before([Arrived(event, facts[id(event)]) for event in events if event.type in self._handlers], tx)
        for run in gate.runs(events):
            handler = self._handlers.get(run[0].type)
            if handler is not None:  # else: of a topic that we read, but of no interest to us
                await handler([Arrived(event, facts[id(event)]) for event in run], tx)

    async def _settle(
        self,
        tx: Transaction,
        moved: Mapping[LaneKey, gate.Move],
        lanes: Mapping[LaneKey, gate.Lane] | None,
        done: Sequence[Event],
        waiting: Sequence[gate.Parked],
        records: Mapping[int, Record],
    ) -> None:
        """Where not all went as expected: move the cursors to what was really done, keep what waits, and look after what waited
        before: a parked head before which nothing is missing any more, older versions of what took effect."""
        if lanes is None:
            lanes = {where: gate.Lane(move.before) for where, move in moved.items()}
        reached = gate.reached(done)
        await cursors.move(tx, self.group, gate.corrections(lanes, moved, reached))
        if waiting:
            new = await parked.park(tx, self.group, waiting, records)
            for item in waiting:
                if item.reason == "poison" and item.event[:3] in new:
                    dead_letters.announce(tx, self.group, item, origin=dead_letters.origin_of(records[id(item.event)]))
        if woken := gate.woken(lanes, waiting, reached, self.dense):
            await parked.due_now(tx, self.group, woken)
        held = {item.event[:2] for item in waiting} | {where for where, lane in lanes.items() if lane.head is not None}
        if newer := [event for event in done if event[:2] in held and event.topic not in self.dense]:
            await parked.supersede(tx, self.group, newer)

    async def _quarantine(self, tx: Transaction, incarnation: str, broken: Sequence[Broken]) -> None:
        new = await parked.quarantine(tx, self.group, incarnation, broken)
        for item in broken:
            if (item.record.topic, item.record.partition, item.record.offset) in new:
                dead_letters.announce(tx, self.group, item)

    # what operators see ----------------------------------------------------------------------------------------------
    def _count(self, plan: gate.Plan, done: Sequence[Event], waiting: Sequence[gate.Parked], broken: Sequence[Broken]) -> None:
        topics = {
            "handled": [event.topic for event in done],
            "repeat": [event.topic for event in plan.repeats],
            "parked": [item.event.topic for item in waiting],
            "quarantined": [item.record.topic for item in broken],
        }
        for outcome, names in topics.items():
            for topic, amount in Counter(names).items():
                self._told.metrics.events.labels(topic, outcome).inc(amount)

    def _complain(self, waiting: Sequence[gate.Parked], broken: Sequence[Broken]) -> None:
        for record, reason in broken:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            self._told.log.error("record in quarantine", extra=place | {"reason": reason[:80]})
        for event, reason, refusal in waiting:
            which = {"topic": event.topic, "key": event.key, "sequence": event.sequence, "event": event.id, "type": event.type}
            self._told.log.error("event parked", extra=which | {"reason": reason, "field": refusal and refusal.pointer})

    def _measure_lag(self, records: Sequence[ConsumerRecord]) -> None:
        oldest = {record.topic: record.timestamp for record in reversed(records)}
        for topic, sent in oldest.items():
            if sent > 0:  # milliseconds
                self._told.metrics.lag.labels(topic).set(max(0.0, time.time() - sent / 1000))
