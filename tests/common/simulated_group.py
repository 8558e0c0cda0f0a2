"""The consuming side of the simulated world: two processes of one group, their tables, and the un-parker.

Everything is decided by the product's own pure parts; they hang on the class, so that a test can plant a bug by replacing one.
A transaction reads when it begins and writes when it commits: all, or nothing if somebody else moved a cursor meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from common.messaging import gate, unparking
from common.messaging.gate import Halving, Lane, LaneKey, Move, Parked, Place, Refusal
from common.messaging.message import Event, Partition
from common.messaging.unparking import Step, Waiting
from tests.common.simulated_broker import Record, SimulatedBroker, Wish

NEVER = 10**12
PATIENCE = 5
OVER = frozenset({"superseded", "skipped"})


class Row(NamedTuple):
    """A parked event."""

    event: Event
    reason: str
    attempts: int
    next_try: int


class Offset(NamedTuple):
    """How far a partition is, and who may say so."""

    incarnation: str = ""
    generation: int = 0
    next: int = 0


@dataclass
class Work:
    """An open transaction: what it read, and what it will write."""

    part: Partition
    after: int
    generation: int
    incarnation: str
    moved: Mapping[LaneKey, Move]
    corrections: Mapping[LaneKey, Move]
    done: Sequence[Event]
    waiting: Sequence[Parked]
    woken: Mapping[LaneKey, int]


class Retry(NamedTuple):
    """An open transaction of the un-parker."""

    where: LaneKey
    last: int
    step: Step
    events: Sequence[Waiting]
    seen: Mapping[int, Row]
    done: Sequence[Event] = ()
    poisoned: Sequence[Parked] = ()


@dataclass
class Member:
    """What one consumer process has in memory."""

    incarnation: str = ""
    generations: dict[Partition, int] = field(default_factory=dict)
    next: dict[Partition, int] = field(default_factory=dict)
    position: dict[Partition, int] = field(default_factory=dict)
    hand: dict[Partition, list[Record]] = field(default_factory=dict)
    sought: set[Partition] = field(default_factory=set)
    """What is in hand of these may be from before the seek."""
    work: Work | None = None
    retry: Retry | None = None
    failures: int = 0


class Trouble(Exception):
    """The world is ill; nothing is committed."""


class SimulatedGroup:
    """The tables and processes of one group."""

    sort = staticmethod(gate.sort)
    expected = staticmethod(gate.expected)
    all_moved = staticmethod(gate.all_moved)
    corrections = staticmethod(gate.corrections)
    reached = staticmethod(gate.reached)
    woken = staticmethod(gate.woken)
    halving = Halving
    plan = staticmethod(unparking.plan)
    attempts_after = staticmethod(unparking.attempts_after)
    wait_after = staticmethod(unparking.wait_after)

    def __init__(self, broker: SimulatedBroker, dense: frozenset[str], members: int) -> None:
        self.broker = broker
        self.dense = dense
        self.now = 0
        self.cursor: dict[LaneKey, int] = {}
        self.parked: dict[LaneKey, dict[int, Row]] = {}
        self.offsets: dict[Partition, Offset] = {}
        self.effects: dict[LaneKey, list[tuple[int, str]]] = {}
        self.poison: dict[Place, bool] = {}
        """Events that cannot be handled: True if their contract is broken, False if the handler fails."""
        self.troubles = 0
        """So many times the outside world will fail a handler."""
        self.assigned: dict[Partition, int] = dict.fromkeys(broker.logs, 0)
        self.members = [Member() for _ in range(members)]

    def clone(self, broker: SimulatedBroker) -> "SimulatedGroup":
        """An independent copy on a copy of the broker."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.broker = broker
        other.cursor, other.offsets, other.poison = self.cursor.copy(), self.offsets.copy(), self.poison.copy()
        other.parked = {where: rows.copy() for where, rows in self.parked.items()}
        other.effects = {where: effects.copy() for where, effects in self.effects.items()}
        other.assigned = self.assigned.copy()
        other.members = [
            replace(
                member,
                generations=member.generations.copy(),
                next=member.next.copy(),
                position=member.position.copy(),
                hand={part: records.copy() for part, records in member.hand.items()},
                sought=member.sought.copy(),
            )
            for member in self.members
        ]
        return other

    # reading ---------------------------------------------------------------------------------------------------------
    def rebalance(self, part: Partition, to: int, *, told: bool) -> None:
        """A partition changes hands; a paused owner is not told."""
        before = self.members[self.assigned[part]]
        if told:
            before.generations.pop(part, None)
        self.assigned[part] = to

    def claim(self, which: int, part: Partition) -> bool:
        """Fence the owner before, and go on where the table says."""
        member = self.members[which]
        if self.assigned[part] != which or part in member.generations:
            return False
        if member.incarnation != self.broker.incarnation:
            self.crash(which)
            member = self.members[which]
            member.incarnation = self.broker.incarnation
        known = self.offsets.get(part, Offset())
        next_ = known.next if known.incarnation == member.incarnation else 0
        if next_ > self.broker.ends[part]:
            next_ = 0  # the log is shorter than what was read of it
        self.offsets[part] = Offset(member.incarnation, known.generation + 1, next_)
        member.generations[part] = known.generation + 1
        member.next[part] = member.position[part] = next_
        member.sought.add(part)
        return True

    def look(self, which: int) -> None:
        """What a consumer does every 5 s: is the broker another one, or is its log shorter than where we are?"""
        member = self.members[which]
        if member.incarnation and member.incarnation != self.broker.incarnation:
            self.crash(which)
            return
        for part in list(member.generations):
            if member.position[part] > self.broker.ends[part]:
                self.rewind(member, part)

    def rewind(self, member: Member, part: Partition) -> None:
        """Read the partition from its beginning, if it is still ours."""
        member.hand.pop(part, None)
        member.sought.add(part)
        if self.owns(member, part):
            self.offsets[part] = self.offsets[part]._replace(next=0)
            member.next[part] = member.position[part] = 0
        else:
            member.generations.pop(part, None)

    def owns(self, member: Member, part: Partition) -> bool:
        """Whether nobody claimed the partition after it."""
        known = self.offsets.get(part, Offset())
        return (known.incarnation, known.generation) == (member.incarnation, member.generations.get(part, -1))

    def fetch(self, which: int, part: Partition, amount: int) -> bool:
        """Take records out of the log; they may be stale by the time they are handled."""
        member = self.members[which]
        if part not in member.generations:
            return False
        if member.position[part] > self.broker.ends[part]:
            self.rewind(member, part)
            return True
        records = self.broker.read(part, member.position[part], amount)
        if records:
            member.hand.setdefault(part, []).extend(records)
            member.position[part] = records[-1].offset + 1
        return bool(records)

    # one batch -------------------------------------------------------------------------------------------------------
    def begin(self, which: int, part: Partition, amount: int) -> bool:
        """Judge the first records in hand and run the handlers, all inside a transaction that stays open."""
        member = self.members[which]
        hand = member.hand.get(part)
        if member.work is not None or not hand:
            return False
        self.claim(which, part)
        if part not in member.generations:
            del member.hand[part]
            return True
        if hand[0].offset != member.next[part]:
            if part in member.sought:  # fetched before the seek
                member.sought.discard(part)
                self.go_back(member, part)
                return True
            if hand[0].offset < member.next[part]:
                self.rewind(member, part)
                return True
        member.sought.discard(part)
        records, rest = hand[:amount], hand[amount:]
        if rest:
            member.hand[part] = rest
        else:
            del member.hand[part]
        events, after = [record.event for record in records], records[-1].offset + 1
        if not self.owns(member, part):
            self.go_back(member, part, lost=True)
            return True
        try:
            member.work = self.work_of(member, part, events, after)
        except Trouble:
            member.failures += 1
            self.go_back(member, part)
        return True

    def work_of(self, member: Member, part: Partition, events: list[Event], after: int) -> Work:
        """As `Consumer.store` does it, step by step."""
        moved = {where: move for where, move in self.expected(events).items() if self.cursor.get(where, 0) == move.before}
        lanes: Mapping[LaneKey, Lane] | None = None
        plan = gate.Plan(events)
        if not self.all_moved(events, moved) or any(self.waiting(where) for where in self.parked if where[0] == part.topic):
            lanes = self.lanes({event[:2] for event in events}, moved)
            plan = self.sort(events, lanes, self.dense)
        work = self.work_through(plan.run, patient=member.failures < PATIENCE)
        waiting = plan.parked + work.parked
        if lanes is None:
            lanes = {where: Lane(move.before) for where, move in moved.items()}
        reached = self.reached(work.done)
        return Work(
            part,
            after,
            member.generations[part],
            member.incarnation,
            moved,
            self.corrections(lanes, moved, reached),
            work.done,
            waiting,
            self.woken(lanes, waiting, reached, self.dense),
        )

    def lanes(self, keys: set[LaneKey], moved: Mapping[LaneKey, Move]) -> dict[LaneKey, Lane]:
        """Where the keys stood before this transaction, and what is parked of them."""
        found: dict[LaneKey, Lane] = {}
        for where in keys:
            last = moved[where].before if where in moved else self.cursor.get(where, 0)
            found[where] = Lane(last, min(self.waiting(where), default=None))
        return found

    def waiting(self, where: LaneKey) -> list[int]:
        """The parked events of a key that hold it up, lowest first."""
        return sorted(number for number, row in self.parked.get(where, {}).items() if row.reason not in OVER)

    def work_through(self, events: Sequence[Event], *, patient: bool) -> Halving:
        """Run the handlers, halving what fails."""
        refused = {event[:3]: Refusal("/x", "broken") for event in events if self.poison.get(event[:3])}
        work = self.halving(events, self.dense, refused)
        while part := work.next():
            if self.troubles:
                self.troubles -= 1
                if patient:
                    raise Trouble
                work.failed("trouble")
            elif any(event[:3] in self.poison for event in part):
                work.failed("poison")
            else:
                work.succeeded()
        return work

    def commit(self, which: int) -> bool:
        """Effects, cursors, parked rows and offset: all, or nothing."""
        member = self.members[which]
        work, member.work = member.work, None
        if work is None:
            return False
        known = self.offsets[work.part]
        if (known.incarnation, known.generation) != (work.incarnation, work.generation):
            self.go_back(member, work.part, lost=True)
            return True
        if not self.move(work.moved, work.corrections):
            self.go_back(member, work.part)
            return True
        self.take_effect(work.done)
        for event, reason, _ in work.waiting:
            rows = self.parked.setdefault(event[:2], {})
            rows.setdefault(event.sequence, Row(event, reason, int(reason == "poison"), self.now + 1))
        for where, head in work.woken.items():
            if row := self.parked.get(where, {}).get(head):
                self.parked[where][head] = row._replace(next_try=self.now)
        self.supersede(work.done)
        self.offsets[work.part] = known._replace(next=work.after)
        if member.generations.get(work.part) == work.generation:
            member.next[work.part] = work.after
        member.failures = 0
        return True

    def move(self, moved: Mapping[LaneKey, Move], corrections: Mapping[LaneKey, Move]) -> bool:
        """Compare and set; False, and nothing changed, if a cursor stands elsewhere."""
        after = dict(self.cursor)
        for moves in (moved, corrections):
            for where, move in moves.items():
                if after.get(where, 0) != move.before:
                    return False
                after[where] = move.last
        self.cursor = after
        return True

    def take_effect(self, events: Sequence[Event]) -> None:
        """The handlers' effects are there."""
        for event in events:
            self.effects.setdefault(event[:2], []).append((event.sequence, event.id))

    def supersede(self, done: Sequence[Event]) -> None:
        """State topics: of what waits, the versions that took effect are gone, and older ones wait no more."""
        newer = [event for event in done if event.topic not in self.dense]
        for topic, key, number, *_ in newer:
            self.parked.get((topic, key), {}).pop(number, None)
        for where, last in self.reached(newer).items():
            for number, row in self.parked.get(where, {}).items():
                if number <= last and row.reason not in OVER:
                    self.parked[where][number] = row._replace(reason="superseded")

    def go_back(self, member: Member, part: Partition, *, lost: bool = False) -> None:
        """Nothing was committed: read again from where we have to go on, or claim again."""
        member.hand.pop(part, None)
        if lost:
            member.generations.pop(part, None)
        elif part in member.generations:
            member.position[part] = member.next[part]

    def crash(self, which: int) -> None:
        """The process dies; what was not committed never was."""
        self.members[which] = Member()

    # parked events ---------------------------------------------------------------------------------------------------
    def begin_retry(self, which: int) -> bool:
        """Take the most overdue key, as far as no other process has it, and try its events in an open transaction."""
        member = self.members[which]
        locked = {other.retry.where for other in self.members if other.retry}
        due = [
            (min(row.next_try for row in rows.values() if row.reason not in OVER), where)
            for where, rows in self.parked.items()
            if where not in locked and self.waiting(where)
        ]
        due = [(at, where) for at, where in due if at <= self.now]
        if member.retry is not None or not due:
            return False
        where = min(due)[1]
        rows, dense = self.parked[where], where[0] in self.dense
        held = [
            Waiting(row.event, row.reason, row.attempts, row.next_try <= self.now)
            for row in (rows[number] for number in self.waiting(where))
        ]
        last = self.cursor.get(where, 0)
        step, events = self.plan(last, held if dense else [one for one in held if one.due], dense=dense)
        retry = Retry(where, last, step, events, rows.copy())
        if step is Step.TRY:
            try:
                work = self.work_through([one.event for one in events], patient=member.failures < PATIENCE)
            except Trouble:
                member.failures += 1
                self.put_off(where)
                return True
            retry = retry._replace(done=work.done, poisoned=work.parked)
        member.retry = retry
        return True

    def commit_retry(self, which: int) -> bool:
        """Effects, cursor and rows: all, or nothing."""
        member = self.members[which]
        retry, member.retry = member.retry, None
        if retry is None:
            return False
        where, last, step, events, seen, done, poisoned = retry
        rows, dense = self.parked.get(where, {}), where[0] in self.dense
        failed = [one for one in events if any(reason == "poison" and one.event == event for event, reason, _ in poisoned)]
        touched = {event.sequence for event in done} | {one.sequence for one in failed}
        if step is not Step.TRY:
            touched = {one.sequence for one in events}
        if not self.are_unchanged(rows, seen, touched):
            return True
        if done and not self.move({where: Move(last, done[-1].sequence)}, {}):
            return True
        self.take_effect(done)
        if step is Step.FETCH:
            self.fail(where, events[0], "gap")
            self.broker.wishes.append(Wish(*where, last + 1, events[0].sequence - 1))
        for one in failed:
            self.fail(where, one, "poison")
        for number in (touched - {one.sequence for one in failed}) if step is not Step.FETCH else ():
            rows.pop(number, None)
        self.supersede(done)
        if dense and (step is Step.DROP or (done and not failed)):
            self.next_is_due(where)
        if dense:
            self.stand_behind(where)
        member.failures = 0
        return True

    def are_unchanged(self, rows: Mapping[int, Row], seen: Mapping[int, Row], touched: set[int]) -> bool:
        """Whether nobody changed these rows meanwhile."""
        return all(rows.get(number) == seen[number] for number in touched)

    def next_is_due(self, where: LaneKey) -> None:
        """Whoever was first of this key waits no longer: the next one is to be tried at once."""
        for number in self.waiting(where)[:1]:
            self.parked[where][number] = self.parked[where][number]._replace(next_try=self.now)

    def stand_behind(self, where: LaneKey) -> None:
        """Those of a key's due events that are not its head are not looked at any more until it passes."""
        for number in self.waiting(where)[1:]:
            row = self.parked[where][number]
            if row.next_try <= self.now:
                self.parked[where][number] = row._replace(next_try=NEVER, reason="behind")

    def fail(self, where: LaneKey, one: Waiting, reason: str) -> None:
        """It has failed once more; when to try again."""
        attempts = self.attempts_after(one, reason)
        wait = self.wait_after(attempts)
        next_try = NEVER if wait is None else self.now + int(wait.total_seconds())
        self.parked[where][one.sequence] = Row(one.event, reason, attempts, next_try)

    def put_off(self, where: LaneKey) -> None:
        """The due events of this key are due a little later."""
        for number in self.waiting(where):
            row = self.parked[where][number]
            if row.next_try <= self.now:
                self.parked[where][number] = row._replace(next_try=self.now + 2)

    def next_due(self) -> int | None:
        """When the next parked event is tried."""
        times = [row.next_try for rows in self.parked.values() for row in rows.values() if row.reason not in OVER]
        return min(times, default=None)

    # an operator -----------------------------------------------------------------------------------------------------
    def head_to_decide_on(self, where: LaneKey) -> int | None:
        """The head of a key, unless an un-parker works on it."""
        locked = {member.retry.where for member in self.members if member.retry}
        return None if where in locked else min(self.waiting(where), default=None)

    def retry(self, where: LaneKey) -> None:
        """Try the head again now, and by the usual waits."""
        if head := self.head_to_decide_on(where):
            self.parked[where][head] = self.parked[where][head]._replace(attempts=0, next_try=self.now)

    def skip(self, where: LaneKey) -> list[int]:
        """Decide that the head, or what is missing before it, shall have no effect. Returns the numbers."""
        head, last = self.head_to_decide_on(where), self.cursor.get(where, 0)
        if head is None or head <= last:
            return []
        row = self.parked[where][head]
        if where[0] in self.dense and head > last + 1:
            self.cursor[where] = head - 1
            self.parked[where][head] = row._replace(reason="fetched", attempts=0, next_try=self.now)
            return list(range(last + 1, head))
        self.cursor[where] = head
        self.parked[where][head] = row._replace(reason="skipped")
        self.next_is_due(where)
        return [head]
