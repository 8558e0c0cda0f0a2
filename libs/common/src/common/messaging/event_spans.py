"""The span `process <topic>` of each sampled event of a batch. Where no event is sampled this costs nothing."""

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from opentelemetry.trace import Span, SpanKind

from common import telemetry
from common.messaging.gate import Parked
from common.messaging.message import Event, Record
from common.telemetry import Telemetry


class EventSpans:
    """Spans from the first handler to the commit; an error of the whole batch marks all.

    `records` are by `id(event)`; an event that was parked has none."""

    def __init__(self, told: Telemetry, group: str, records: Mapping[int, Record]) -> None:
        self._told = told
        self._group = group
        self._records = records
        self._spans: dict[str, Span] = {}

    def begin(self, events: Iterable[Event]) -> dict[str, Span]:
        """Start the spans of the sampled ones; by event id."""
        for event in events:
            if telemetry.sampled(event.trace):
                record = self._records.get(id(event))
                self._spans[event.id] = self._told.start(
                    f"{telemetry.PROCESS} {event.topic}",
                    parent=event.trace,
                    kind=SpanKind.CONSUMER,
                    attributes={
                        telemetry.MESSAGING_SYSTEM: "kafka",
                        telemetry.MESSAGING_OPERATION_NAME: telemetry.PROCESS,
                        telemetry.MESSAGING_OPERATION_TYPE: telemetry.PROCESS,
                        telemetry.MESSAGING_DESTINATION: event.topic,
                        telemetry.MESSAGING_GROUP: self._group,
                        telemetry.MESSAGING_MESSAGE_ID: event.id,
                        telemetry.MESSAGING_KAFKA_KEY: event.key,
                        telemetry.EVENT_TYPE: event.type,
                    }
                    | ({telemetry.MESSAGING_KAFKA_OFFSET: record.offset} if record else {}),
                )
        return self._spans

    def parked(self, events: Sequence[Parked]) -> None:
        """Say on their spans that these were not handled."""
        for event, reason, _ in events:
            span = self._spans.get(event.id)
            if span is not None:
                span.set_attribute(telemetry.OUTCOME, "parked")
                span.set_attribute(telemetry.ERROR_TYPE, reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for span in self._spans.values():
            if error is not None:
                telemetry.fail(span, error)
            span.end()
