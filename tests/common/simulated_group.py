"""The consuming side of the simulated world: the processes of one group, which read, and take batches in.

A transaction reads when it begins and writes when it commits: all, or nothing if somebody else moved a cursor meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from common.messaging import gate
from common.messaging.gate import Lane, LaneKey, Move, Parked
from common.messaging.message import Event, Partition
from tests.common.simulated_broker import Record, SimulatedBroker
from tests.common.simulated_tables import PATIENCE, Offset, Row, Trouble
from tests.common.simulated_unparker import SimulatedUnparker, Worker


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


@dataclass
class Member(Worker):
    """What one process has in memory."""

    incarnation: str = ""
    generations: dict[Partition, int] = field(default_factory=dict)
    next: dict[Partition, int] = field(default_factory=dict)
    position: dict[Partition, int] = field(default_factory=dict)
    hand: dict[Partition, list[Record]] = field(default_factory=dict)
    sought: set[Partition] = field(default_factory=set)
    """What is in hand of these may be from before the seek."""
    work: Work | None = None


class SimulatedGroup(SimulatedUnparker[Member]):
    """The tables and processes of one group."""

    def __init__(self, broker: SimulatedBroker, dense: frozenset[str], members: int) -> None:
        super().__init__(broker, dense, [Member() for _ in range(members)])
        self.assigned: dict[Partition, int] = dict.fromkeys(broker.logs, 0)

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
