"""The whole service as it runs: events from Kafka in, mails out, facts announced, ready and then stopped."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from aiokafka import AIOKafkaProducer
from httpx import ASGITransport
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common.access import identity
from common.contracts.values import Fact
from common.messaging.message import to_headers
from common.telemetry import Telemetry
from notify.app import create_app
from notify.settings import NotifySettings
from tests.brokers import Broker
from tests.eventually import eventually
from tests.facts import event_of
from tests.mailbox import Mailbox
from tests.notify.matches import city_page, company_page, match, need, shortlist
from tests.notify.world import ORIGIN

TRACE = b"00-11111111111111111111111111111111-2222222222222222-01"


async def announce(broker: Broker, *facts: tuple[Fact, int]) -> None:
    """Put facts with their sequence numbers on Kafka, as their producers would."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    await producer.start()
    try:
        for fact, sequence in facts:
            event = event_of(fact, sequence, trace=TRACE)
            await producer.send_and_wait(event.topic, event.body, key=event.key.encode(), headers=to_headers(event))
    finally:
        await producer.stop()


async def test_events_from_kafka_become_one_mail_each_and_one_trace_leads_to_it(
    any_kafka: Broker, postgres: str, smtp: Mailbox, tmp_path: Path
):
    settings = NotifySettings(
        postgres=postgres, kafka=any_kafka.address, incarnation=any_kafka.incarnation, public_origin=ORIGIN, migrate=True,
        local_sign_in=True, smtp_host=smtp.host, smtp_port=smtp.port, mail_folder=tmp_path,
    )  # fmt: skip
    await identity.prepare(postgres)
    spans = InMemorySpanExporter()
    telemetry = Telemetry("notify", sampling=1, processors=[SimpleSpanProcessor(spans)], log_level="ERROR")
    app = create_app(settings, telemetry=telemetry)
    transport = ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        await eventually(ready(http), what="notify to be ready")
        fits = shortlist(need(), match())
        await announce(any_kafka, (fits, 1), (fits, 1), (city_page(), 1), (company_page(), 1))
        await announce(any_kafka, (shortlist(need(), match(score=90)), 2))
        await smtp.received(3)
        counts = await eventually(
            lambda: counted(http), lambda c: c["mails"] == 3 and c["mails_waiting"] == 0, what="three mails to be noted as sent"
        )
    assert counts["notifications"] == 3
    assert len(smtp.messages) == 3
    sending = [span for span in spans.get_finished_spans() if span.name == "send mail"]
    assert len(sending) == 3
    assert {f"{span.context.trace_id:032x}" for span in sending if span.context} == {TRACE[3:35].decode()}


def ready(http: httpx.AsyncClient) -> Callable[[], Awaitable[bool]]:
    """Whether the service says that it can do its work."""

    async def look() -> bool:
        return (await http.get("/api/notify/readyz")).status_code == 200

    return look


async def counted(http: httpx.AsyncClient) -> dict[str, int]:
    return (await http.get("/api/notify/v1/counts")).json()
