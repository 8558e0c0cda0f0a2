"""At full sampling one trace leads from the later of the two events to the accepted mail, and names the earlier one by a link."""

from collections.abc import Iterable, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from common.telemetry import MESSAGING_MESSAGE_ID
from tests import partner_events as partner
from tests.brokers import Broker
from tests.chain import Chain, running_chain
from tests.eventually import eventually
from tests.mailbox import Mailbox

PATH = [
    ("{origin}", SpanKind.SERVER, "POST /api/{origin}/v1/events"),
    ("{origin}", SpanKind.PRODUCER, "send {topic}"),
    ("matching", SpanKind.CONSUMER, "process {topic}"),
    ("matching", SpanKind.PRODUCER, "send {by_group}"),
    ("matching", SpanKind.CONSUMER, "process {by_group}"),
    ("matching", SpanKind.PRODUCER, "send matching.proposals"),
    ("notify", SpanKind.CONSUMER, "process matching.proposals"),
    ("notify", SpanKind.CLIENT, "send mail"),
]
"""Service, kind and name of each span on the way, each the child of the one before."""


@pytest.mark.parametrize("later", ["offering", "need"])
async def test_one_trace_leads_from_the_later_event_to_the_mail_and_links_the_earlier(
    any_kafka: Broker, postgres: str, smtp: Mailbox, later: str
) -> None:
    first, second = (partner.need(), partner.offering()) if later == "offering" else (partner.offering(), partner.need())
    service, topic = {"offering": ("catalog", "catalog.offerings"), "need": ("needs", "needs.needs")}[later]
    by_group, earlier_topic = f"matching.{later}s-by-group", f"matching.{'need' if later == 'offering' else 'offering'}s-by-group"
    async with running_chain(postgres, any_kafka, smtp) as chain:
        await chain.publish_accepted(partner.city(), partner.company(), first)
        await eventually(lambda: spans(chain, f"process {earlier_topic}"), what="the earlier event to reach its group")
        await chain.publish_accepted(second)
        mails = await eventually(lambda: spans(chain, "send mail"), what="the mail's span")
        accepted_mails = [mail["Message-ID"] for mail in await smtp.received(1)]
        assert any(message_id_of(mails[0]) in id_ for id_ in accepted_mails)

        (accepted,) = [s for s in chain.ended_spans() if s.name == f"POST /api/{service}/v1/events" and is_last(s, chain)]
        way = list(ancestors(mails[0], chain.ended_spans()))
        assert [described(span) for span in way] == [
            (where.format(origin=service), kind, name.format(origin=service, topic=topic, by_group=by_group))
            for where, kind, name in PATH
        ]
        assert way[0] is accepted
        assert {trace_of(span) for span in way} == {trace_of(accepted)}

        arrival = way[4]
        (earlier,) = await spans(chain, f"process {earlier_topic}")
        assert trace_of(earlier) != trace_of(accepted)
        assert trace_of(earlier) in {link.context.trace_id for link in arrival.links}


async def spans(chain: Chain, name: str) -> list[ReadableSpan]:
    return [span for span in chain.ended_spans() if span.name == name]


def message_id_of(span: ReadableSpan) -> str:
    assert span.attributes
    return str(span.attributes[MESSAGING_MESSAGE_ID])


def is_last(span: ReadableSpan, chain: Chain) -> bool:
    """Whether no request to that service was later."""
    return span is max((s for s in chain.ended_spans() if s.name == span.name), key=lambda s: s.start_time or 0)


def ancestors(span: ReadableSpan, all_: Sequence[ReadableSpan]) -> Iterable[ReadableSpan]:
    """From the root of the trace down to this span."""
    by_id = {s.context.span_id: s for s in all_ if s.context}
    way = [span]
    while way[0].parent is not None:
        assert way[0].parent.span_id in by_id, f"{described(way[0])} hangs on a span that never ended"
        way.insert(0, by_id[way[0].parent.span_id])
    return way


def described(span: ReadableSpan) -> tuple[object, SpanKind, str]:
    return span.resource.attributes["service.name"], span.kind, span.name


def trace_of(span: ReadableSpan) -> int:
    assert span.context
    return span.context.trace_id
