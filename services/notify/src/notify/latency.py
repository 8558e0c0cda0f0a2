"""How long it takes from the moment that a partner's event was accepted to the inbox item that it led to."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from common import latency
from common.clock import Clock
from common.messaging.message import Event
from common.telemetry import INBOX_LATENCY


class InboxLatency:
    """One observation for each new inbox item. The list that led to it names its cause, the need's or the offering's event, whose
    id was drawn when the partner's event was accepted."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self._seconds = latency.histogram(INBOX_LATENCY, "From the accepted event to the inbox item", [], registry)

    def note(self, handled: Sequence[Event], announced: Sequence[Event]) -> None:
        """These events took effect, and that was announced because of them; to be called after the commit."""
        now, lists = self._clock(), {event.id: event for event in handled}
        for event in announced:
            cause = lists.get(event.causation_id)
            accepted = latency.drawn_at(cause.causation_id) if cause is not None else None
            if accepted is not None:
                self._seconds.observe(max(0.0, (now - accepted).total_seconds()))
