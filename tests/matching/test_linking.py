"""A trace leads from the later of need and offering to the proposal; the earlier one's trace is linked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common.contracts.values import Fact
from common.messaging.consumer import Arrived
from common.messaging.message import Event
from common.telemetry import Telemetry, traceparent
from common.transaction import Transaction
from tests.facts import event_of
from tests.matching.pairs import need_fact, offering_fact
from tests.matching.running import Matching, routed, work_in_groups


async def handled_in_a_span(matching: Matching, telemetry: Telemetry, fact: Fact) -> bytes:
    """The fact is handed on, and then handled, each in a span of its own, as the consumers do it; returns the trace of what was
    announced."""
    async with matching.database.transaction() as tx:
        with _spans(tx, telemetry, "hand on", [event_of(fact)]) as events:
            arrived = await routed(tx, [Arrived(events[0], fact)])
        with _spans(tx, telemetry, "match", [one.event for one in arrived]) as events:
            await work_in_groups(
                tx, matching.memory, [Arrived(event, one.data) for event, one in zip(events, arrived, strict=True)]
            )
        return tx.emitted[0].trace if tx.emitted else b""


@contextmanager
def _spans(tx: Transaction, telemetry: Telemetry, name: str, events: Sequence[Event]) -> Iterator[list[Event]]:
    spans = {event.id: telemetry.start(name, parent=event.trace) for event in events}
    tx.handled_in(spans)
    yield [event._replace(trace=event.trace or traceparent(spans[event.id])) for event in events]
    for span in spans.values():
        span.end()


async def test_the_later_event_leads_on_and_the_earlier_is_linked(matching: Matching) -> None:
    for first, second in ((need_fact(), offering_fact()), (offering_fact(lead_time_days=90), need_fact(quantity=3000))):
        spans = InMemorySpanExporter()
        telemetry = Telemetry("matching", sampling=1, processors=[SimpleSpanProcessor(spans)], log_level="ERROR")
        await handled_in_a_span(matching, telemetry, first)
        trace = await handled_in_a_span(matching, telemetry, second)
        _, earlier, handed_on, later = spans.get_finished_spans()
        assert later.context is not None and earlier.context is not None and handed_on.context is not None
        assert later.context.trace_id == handed_on.context.trace_id
        assert f"{later.context.trace_id:032x}" in trace.decode()
        assert [link.context.trace_id for link in later.links] == [earlier.context.trace_id]


async def test_an_unsampled_event_costs_no_links(matching: Matching) -> None:
    spans = InMemorySpanExporter()
    telemetry = Telemetry("matching", sampling=0, processors=[SimpleSpanProcessor(spans)], log_level="ERROR")
    await handled_in_a_span(matching, telemetry, need_fact())
    await handled_in_a_span(matching, telemetry, offering_fact())
    assert spans.get_finished_spans() == ()
