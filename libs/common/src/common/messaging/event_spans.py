"""The span `process <topic>` of each sampled event of a batch, and of each that failed. Where nothing is sampled and nothing
fails this costs nothing.
"""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from opentelemetry.trace import Span, SpanKind

from common import telemetry
from common.messaging.gate import Parked
from common.messaging.message import Broken, Event, Record
from common.telemetry import Telemetry

QUARANTINED = "quarantined"
POISON = "poison"
"""Of the reasons to park, the one that is a failure; the others stand behind it, or miss something."""


class EventSpans:
    """Spans from the first handler to the commit. An error of the whole batch marks the sampled ones, and is one span more for
    the others together.

    `records` are by `id(event)`; an event that was parked has none."""

    def __init__(self, told: Telemetry, group: str, records: Mapping[int, Record]) -> None:
        self._told = told
        self._group = group
        self._records = records
        self._events: Sequence[Event] = ()
        self._spans: dict[str, Span] = {}
        self._since = 0

    def begin(self, events: Sequence[Event]) -> dict[str, Span]:
        """Start the spans of the sampled ones; by event id."""
        self._events = events
        for event in events:
            if telemetry.sampled(event.trace):
                self._spans[event.id] = self._told.start(
                    f"{telemetry.PROCESS} {event.topic}",
                    parent=event.trace,
                    kind=SpanKind.CONSUMER,
                    attributes=self._about(event),
                )
        return self._spans

    def parked(self, events: Sequence[Parked]) -> None:
        """Say on their spans that these were not handled. One that failed has a span in any case."""
        for event, reason, _ in events:
            span = self._spans.get(event.id)
            if span is not None:
                span.set_attribute(telemetry.OUTCOME, "parked")
                span.set_attribute(telemetry.ERROR_TYPE, reason)
                if reason == POISON:
                    span.set_status(telemetry.FAILED)
            elif reason == POISON:
                self._failed(event.topic, reason, event.trace, self._about(event) | {telemetry.OUTCOME: "parked"})

    def quarantined(self, broken: Sequence[Broken]) -> None:
        """Of records that are no events, a span each: who sent them may have said in which trace."""
        for record, _ in broken:
            about: dict[str, str | int] = {telemetry.MESSAGING_KAFKA_OFFSET: record.offset, telemetry.OUTCOME: QUARANTINED}
            trace = next((value for name, value in record.headers if name == "traceparent" and value), b"")
            self._failed(record.topic, QUARANTINED, trace, self._everywhere(record.topic) | about)

    def __enter__(self) -> Self:
        self._since = time.time_ns()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for span in self._spans.values():
            if error is not None:
                telemetry.fail(span, error)
            span.end()
        if isinstance(error, Exception):
            self._tell_of_the_others(type(error).__name__)

    def _tell_of_the_others(self, error: str) -> None:
        first = next((event for event in self._events if event.id not in self._spans), None)
        if first is not None:
            topic, trace, amount = first.topic, first.trace, len(self._events) - len(self._spans)
        elif self._records and not self._events:  # it failed before any handler
            topic, trace, amount = next(iter(self._records.values())).topic, b"", len(self._records)
        else:
            return
        self._failed(topic, error, trace, self._everywhere(topic) | {telemetry.MESSAGING_BATCH_COUNT: amount})

    def _failed(self, topic: str, error: str, trace: bytes, about: Mapping[str, str | int]) -> None:
        name = f"{telemetry.PROCESS} {topic}"
        self._told.failed(name, error, parent=trace, kind=SpanKind.CONSUMER, attributes=about, since=self._since)

    def _everywhere(self, topic: str) -> dict[str, str | int]:
        return {
            telemetry.MESSAGING_SYSTEM: "kafka",
            telemetry.MESSAGING_OPERATION_NAME: telemetry.PROCESS,
            telemetry.MESSAGING_OPERATION_TYPE: telemetry.PROCESS,
            telemetry.MESSAGING_DESTINATION: topic,
            telemetry.MESSAGING_GROUP: self._group,
        }

    def _about(self, event: Event) -> dict[str, str | int]:
        record = self._records.get(id(event))
        about: dict[str, str | int] = {
            telemetry.MESSAGING_MESSAGE_ID: event.id,
            telemetry.MESSAGING_KAFKA_KEY: event.key,
            telemetry.EVENT_TYPE: event.type,
        }
        return self._everywhere(event.topic) | about | ({telemetry.MESSAGING_KAFKA_OFFSET: record.offset} if record else {})
