"""Keeps every span that failed, also those of traces that are not among the sampled ones (decision 0074).

Whether a trace is kept is decided where it begins, and travels with it; that something failed is known only at a span's end. So a
span of an unsampled trace is recorded all the same, and thrown away at its end unless it failed. On the way of events, where that
would cost, a span is made only once something has failed (`Telemetry.failed`).
"""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import Attributes

ALONE = "musubi.trace.alone"
"""True on a failed span of a trace that was not sampled: of that trace only what failed is kept."""


class RecordAll(Sampler):
    """Decides as another sampler does, but spans that are not sampled are recorded."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """The other's result, never `DROP`."""
        found = self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if found.decision is not Decision.DROP:
            return found
        return SamplingResult(Decision.RECORD_ONLY, attributes, found.trace_state)

    def get_description(self) -> str:
        """For OpenTelemetry's own output."""
        return f"RecordAll{{{self._sampler.get_description()}}}"


class KeepFailed(SpanProcessor):
    """Hands sampled spans on, and of the others those that failed, marked as sampled: an exporter takes no other."""

    def __init__(self, next_: SpanProcessor) -> None:
        self._next = next_

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """As it is."""
        self._next.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep it or not."""
        context = span.context
        if context is None or context.trace_flags.sampled:
            self._next.on_end(span)
        elif span.status.status_code is StatusCode.ERROR:
            self._next.on_end(_as_if_sampled(span, context))

    def shutdown(self) -> None:
        """Send what is left."""
        self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is there; False if there was not time enough."""
        return self._next.force_flush(timeout_millis)


def _as_if_sampled(span: ReadableSpan, context: SpanContext) -> ReadableSpan:
    flags = TraceFlags(context.trace_flags | TraceFlags.SAMPLED)
    return ReadableSpan(
        span.name,
        context=SpanContext(context.trace_id, context.span_id, context.is_remote, flags, context.trace_state),
        parent=span.parent,
        resource=span.resource,
        attributes={**(span.attributes or {}), ALONE: True},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
