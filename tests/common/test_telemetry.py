"""What operators see: one unbroken trace through outbox and Kafka, log lines that name it, numbers of each service alone."""

import io
import json
import uuid
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from common import telemetry
from common.clock import utc_now
from common.messaging.message import Event
from common.telemetry import Telemetry
from common.transaction import Transaction
from tests.brokers import Broker
from tests.common.hop import NOTIFICATIONS, RATES, Source, looking_at, rate, running_hop, until


@pytest.fixture
def kept() -> InMemorySpanExporter:
    """Where finished spans go."""
    return InMemorySpanExporter()


def telling(service: str, kept: InMemorySpanExporter, sampling: float) -> Telemetry:
    return Telemetry(service, sampling=sampling, processors=[SimpleSpanProcessor(kept)], log_level="ERROR")


async def rate_to_notification(postgres: str, broker: Broker, kept: InMemorySpanExporter, sampling: float) -> None:
    """A rate is announced inside a span, the hop handles it, announces a notification and handles that."""
    name = f"hop_{uuid.uuid4().hex[:8]}"
    told = telling("source", kept, sampling)
    async with (
        Source(postgres, broker, telemetry=told).running() as source,
        running_hop(postgres, broker, name, telemetry=telling(name, kept, sampling)),
        looking_at(postgres, name) as seen,
    ):
        with told.span("request"):
            await source.emit(rate("JPY"))

        async def there() -> bool:
            return bool(await seen.effects(NOTIFICATIONS))

        await until(there)


async def test_one_trace_leads_from_the_request_through_both_hops(
    postgres: str, any_kafka: Broker, kept: InMemorySpanExporter
) -> None:
    await rate_to_notification(postgres, any_kafka, kept, 1.0)
    spans = {span.name: span for span in kept.get_finished_spans()}
    names = ["request", f"send {RATES}", f"process {RATES}", f"send {NOTIFICATIONS}", f"process {NOTIFICATIONS}"]
    chain: list[ReadableSpan] = [spans[name] for name in names]
    for before, after in pairwise(chain):
        assert after.parent is not None
        assert before.context is not None
        assert (after.parent.trace_id, after.parent.span_id) == (before.context.trace_id, before.context.span_id)
    process = spans[f"process {RATES}"]
    assert process.kind is SpanKind.CONSUMER
    assert process.attributes is not None
    assert dict(process.attributes) | {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": RATES,
        "messaging.kafka.message.key": "JPY",
        "messaging.kafka.offset": 0,
    } == dict(process.attributes)
    assert spans[f"send {RATES}"].kind is SpanKind.PRODUCER


async def test_where_nothing_is_sampled_there_are_no_spans(postgres: str, kafka: Broker, kept: InMemorySpanExporter) -> None:
    await rate_to_notification(postgres, kafka, kept, 0.0)
    assert kept.get_finished_spans() == ()


def test_an_earlier_trace_is_linked_to_the_event_that_completes_it(kept: InMemorySpanExporter) -> None:
    told = telling("matching", kept, 1.0)
    with told.span("earlier") as earlier, told.span("later"):
        before = telemetry.traceparent(earlier)
    event = Event("t", "k", 1, "id", "x.v1", "/s", "2026-11-01T00:00:00Z", b"{}")
    tx = Transaction(None, utc_now())
    span = told.start("process t")
    tx.handled_in({event.id: span})
    tx.link(event, before)
    assert tx.trace_of(event) == telemetry.traceparent(span)
    span.end()
    [done] = [span for span in kept.get_finished_spans() if span.name == "process t"]
    assert [telemetry.span_context(before)] == [link.context for link in done.links]


def test_a_log_line_is_json_with_service_and_trace() -> None:
    lines = io.StringIO()
    told = Telemetry("needs", log_to=lines)
    with told.span("request") as span:
        told.log.warning("お知らせ", extra={"topic": "t"})
    told.log.info("outside")
    inside, outside = map(json.loads, lines.getvalue().splitlines())
    assert (inside["service"], inside["message"], inside["level"], inside["topic"]) == ("needs", "お知らせ", "WARNING", "t")
    assert inside["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert "trace_id" not in outside


def test_two_services_in_one_process_share_nothing() -> None:
    one, other = Telemetry("needs"), Telemetry("catalog")
    one.metrics.leading.set(1)
    assert one.registry.get_sample_value("musubi_relay_leading") == 1
    assert other.registry.get_sample_value("musubi_relay_leading") == 0
    assert one.log is not other.log


@pytest.mark.parametrize("bad", [b"", b"junk", b"00-zz-zz-01", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"])
def test_a_traceparent_that_is_none_begins_a_new_trace(bad: bytes, kept: InMemorySpanExporter) -> None:
    told = telling("needs", kept, 1.0)
    assert telemetry.span_context(bad) is None
    with told.span("x", parent=bad):
        pass
    assert kept.get_finished_spans()[0].parent is None
