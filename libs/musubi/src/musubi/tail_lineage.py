"""All that follows from one event, picked out of what passes. Pure."""

from collections.abc import Iterable, Sequence

from common.messaging.message import Event
from musubi.tail_lines import Passing


class Lineage:
    """What follows from the event with this id, which is a partner's or that of any event on the way.

    All that follows from one partner's event has that event's id as its correlation: a family. Whoever is asked for within it is
    found with its descendants only, for each event names the one that caused it."""

    def __init__(self, id_: str) -> None:
        self._id = id_
        self._family = ""
        self._known = {id_}
        self._waiting: list[Passing] = []

    def learn(self, event: Event) -> bool:
        """See whether this event tells which family it is; True once that is known."""
        if not self._family and self._id in (event.id, event.correlation_id, event.causation_id):
            self._family = event.correlation_id or self._id
        return bool(self._family)

    def take_in(self, event: Event | None) -> bool:
        """Learn from this event; True if it is one of the family. It need not follow from the one that was asked for."""
        return event is not None and ((self.learn(event) and event.correlation_id == self._family) or self._join(event))

    def following(self, passing: Iterable[Passing]) -> Sequence[Passing]:
        """Those of the family that follow, also of those that were given before: an effect may be read before its cause."""
        shown: list[Passing] = []
        waiting = [*self._waiting, *passing]
        while True:
            left: list[Passing] = []
            for one in waiting:
                follows = one.event is not None and self._join(one.event)
                (shown if follows else left).append(one)
            if len(left) == len(waiting):
                self._waiting = left
                return shown
            waiting = left

    def _join(self, event: Event) -> bool:
        """Remember this event among those whose effects follow, if it does so itself."""
        follows = event.id in self._known or event.causation_id in self._known or event.correlation_id == self._id
        if follows:
            self._known.add(event.id)
        return follows
