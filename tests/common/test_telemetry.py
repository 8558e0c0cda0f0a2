"""What operators see: one unbroken trace through outbox and Kafka, log lines that name it, numbers of each service alone."""

import io
import json
import uuid
from itertools import pairwise

import pytest
from aiokafka import AIOKafkaProducer
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from common import telemetry
from common.clock import utc_now
from common.failed_spans import ALONE
from common.messaging.message import Event
from common.telemetry import Telemetry
from common.transaction import Transaction
from tests.brokers import Broker
from tests.common.hop import NOTIFICATIONS, RATES, Source, looking_at, rate, running_hop, until

TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


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


async def test_what_fails_is_kept_although_nothing_is_sampled(postgres: str, kafka: Broker, kept: InMemorySpanExporter) -> None:
    """An event that is parked, one whose batch is rolled back, and a record that is none; each in its trace."""
    name = f"hop_{uuid.uuid4().hex[:8]}"
    told = telling("source", kept, 0.0)
    async with (
        Source(postgres, kafka, telemetry=told).running() as source,
        running_hop(postgres, kafka, name, telemetry=telling(name, kept, 0.0)),
        looking_at(postgres, name) as seen,
    ):
        with told.span("request") as request:
            await source.emit(rate("JPY", source="poison"), rate("USD"))

        async def parked() -> bool:
            return bool(await seen.parked())

        await until(parked)
        await until(lambda: kept.get_finished_spans())
        [span, *_] = kept.get_finished_spans()
        assert (span.name, span.status.status_code) == (f"process {RATES}", StatusCode.ERROR)
        assert span.attributes is not None
        assert (span.attributes[telemetry.ERROR_TYPE], span.attributes["messaging.kafka.message.key"]) == ("poison", "JPY")
        assert span.attributes[ALONE] is True
        assert span.context is not None
        assert span.context.trace_id == request.get_span_context().trace_id
        assert span.start_time and span.end_time
        assert span.start_time < span.end_time

        kept.clear()
        await source.emit(rate("EUR", source="database"))  # a deadlock, again and again
        await until(lambda: kept.get_finished_spans())
        [rolled_back, *_] = kept.get_finished_spans()
        assert rolled_back.attributes is not None
        assert rolled_back.attributes[telemetry.MESSAGING_BATCH_COUNT] in (1, 2)  # with what the dollar's rate led to
        assert rolled_back.attributes[telemetry.ERROR_TYPE] == "DeadlockDetectedError"
        await seen.cure("database")

        kept.clear()
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
        await producer.start()
        await producer.send_and_wait(RATES, b"no event", headers=[("traceparent", TRACEPARENT)])
        await producer.stop()
        await until(lambda: [s for s in kept.get_finished_spans() if (s.attributes or {}).get("musubi.outcome") == "quarantined"])
        [broken] = [s for s in kept.get_finished_spans() if (s.attributes or {}).get("musubi.outcome") == "quarantined"]
        assert broken.parent is not None
        assert telemetry.span_context(TRACEPARENT) == broken.parent


def test_an_unsampled_span_goes_nowhere_unless_it_fails(kept: InMemorySpanExporter) -> None:
    told = telling("needs", kept, 0.0)
    with told.span("well") as well:
        assert not telemetry.sampled(telemetry.traceparent(well))
    with pytest.raises(ValueError, match="x"), told.span("ill", attributes={"a": 1}):
        raise ValueError("x")
    [span] = kept.get_finished_spans()
    assert (span.name, span.status.description) == ("ill", None)
    assert dict(span.attributes or {}) == {"a": 1, telemetry.ERROR_TYPE: "ValueError", ALONE: True}
    assert not span.events  # no text of the error, which may quote data


def test_without_anywhere_to_go_a_span_of_an_unsampled_trace_is_only_a_number() -> None:
    with Telemetry("needs", sampling=0.0).span("x") as span:
        assert not span.is_recording()


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
