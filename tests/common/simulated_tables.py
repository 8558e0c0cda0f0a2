"""The tables of one group in the simulated world, and what changes them: all of a transaction, or nothing.

Everything is decided by the product's own pure parts; they hang on the class, so that a test can plant a bug by replacing one.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from common.messaging import gate, unparking
from common.messaging.gate import Halving, Lane, LaneKey, Move, Place, Refusal
from common.messaging.message import Event, Partition
from tests.common.simulated_broker import SimulatedBroker

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


class Trouble(Exception):
    """The world is ill; nothing is committed."""


class SimulatedTables:
    """Cursors, parked events, offsets and effects of one group."""

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

    def __init__(self, broker: SimulatedBroker, dense: frozenset[str]) -> None:
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

    def waiting(self, where: LaneKey) -> list[int]:
        """The parked events of a key that hold it up, lowest first."""
        return sorted(number for number, row in self.parked.get(where, {}).items() if row.reason not in OVER)

    def lanes(self, keys: set[LaneKey], moved: Mapping[LaneKey, Move]) -> dict[LaneKey, Lane]:
        """Where the keys stood before this transaction, and what is parked of them."""
        found: dict[LaneKey, Lane] = {}
        for where in keys:
            last = moved[where].before if where in moved else self.cursor.get(where, 0)
            found[where] = Lane(last, min(self.waiting(where), default=None))
        return found

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

    def next_is_due(self, where: LaneKey) -> None:
        """Whoever was first of this key waits no longer: the next one is to be tried at once."""
        for number in self.waiting(where)[:1]:
            self.parked[where][number] = self.parked[where][number]._replace(next_try=self.now)
