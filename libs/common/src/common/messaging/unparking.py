"""What to do next with a key whose events are parked, and when to try again: pure, no clock, no database, no broker.

In a topic of facts only a key's lowest parked event, its *head*, decides; the others stand behind it. In a topic of state each
parked event is tried for itself, because a newer version heals the key.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

from common.messaging.message import Event

AT_ONCE = 500
"""Events of one key in one transaction."""

_WAITS = [timedelta(seconds=seconds) for seconds in (1, 5, 30, 120, 600, *[3600] * 6)]


class Waiting(NamedTuple):
    """A parked event that waits, and what decides how it goes on. Operators see it as a `common.operating.held.HeldEvent`."""

    event: Event
    reason: str
    attempts: int
    """For this reason."""
    due: bool
    version: str = ""
    """Differs after every change of the row."""
    stood: tuple[int, int, int | None] | None = None
    """Partition, offset and timestamp of its record, where it came from one."""

    @property
    def sequence(self) -> int:
        """Its number in its key."""
        return self.event.sequence


class Step(StrEnum):
    """What to do with the head of a key."""

    DROP = "drop"
    """It, or a newer version of it, has taken effect."""
    FETCH = "fetch"
    """Events before it are missing: ask their source to send them again."""
    TRY = "try"
    """It is next."""
    WAIT = "wait"
    """Its time has not come."""


class Plan(NamedTuple):
    """What to do with a key: which step, with which of its events, lowest first."""

    step: Step
    events: Sequence[Waiting] = ()


class _Numbered(Protocol):
    @property
    def sequence(self) -> int: ...


N = TypeVar("N", bound=_Numbered)


def plan(last: int, waiting: Sequence[Waiting], *, dense: bool) -> Plan:
    """What to do with a key whose last event that took effect was `last`. `waiting` are its events that wait, lowest first: in a
    dense topic from the head on, in a state topic those that are due."""
    if not waiting:
        return Plan(Step.WAIT)
    found = step(last, waiting[0].sequence, dense=dense)
    if found is Step.DROP:
        return Plan(found, [one for one in waiting if one.sequence <= last])
    if dense and not waiting[0].due:
        return Plan(Step.WAIT)
    if found is Step.FETCH:
        return Plan(found, waiting[:1])
    return Plan(found, tried_together(waiting, dense=dense))


def step(last: int, head: int, *, dense: bool) -> Step:
    """What to do with the head of a key, its time having come, where `last` was the last event that took effect."""
    if head <= last:
        return Step.DROP
    if dense and head > last + 1:
        return Step.FETCH
    return Step.TRY


def tried_together(events: Sequence[N], *, dense: bool) -> list[N]:
    """Those of a key's parked events, lowest first, that can be tried together: in a dense topic until the next hole."""
    if not dense:
        return list(events)
    return [event for place, event in enumerate(events) if event.sequence == events[0].sequence + place]


def attempts_after(one: Waiting, reason: str) -> int:
    """How often it has failed for this reason, now that it has once more: a gap that is filled begins anew as an event."""
    return one.attempts + 1 if one.reason == reason else 1


def wait_after(attempts: int) -> timedelta | None:
    """How long to wait after so many failed attempts (1 for the first): 1 s, 5 s, 30 s, 2 min, 10 min, six times an hour; then
    None: the event is *dead*, it still holds its key and waits for a person."""
    return _WAITS[attempts - 1] if attempts <= len(_WAITS) else None
