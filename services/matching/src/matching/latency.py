"""How long it takes from a need's or an offering's event to the stored list that it led to."""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry

from common import latency
from common.clock import Clock
from common.messaging.message import Event
from common.telemetry import PROPOSAL_LATENCY


class ProposalLatency:
    """One observation for each list that is announced because of an event; none for lists of which only a day has passed."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self._seconds = latency.histogram(
            PROPOSAL_LATENCY, "From the event to the stored list, by the event's topic", ["topic"], registry
        )

    def note(self, handled: Sequence[Event], announced: Sequence[Event]) -> None:
        """These events took effect, and that was announced because of them; to be called after the commit."""
        now, causes = self._clock(), {event.id: event for event in handled}
        for event in announced:
            cause = causes.get(event.causation_id)
            if cause is not None:
                waited = (now - datetime.fromisoformat(cause.time)).total_seconds()
                self._seconds.labels(cause.topic).observe(max(0.0, waited))
