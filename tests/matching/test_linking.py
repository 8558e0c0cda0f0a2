"""A trace leads from the later of need and offering to the proposal; the earlier one's trace is linked."""

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common.contracts.values import Fact
from common.messaging.consumer import Arrived
from common.telemetry import Telemetry, traceparent
from matching.handlers import handlers, take_locks
from tests.facts import event_of
from tests.matching.pairs import need_fact, offering_fact
from tests.matching.running import Matching


async def handled_in_a_span(matching: Matching, telemetry: Telemetry, fact: Fact) -> bytes:
    """The fact is handled in a span of its own, as the consumer does it; returns the trace of what was announced."""
    span = telemetry.start("process", parent=b"")
    event = event_of(fact, trace=traceparent(span))
    async with matching.database.transaction() as tx:
        tx.handled_in({event.id: span})
        arrived = [Arrived(event, fact)]
        await take_locks(arrived, tx, matching.memory)
        await handlers(matching.memory)[type(fact)](arrived, tx)
        announced = [one.trace for one in tx.emitted]
    span.end()
    return announced[0] if announced else b""


async def test_the_later_event_leads_on_and_the_earlier_is_linked(matching: Matching) -> None:
    for first, second in ((need_fact(), offering_fact()), (offering_fact(lead_time_days=90), need_fact(quantity=3000))):
        spans = InMemorySpanExporter()
        telemetry = Telemetry("matching", sampling=1, processors=[SimpleSpanProcessor(spans)], log_level="ERROR")
        await handled_in_a_span(matching, telemetry, first)
        trace = await handled_in_a_span(matching, telemetry, second)
        earlier, later = spans.get_finished_spans()
        assert later.context is not None and earlier.context is not None
        assert f"{later.context.trace_id:032x}" in trace.decode()
        assert [link.context.trace_id for link in later.links] == [earlier.context.trace_id]


async def test_an_unsampled_event_costs_no_links(matching: Matching) -> None:
    spans = InMemorySpanExporter()
    telemetry = Telemetry("matching", sampling=0, processors=[SimpleSpanProcessor(spans)], log_level="ERROR")
    await handled_in_a_span(matching, telemetry, need_fact())
    await handled_in_a_span(matching, telemetry, offering_fact())
    assert spans.get_finished_spans() == ()
