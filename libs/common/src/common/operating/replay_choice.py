"""Which events a replay hands to the handlers again: pure, no clock, no database, no broker.

In a topic of facts every event of the range that took effect, in order. In a topic of state only the version that stands: an
older one would move its key backwards, and the handlers were promised that only the newest matters.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from common.messaging.gate import LaneKey, Place
from common.messaging.message import Partition

T = TypeVar("T")

Decided = Mapping[LaneKey, Sequence[tuple[int, int]]]
"""Of each key the events, from one number to another, whose fate an operator decided: skipped, edited, or gone on without."""


class PassedOver(StrEnum):
    """Why an event of the range is not replayed."""

    NOT_YET = "not handled yet: the service gets it anyway"
    OLDER = "an older version of its key"
    GONE = "the version that stands is no longer in the log"
    DECIDED = "an operator skipped or changed it, or went on without it"
    UNREADABLE = "no event of ours"
    MOVED_ON = "a newer version took effect meanwhile"
    BEHIND = "behind one of its key that failed"


class Stored(NamedTuple):
    """Where an event stands in its topic's log, and whether that is inside the range that was asked for."""

    partition: int
    offset: int
    in_range: bool


@dataclass
class Choice:
    """What to replay. `runs` has each key's sequences in order, `places` says which event each offset holds."""

    runs: dict[LaneKey, list[int]] = field(default_factory=dict)
    places: dict[Partition, dict[int, Place]] = field(default_factory=dict)
    passed_over: Counter[PassedOver] = field(default_factory=Counter)

    def __len__(self) -> int:
        return sum(map(len, self.runs.values()))


def choose(
    seen: Mapping[LaneKey, Mapping[int, Stored]],
    lasts: Mapping[LaneKey, int],
    decided: Decided,
    dense: Collection[str],
) -> Choice:
    """`seen` is what the log holds of each key, from the beginning of the range on: of a topic of facts inside the range, of a
    topic of state to its end. `lasts` are the keys' cursors, `dense` the topics of facts."""
    choice = Choice()
    for where, versions in seen.items():
        asked = sorted(sequence for sequence, stored in versions.items() if stored.in_range)
        last = lasts.get(where, 0)
        handled = [sequence for sequence in asked if sequence <= last]
        choice.passed_over[PassedOver.NOT_YET] += len(asked) - len(handled)
        if where[0] in dense:
            wanted = [sequence for sequence in handled if not _is_decided(decided, where, sequence)]
            choice.passed_over[PassedOver.DECIDED] += len(handled) - len(wanted)
        else:
            wanted = _standing(choice, where, versions, handled, last, decided)
        if wanted:
            choice.runs[where] = wanted
        for sequence in wanted:
            stored = versions[sequence]
            choice.places.setdefault(Partition(where[0], stored.partition), {})[stored.offset] = (*where, sequence)
    choice.passed_over = +choice.passed_over
    return choice


def _standing(
    choice: Choice,
    where: LaneKey,
    versions: Mapping[int, Stored],
    handled: list[int],
    last: int,
    decided: Decided,
) -> list[int]:
    """The one version of a key of state that stands, if anything of the key was asked for."""
    if not handled:
        return []
    if _is_decided(decided, where, last):
        choice.passed_over[PassedOver.DECIDED] += len(handled)
        return []
    if last not in versions:
        choice.passed_over[PassedOver.GONE] += len(handled)
        return []
    choice.passed_over[PassedOver.OLDER] += len(handled) - (last in handled)
    return [last]


def _is_decided(decided: Decided, where: LaneKey, sequence: int) -> bool:
    return any(first <= sequence <= last for first, last in decided.get(where, ()))


class InOrder(Generic[T]):
    """Lets each key's events through in the order of their sequences, whatever the order in which the log holds them."""

    def __init__(self, runs: Mapping[LaneKey, list[int]]) -> None:
        self._next = {where: iter(run) for where, run in runs.items()}
        self._turn = {where: next(run) for where, run in self._next.items()}
        self._held: dict[LaneKey, dict[int, T | None]] = {}

    def take(self, place: Place, item: T | None) -> Iterator[T]:
        """What may go now that this one is here; None for one that cannot be read, so that nobody waits for it."""
        where, sequence = place[:2], place[2]
        if where not in self._turn:
            return
        held = self._held.setdefault(where, {})
        held[sequence] = item
        while (turn := self._turn.get(where)) in held:
            found = held.pop(turn)
            if found is not None:
                yield found
            following = next(self._next[where], None)
            if following is None:
                del self._turn[where]
            else:
                self._turn[where] = following
        if not held:
            del self._held[where]

    def rest(self) -> Iterator[T]:
        """At the end: what waited for something that never came."""
        for held in self._held.values():
            for sequence in sorted(held):
                found = held[sequence]
                if found is not None:
                    yield found
