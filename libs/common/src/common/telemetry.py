"""What we tell operators: spans, metrics, log lines, and their names. One object a service, passed in; nothing process-wide.

Names follow OpenTelemetry's conventions for messaging. No bodies and no personal data; keys are opaque ids.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from prometheus_client import CollectorRegistry, Counter, Gauge
from pythonjsonlogger.json import JsonFormatter

from common.failed_spans import KeepFailed, RecordAll
from common.settings import Settings

# Spans: `send <topic>` (producer) and `process <topic>` (consumer).
SEND = "send"
PROCESS = "process"
DUTY = "duty"
MESSAGING_SYSTEM = "messaging.system"
MESSAGING_OPERATION_NAME = "messaging.operation.name"
MESSAGING_OPERATION_TYPE = "messaging.operation.type"
MESSAGING_DESTINATION = "messaging.destination.name"
MESSAGING_MESSAGE_ID = "messaging.message.id"
MESSAGING_KAFKA_KEY = "messaging.kafka.message.key"
MESSAGING_KAFKA_OFFSET = "messaging.kafka.offset"
MESSAGING_BATCH_COUNT = "messaging.batch.message_count"
MESSAGING_GROUP = "messaging.consumer.group.name"
ERROR_TYPE = "error.type"
EVENT_TYPE = "cloudevents.event_type"
OUTCOME = "musubi.outcome"
DUTY_KIND = "musubi.duty.kind"

FAILED = StatusCode.ERROR

# Metrics, as Prometheus writes them.
EVENTS_TOTAL = "musubi_events"
ROLLED_BACK_TOTAL = "musubi_batches_rolled_back"
LAG_SECONDS = "musubi_lag_seconds"
OUTBOX_UNSENT = "musubi_outbox_unsent_batches"
RELAY_LEADING = "musubi_relay_leading"
RELAY_WAITS_FOR = "musubi_relay_waits_for_topic"
TOPIC_MISSING = "musubi_topic_missing"
RESENT_TOTAL = "musubi_events_resent"
DUTIES_TOTAL = "musubi_duties"
RETRIED_TOTAL = "musubi_parked_events_retried"
SENT_TOTAL = "musubi_events_sent"
# Those of `common.freshness`.
OLDEST_UNPROCESSED = "musubi_oldest_unprocessed_event_seconds"
OLDEST_UNSENT_BATCH = "musubi_oldest_unsent_batch_seconds"
OLDEST_UNSENT_MAIL = "musubi_oldest_unsent_mail_seconds"
OLDEST_HELD = "musubi_oldest_held_seconds"
PARKED = "musubi_parked_events"
QUARANTINED = "musubi_quarantined_records"
LOOK_AGE = "musubi_freshness_look_age_seconds"
SUBMISSIONS_TOTAL = "musubi_submissions"
MAILS_TOTAL = "musubi_mails"
FEEDBACK_TOTAL = "musubi_feedback"
ENGINE_TOTAL = "musubi_matching_engine"
# How long it takes from one service to another (`common.latency`).
PROPOSAL_LATENCY = "musubi_proposal_latency_seconds"
INBOX_LATENCY = "musubi_inbox_latency_seconds"


def traceparent(span: Span) -> bytes:
    """The W3C header value of a span; nothing if it belongs to no trace."""
    context = span.get_span_context()
    if not context.is_valid:
        return b""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}".encode()


def current_traceparent() -> bytes:
    """The W3C header value of the span that we are in; nothing outside of any."""
    return traceparent(trace.get_current_span())


_ODD = frozenset((b"1", b"3", b"5", b"7", b"9", b"b", b"d", b"f"))


def sampled(parent: bytes) -> bool:
    """Is this trace one of those that are kept? The other bits of the flags say other things (2: its id is random)."""
    return parent[-1:] in _ODD


def span_context(parent: bytes) -> SpanContext | None:
    """A traceparent as OpenTelemetry wants it; None if it is not one."""
    try:
        _, trace_id, span_id, flags = parent.decode().split("-")
        context = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)))
    except ValueError:
        return None
    return context if context.is_valid else None


def _context(parent: bytes) -> Context:
    found = span_context(parent)
    return trace.set_span_in_context(NonRecordingSpan(found), Context()) if found else Context()


class Metrics:
    """The numbers of one service."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(EVENTS_TOTAL, "Events that arrived, by outcome", ["topic", "outcome"], registry=registry)
        self.rolled_back = Counter(ROLLED_BACK_TOTAL, "Batches rolled back to be tried again", registry=registry)
        self.lag = Gauge(LAG_SECONDS, "Age of the last batch, 0 when all is read", ["topic"], registry=registry)
        self.unsent = Gauge(OUTBOX_UNSENT, "Batches of the outbox that wait to be sent", registry=registry)
        self.leading = Gauge(RELAY_LEADING, "1 where this process sends the service's outbox", registry=registry)
        self.waits_for = Gauge(RELAY_WAITS_FOR, "1: nothing is sent until this topic is there", ["topic"], registry=registry)
        self.missing = Gauge(TOPIC_MISSING, "1: the broker has not this topic of ours", ["topic"], registry=registry)
        self.resent = Counter(RESENT_TOTAL, "Events that a reader missed: sent again, or gone", ["outcome"], registry=registry)
        self.submissions = Counter(
            SUBMISSIONS_TOTAL, "Partners' events taken in, by what came of it", ["outcome"], registry=registry
        )
        self.sent = Counter(SENT_TOTAL, "Events written to the broker, also those sent again", ["topic"], registry=registry)
        self.retried = Counter(RETRIED_TOTAL, "Parked events looked at again", ["topic", "outcome"], registry=registry)
        self.mails = Counter(MAILS_TOTAL, "Mails tried, by what came of it", ["outcome"], registry=registry)
        self.duties = Counter(DUTIES_TOTAL, "Duties whose time had come", ["kind", "outcome"], registry=registry)


class Telemetry:
    """Tracer, metrics and logger of one service."""

    def __init__(
        self,
        service: str,
        *,
        sampling: float = 0.01,
        processors: Sequence[SpanProcessor] = (),
        registry: CollectorRegistry | None = None,
        log_level: str = "INFO",
        log_to: TextIO | None = None,
    ) -> None:
        """`sampling` is the share of traces kept (a parent's decision is followed); what failed is kept of every trace. Without
        processors no span goes anywhere."""
        self.service = service
        sampler = ParentBasedTraceIdRatio(sampling)
        self._provider = TracerProvider(
            sampler=RecordAll(sampler) if processors else sampler,
            resource=Resource({"service.name": service}),
            shutdown_on_exit=False,
        )
        for processor in processors:
            self._provider.add_span_processor(KeepFailed(processor))
        self._keeps = bool(processors)
        self.tracer = self._provider.get_tracer("musubi")
        self.registry = registry or CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.log = _logger(service, log_level, log_to or sys.stderr)

    @classmethod
    def of(cls, service: str, settings: Settings, *, log_to: TextIO | None = None) -> "Telemetry":
        """As the settings say: spans leave by OTLP over HTTP where an endpoint is configured, else they do not leave."""
        processors = []
        if settings.otlp_endpoint:
            exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
            processors.append(BatchSpanProcessor(exporter))
        return cls(service, sampling=settings.trace_sampling, processors=processors, log_level=settings.log_level, log_to=log_to)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: bytes | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int] | None = None,
        links: Sequence[bytes] = (),
    ) -> Iterator[Span]:
        """Be in a span; without `parent` (a traceparent, b"" for a new trace) it continues the current one."""
        span = self.start(name, parent=parent, kind=kind, attributes=attributes, links=links)
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except BaseException as error:
                fail(span, error)
                raise

    def start(
        self,
        name: str,
        *,
        parent: bytes | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int] | None = None,
        links: Sequence[bytes] = (),
    ) -> Span:
        """Start a span that the caller ends."""
        return self.tracer.start_span(
            name,
            context=None if parent is None else _context(parent),
            kind=kind,
            attributes=dict(attributes or {}),
            links=[Link(context) for context in map(span_context, links) if context],
        )

    def failed(
        self, name: str, error: str, *, parent: bytes, kind: SpanKind, attributes: Mapping[str, str | int], since: int
    ) -> None:
        """Keep the span of something that failed in a trace that is not sampled, made only now: until it failed it cost nothing.

        `error` is its kind, `since` when it began, in nanoseconds since 1970."""
        if self._keeps:
            span = self.tracer.start_span(name, _context(parent), kind, dict(attributes), start_time=since)
            _mark(span, error)
            span.end()

    def close(self) -> None:
        """Send what is left. May take seconds where the collector does not answer: call it in a thread."""
        self._provider.shutdown()


def fail(span: Span, error: BaseException) -> None:
    """Mark a span as failed, by the kind of error only: its text may quote data."""
    _mark(span, type(error).__name__)


def _mark(span: Span, error: str) -> None:
    span.set_attribute(ERROR_TYPE, error)
    span.set_status(FAILED)


class _WithTrace(logging.Filter):
    """Adds trace and span id to each line."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            record.trace_id, record.span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
        return True


def _logger(service: str, level: str, stream: TextIO) -> logging.Logger:
    """A logger of its own, not in Python's process-wide tree."""
    logger = logging.Logger(service, level)
    handler = logging.StreamHandler(stream)
    handler.addFilter(_WithTrace())
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level"},
            static_fields={"service": service},
            json_ensure_ascii=False,
        )
    )
    logger.addHandler(handler)
    return logger
