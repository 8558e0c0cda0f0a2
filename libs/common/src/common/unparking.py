"""When a parked event may go on, and when it is tried again: pure, no clock, no database, no broker.

Only a key's lowest parked event, its *head*, decides; in a topic of facts the others stand behind it.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from common.message import Event

_WAITS = [timedelta(seconds=seconds) for seconds in (1, 5, 30, 120, 600, *[3600] * 6)]


class Step(StrEnum):
    """What to do with the head of a key."""

    DROP = "drop"
    """It, or a newer version of it, has taken effect."""
    FETCH = "fetch"
    """Events before it are missing: ask their source to send them again."""
    TRY = "try"
    """It is next."""


def step(last: int, head: int, *, dense: bool) -> Step:
    """What to do with the head of a key whose last event that took effect was `last`."""
    if head <= last:
        return Step.DROP
    if dense and head > last + 1:
        return Step.FETCH
    return Step.TRY


def row(events: Sequence[Event], *, dense: bool) -> list[Event]:
    """Those of a key's parked events, lowest first, that can be tried together: in a dense topic until the next hole."""
    if not dense:
        return list(events)
    return [event for place, event in enumerate(events) if event.sequence == events[0].sequence + place]


def wait_after(attempts: int) -> timedelta | None:
    """How long to wait after so many failed attempts (1 for the first): 1 s, 5 s, 30 s, 2 min, 10 min, six times an hour; then
    None: the event is *dead*, it still holds its key and waits for a person."""
    return _WAITS[attempts - 1] if attempts <= len(_WAITS) else None
