"""The un-parker of the simulated world, and the operator: how events that wait go on, beside the consumers of their group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from common.messaging.gate import LaneKey, Move, Parked
from common.messaging.message import Event
from common.messaging.unparking import Step, Waiting
from tests.common.simulated_broker import SimulatedBroker, Wish
from tests.common.simulated_tables import NEVER, OVER, PATIENCE, Row, SimulatedTables, Trouble


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
class Worker:
    """What the un-parker of one process has in memory."""

    retry: Retry | None = None
    failures: int = 0
    """Roll-backs in a row, of its consumer too."""


W = TypeVar("W", bound=Worker)


class SimulatedUnparker(SimulatedTables, Generic[W]):
    """The un-parkers of a group's processes."""

    def __init__(self, broker: SimulatedBroker, dense: frozenset[str], members: list[W]) -> None:
        super().__init__(broker, dense)
        self.members = members

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
