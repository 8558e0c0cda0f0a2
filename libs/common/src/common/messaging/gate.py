"""The gate: what to do with each event, given what its key has seen. Pure: no clock, no database, no broker.

A topic is *dense* (every event counts, a jump is a gap) or it carries *state* (each event is the whole aggregate, so a step
forward is welcome and a newer version heals a key whose older one could not be handled).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from common.messaging.message import Event

Place = tuple[str, str, int]
"""Topic, key and sequence: which event of all."""


class Verdict(StrEnum):
    """What becomes of one event."""

    HANDLE = "handle"
    REPEAT = "repeat"
    GAP = "gap"
    BEHIND = "behind"


LaneKey = tuple[str, str]
"""Topic and key. A plain tuple, as there is one for every event: a named one costs three times as much to make."""


class Lane(NamedTuple):
    """Where a key stands for one group: the last event that took effect, and the lowest parked one, if any waits."""

    last: int = 0
    head: int | None = None


class Refusal(NamedTuple):
    """Why an event cannot be handled: which field (a JSON pointer into its body, or nothing), and the reason in words."""

    pointer: str
    error: str


class Parked(NamedTuple):
    """An event that waits, and why."""

    event: Event
    reason: str
    refusal: Refusal | None = None


def judge(lane: Lane, sequence: int, *, dense: bool) -> Verdict:
    """What to do with the event of this sequence."""
    if sequence <= lane.last:
        return Verdict.REPEAT
    if not dense:
        return Verdict.HANDLE
    if lane.head is None:
        return Verdict.HANDLE if sequence == lane.last + 1 else Verdict.GAP
    return Verdict.HANDLE if lane.last + 1 == sequence < lane.head else Verdict.BEHIND


@dataclass(slots=True)
class Plan:
    """What a batch comes to. `run` is in the order of arrival, so every key is in order."""

    run: list[Event] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    repeats: list[Event] = field(default_factory=list)


def sort(events: Iterable[Event], lanes: Mapping[LaneKey, Lane], dense: Collection[str]) -> Plan:
    """Judge events one after the other, each as if the ones before it had succeeded. `dense` names the dense topics."""
    plan = Plan()
    now = dict(lanes)
    run, none = plan.run.append, Lane()
    for event in events:
        where = event[:2]
        lane = now.get(where, none)
        if event.sequence == lane.last + 1 and lane.head is None:  # the usual case, without a call
            now[where] = Lane(event.sequence)
            run(event)
            continue
        verdict = judge(lane, event.sequence, dense=event.topic in dense)
        if verdict is Verdict.REPEAT:
            plan.repeats.append(event)
        elif verdict is Verdict.HANDLE:
            now[where] = Lane(event.sequence, lane.head)
            run(event)
        else:
            plan.parked.append(Parked(event, verdict.value))
            now[where] = Lane(lane.last, min(event.sequence, lane.head or event.sequence))
    return plan


class Halving:
    """Which events to try together: all at first, then halves of what failed, until the guilty stand alone.

    An event that failed alone, or was refused before, is poison: it waits. In a dense topic the later events of its key stand
    behind it; in a state topic they are tried all the same.
    """

    def __init__(self, events: Sequence[Event], dense: Collection[str], refused: Mapping[Place, Refusal] | None = None) -> None:
        self.done: list[Event] = []
        self.parked: list[Parked] = []
        self._dense = dense
        self._refused = refused or {}
        self._todo: list[Sequence[Event]] = [events]
        self._now: list[Event] = []
        self._blocked: set[tuple[str, str]] = set()

    def next(self) -> list[Event]:
        """The events to run next in one savepoint; empty at the end."""
        while self._todo:
            events = self._todo.pop()
            self._now = self._let_through(events) if self._blocked or self._refused else list(events)
            if self._now:
                return self._now
        return []

    def _let_through(self, events: Sequence[Event]) -> list[Event]:
        passed: list[Event] = []
        for event in events:
            if event[:2] in self._blocked:
                self.parked.append(Parked(event, "behind"))
            elif refusal := self._refused.get(event[:3]):
                self._poison(event, refusal)
            else:
                passed.append(event)
        return passed

    def _poison(self, event: Event, refusal: Refusal) -> None:
        self.parked.append(Parked(event, "poison", refusal))
        if event.topic in self._dense:
            self._blocked.add(event[:2])

    def succeeded(self) -> None:
        """What `next` gave has taken effect."""
        self.done += self._now

    def failed(self, error: str) -> None:
        """What `next` gave was undone."""
        if len(self._now) == 1:
            self._poison(self._now[0], Refusal("", error))
        else:
            middle = len(self._now) // 2
            self._todo += [self._now[middle:], self._now[:middle]]  # the first half comes off first


class Move(NamedTuple):
    """A cursor's way: from the event that took effect last to the one that does now."""

    before: int
    last: int


_move_of = partial(tuple.__new__, Move)  # half as dear as `Move(…)`, and there is one for nearly every event


def expected(events: Iterable[Event]) -> dict[LaneKey, Move]:
    """How the cursors move if all goes well: for each key whose events here follow one another, from before them to the last."""
    moves: dict[LaneKey, Move] = {}
    uneven: set[LaneKey] = set()
    for event in events:
        where, sequence = event[:2], event.sequence
        move = moves.get(where)
        if move is None:
            moves[where] = _move_of((sequence - 1, sequence))
        elif move.last + 1 == sequence:
            moves[where] = _move_of((move.before, sequence))
        else:
            uneven.add(where)
    for where in uneven:
        del moves[where]
    return moves


def all_moved(events: Sequence[Event], moved: Mapping[LaneKey, Move]) -> bool:
    """Whether the moves cover every event: then each is the next of its key."""
    return sum(move.last - move.before for move in moved.values()) == len(events)


def corrections(lanes: Mapping[LaneKey, Lane], moved: Mapping[LaneKey, Move], done: Mapping[LaneKey, int]) -> dict[LaneKey, Move]:
    """What is left to move: from where each cursor stands after `moved` to what was really done."""
    found: dict[LaneKey, Move] = {}
    new = Lane()
    for where in {*moved, *done}:
        begun = lanes.get(where, new).last
        stands = moved[where].last if where in moved else begun
        wanted = done.get(where, begun)
        if stands != wanted:
            found[where] = Move(stands, wanted)
    return found


def reached(done: Iterable[Event]) -> dict[LaneKey, int]:
    """How far each key has come."""
    return {event[:2]: event.sequence for event in done}


def woken(
    lanes: Mapping[LaneKey, Lane], waiting: Iterable[Parked], done: Mapping[LaneKey, int], dense: Collection[str]
) -> dict[LaneKey, int]:
    """Dense topics: the parked heads before which nothing is missing any more, as a key came so far that its head is next."""
    heads = {where: lanes[where].head for where in done if where[0] in dense and where in lanes}
    for event, _, _ in waiting:
        where = event[:2]
        if where in done and where[0] in dense:
            heads[where] = min(event.sequence, heads.get(where) or event.sequence)
    return {where: head for where, head in heads.items() if head is not None and head == done[where] + 1}


def runs(events: Sequence[Event]) -> list[list[Event]]:
    """Events grouped by topic and type for handlers that take lists, as few groups as keep every key in order."""
    if len({(event.topic, event.type) for event in events}) == 1:  # the usual case
        return [list(events)]
    groups: list[list[Event]] = []
    group_of_type: dict[tuple[str, str], int] = {}
    group_of_key: dict[tuple[str, str], int] = {}
    for event in events:
        what = (event.topic, event.type)
        mine, earliest = group_of_type.get(what, -1), group_of_key.get(event[:2], 0)
        if mine < earliest or mine < 0:  # this key has events in a later group already
            mine = group_of_type[what] = len(groups)
            groups.append([])
        groups[mine].append(event)
        group_of_key[event[:2]] = mine
    return groups
