"""A source, a broker and a group of readers in one process: no Kafka, no PostgreSQL, a clock that is a number.

The product's pure parts decide; the world only does what they say, and may fall apart between any two durable steps. The world
keeps its own book of what was accepted, and compares.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from common.messaging.gate import LaneKey, Place
from common.messaging.message import Event, Partition
from tests.common.simulated_broker import SimulatedBroker
from tests.common.simulated_group import SimulatedGroup
from tests.common.simulated_source import LONGEST_TRANSACTION, SimulatedSource
from tests.common.simulated_tables import NEVER, Offset

FACTS, STATE = "facts", "state"
DENSE = frozenset({FACTS})
PARTITION_OF: dict[LaneKey, Partition] = {
    (FACTS, "a"): Partition(FACTS, 0),
    (FACTS, "b"): Partition(FACTS, 0),
    (FACTS, "c"): Partition(FACTS, 1),
    (STATE, "x"): Partition(STATE, 0),
    (STATE, "y"): Partition(STATE, 0),
}
ENOUGH = 60
"""Rounds in which a healed world must come to rest."""


class SimulatedWorld:
    """Everything, and the book."""

    source_type = SimulatedSource
    group_type = SimulatedGroup

    def __init__(
        self, partition_of: dict[LaneKey, Partition] = PARTITION_OF, *, relays: int = 2, members: int = 2, at_once: int = 3
    ) -> None:
        self.lanes = sorted(partition_of)
        self.parts = sorted(set(partition_of.values()))
        self.broker = SimulatedBroker(self.parts)
        self.source = self.source_type(self.broker, partition_of, DENSE, relays)
        self.source.at_once = at_once
        self.group = self.group_type(self.broker, DENSE, members)
        self.accepted: dict[LaneKey, list[str]] = {where: [] for where in self.lanes}
        """The ids of a key's events, in order: the world's own book."""
        self.skipped: dict[LaneKey, set[int]] = {where: set() for where in self.lanes}
        self.unnoticed: set[Partition] = set()
        """Partitions that lost something since a relay last asked."""
        self.broken: set[LaneKey] = set()
        """Keys of which the broker lost a record for good; only a later event of theirs can show it."""

    def clone(self) -> "SimulatedWorld":
        """An independent copy."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.broker = self.broker.clone()
        other.source = self.source.clone(other.broker)
        other.group = self.group.clone(other.broker)
        other.accepted = {where: ids.copy() for where, ids in self.accepted.items()}
        other.skipped = {where: numbers.copy() for where, numbers in self.skipped.items()}
        other.broken, other.unnoticed = self.broken.copy(), self.unnoticed.copy()
        return other

    # what is done in it ----------------------------------------------------------------------------------------------
    def begin(self, process: int, keys: Iterable[LaneKey]) -> Sequence[Event]:
        """A producing process opens a transaction."""
        return self.source.begin(process, keys, self.group.now)

    def commit(self, process: int) -> Sequence[Event]:
        """It commits: its events are accepted."""
        events = self.source.commit(process)
        for event in events:
            ids = self.accepted[event[:2]]
            assert event.sequence == len(ids) + 1, f"{event[:3]} is not the next of its key"
            ids.append(event.id)
        return events

    def announce(self, keys: Iterable[LaneKey], process: int = 0) -> Sequence[Event]:
        """Both at once."""
        return self.commit(process) if self.begin(process, keys) else ()

    def skip(self, where: LaneKey) -> None:
        """An operator decides against the head of a key."""
        self.skipped[where].update(self.group.skip(where))

    def relay(self, which: int, amount: int) -> bool:
        """A relay takes its next step."""
        asked, relay = self.source.asked, self.source.relays[which]
        if relay.unwritten and not self.source.still_leads(which) and self.unnoticed:
            self.source.crash(which)  # a zombie that fills what was lost, unseen, is more than is promised
        moved = self.source.step(which, amount)
        if self.source.asked > asked:
            self.unnoticed.clear()
        return moved

    def relay_looks(self, which: int) -> None:
        """A relay asks the broker who it is."""
        asked = self.source.asked
        self.source.look(which)
        if self.source.asked > asked:
            self.unnoticed.clear()

    def end_of_a_relay(self, which: int, *, paused: bool) -> None:
        """It dies; or is paused, loses its session, and does not know it. That it dies between seeing that the log was shortened
        and noting it is more than is promised."""
        requests = [(part, first) for part, requests in self.source.relays[which].written.items() for first, _ in requests]
        if any(first < self.source.life.until.get(part, 0) for part, first in requests):
            return
        if paused:
            self.source.end_session(which)
        else:
            self.source.crash(which)

    def lose_everything(self) -> None:
        """The broker comes back as another one."""
        self.broker.lose_everything()
        self.unnoticed.update(self.parts)

    def cut(self, part: Partition, lost: int) -> None:
        """The log loses its tail.

        More than is promised, and left out: that it holds records of a zombie of which no relay knows; that the broker is a new
        one, and loses a tail before a relay noticed that."""
        known = self.source.life.incarnation == self.broker.incarnation
        if known and self.broker.stray[part] <= self.source.life.until.get(part, 0):
            self.broker.cut(part, max(0, self.broker.ends[part] - lost))
            self.unnoticed.add(part)

    def repeat_one(self, part: Partition, which: int) -> None:
        """A record comes a second time. That it fills, unseen, what the log has just lost is more than is promised."""
        if part not in self.unnoticed:
            self.broker.repeat_one(part, which)

    def lose_one(self, part: Partition, which: int) -> None:
        """The log loses a record that no reader has passed in vain: its key is noted."""
        if event := self.broker.lose_one(part, which):
            self.broken.add(event[:2])

    def unread_from(self, part: Partition) -> int:
        """The first offset that no reader has seen."""
        positions = [member.position.get(part, 0) for member in self.group.members]
        return max([*positions, self.group.offsets[part].next if part in self.group.offsets else 0])

    def report(self, which: int) -> None:
        """A consumer says how far it is; a zombie does, too."""
        member = self.group.members[which]
        for part in member.generations:
            self.source.heard(part, member.incarnation, member.next[part])

    def wait_until_due(self) -> None:
        """Time passes until some parked event is tried again, if one will be."""
        due = self.group.next_due()
        if due is not None and self.group.now < due < NEVER:
            self.wait(due - self.group.now)

    def wait(self, seconds: int) -> None:
        """Time passes; no transaction stays open for ever."""
        self.group.now += seconds
        for process, (batch, _) in list(self.source.open.items()):
            if self.source.stored_at[batch] < self.group.now - LONGEST_TRANSACTION:
                self.source.roll_back(process)

    # what must hold --------------------------------------------------------------------------------------------------
    def check(self) -> None:
        """Whatever happened so far, nothing took effect that must not, nor twice, nor out of order, nor as another event."""
        for where, effects in self.group.effects.items():
            ids, skipped = self.accepted[where], self.skipped[where]
            numbers = [number for number, _ in effects]
            for number, id_ in effects:
                assert ids[number - 1 : number] == [id_], f"{where} {number}: {id_} took effect, but was not accepted"
                assert (*where, number) not in self.group.poison, f"{where} {number} took effect although it is poison"
            rising = all(before < after for before, after in pairwise(numbers))
            assert rising, f"{where}: effects {numbers}: twice, or out of order"
            last = self.group.cursor.get(where, 0)
            over = [*numbers, *(number for number in skipped if number <= last)]
            assert max(over, default=0) == last, f"{where}: the cursor stands at {last}, the effects are {numbers}"
            assert len(set(over)) == len(over), f"{where}: effects {numbers} although {skipped} were skipped"
            if where[0] in DENSE:
                assert len(over) == last, f"{where}: effects {numbers} leave a hole before {last}"

    def check_that_nothing_is_out_of_reach(self) -> None:
        """What no relay will send any more has taken effect, waits, or lies where the readers will come by."""
        for part in self.parts:
            if part in self.unnoticed or self.source.life.incarnation != self.broker.incarnation:
                continue
            incarnation, _, next_ = self.group.offsets.get(part, Offset())
            if incarnation != self.broker.incarnation or next_ > self.broker.ends[part]:
                next_ = 0  # they will begin anew
            ahead: set[Place] | None = None
            for where in self.lanes:
                if self.source.partition_of[where] != part or where in self.broken:
                    continue
                ids, rows, last = self.accepted[where], self.group.parked.get(where, {}), self.group.cursor.get(where, 0)
                for number in range(last + 1 if where[0] in DENSE else max(last + 1, len(ids)), len(ids) + 1):
                    if number in rows or int(ids[number - 1].rsplit("-", 1)[1]) in self.source.unsent:
                        continue
                    if ahead is None:
                        ahead = {event[:3] for _, event in self.broker.read(part, next_, 10**9)}
                    assert (*where, number) in ahead, f"{where} {number} is sent, but no reader will see it\n{self.story()}"

    def heal(self) -> None:
        """No more faults; what a lost record hides is shown by a later event of its key."""
        self.group.poison.clear()
        self.group.troubles = 0
        for process in list(self.source.open):
            self.commit(process)
        for where in sorted(self.broken):
            self.announce([where])
        for where in self.lanes:
            self.group.retry(where)

    def drain(self) -> None:
        """Let everybody work until nothing is left to do; it must come to an end, and everything must have taken effect."""
        self.heal()
        for _ in range(ENOUGH):
            self.work_a_round()
            self.check()
            self.check_that_nothing_is_out_of_reach()
            if self.is_at_rest():
                break
            self.wait(1)
            self.wait_until_due()
        else:
            raise AssertionError(f"stuck\n{self.story()}")
        missing = {
            where: (self.group.cursor.get(where, 0), len(ids))
            for where, ids in self.accepted.items()
            if self.group.cursor.get(where, 0) != len(ids)
        }
        assert not missing, f"accepted, but without effect (key: reached, accepted): {missing}\n{self.story()}"

    def work_a_round(self) -> None:
        """Every process does what it can."""
        for which in range(len(self.source.relays)):
            self.relay_looks(which)
            for _ in range(200):
                if not self.relay(which, 100):
                    break
        for which in range(len(self.group.members)):
            self.group.look(which)
            for part in self.parts:
                self.group.commit(which)
                self.group.claim(which, part)
                for _ in range(20):
                    if not (self.group.fetch(which, part, 100) | self.group.begin(which, part, 100) | self.group.commit(which)):
                        break
            for _ in range(20):
                if not (self.group.commit_retry(which) | self.group.begin_retry(which)):
                    break

    def is_at_rest(self) -> bool:
        """Nothing is left to send, to read or to try."""
        read = all(
            self.group.offsets.get(part) is not None
            and self.group.offsets[part].incarnation == self.broker.incarnation
            and not self.broker.read(part, self.group.offsets[part].next, 1)
            and self.group.offsets[part].next <= self.broker.ends[part]
            for part in self.parts
        )
        sent = not self.source.unsent and not any(relay.publishing for relay in self.source.relays)
        waiting = any(self.group.waiting(where) for where in self.group.parked)
        idle = not any(member.hand or member.work or member.retry for member in self.group.members)
        met = (self.source.life.incarnation, self.source.life.until) == (self.broker.incarnation, self.broker.ends)
        return met and read and sent and idle and not waiting and not self.broker.wishes

    def story(self) -> str:
        """How the world stands, for people."""
        lines = [f"broker: {self.broker.incarnation}"]
        for part in self.parts:
            log = " ".join(f"{offset}:{event.key}{event.sequence}" for offset, event in self.broker.logs[part])
            lines.append(f"  {part.topic}-{part.number} ends at {self.broker.ends[part]}: {log}")
            lines.append(f"    read: {self.group.offsets.get(part)}, until {self.source.life.until.get(part)},"
                         f" beyond {self.source.life.beyond.get(part)}")  # fmt: skip
        lines.append(f"unsent: {sorted(self.source.unsent)}; leader: {self.source.leader}; wishes: {self.broker.wishes}")
        for where in self.lanes:
            rows = {number: tuple(row)[1:] for number, row in sorted(self.group.parked.get(where, {}).items())}
            lines.append(
                f"{'/'.join(where)}: accepted {len(self.accepted[where])}, reached {self.group.cursor.get(where, 0)},"
                f" effects {[number for number, _ in self.group.effects.get(where, [])]}, parked {rows}"
            )
        return "\n".join(lines)
