"""An operator's desk to look at: one service that handles exchange rates and notifications, with its pages, and records that it
holds back; and the browser's way to it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import uvicorn
from aiokafka import AIOKafkaProducer

from common.access import identity, sign_in
from common.access.permissions import Role
from common.contracts.catalog import ExchangeRatePublished
from common.contracts.notify import NotificationIssued
from common.contracts.registry import FACTS
from common.messaging import cursors, parked
from common.messaging.consumer import Arrived
from common.messaging.decoding import decode
from common.messaging.gate import Move, Parked, Refusal
from common.messaging.message import Event, to_headers
from common.operating import parked_pages
from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from common.transaction import Transaction
from common.web import application as web
from tests.brokers import Broker
from tests.browser.site import Site
from tests.chain import Chain, free_socket
from tests.common.hop import until
from tests.common.records import HandMade, a_record, an_event
from tests.eventually import eventually

SERVICE = "matching"
RATES, NOTIFICATIONS = "catalog.exchange-rates", "notify.notifications"
MIGRATIONS = Path(__file__).parents[1] / "common" / "hop_migrations"
HOSTILE = "<script>document.title='stolen'</script>\"'><img src=x onerror=\"document.title='stolen'\">"
HOSTILE_KEY = f"a/../b?c#d&e=%2F {HOSTILE}"


async def record_rates(events: Sequence[Arrived[ExchangeRatePublished]], tx: Transaction) -> None:
    """Note what each rate says; fails at a source that is not cured."""
    cured = {row["what"] for row in await tx.fetch("select what from cured")}
    for event, data in ((arrived.event, arrived.data) for arrived in events):
        if data.source.startswith("poison") and data.source not in cured:
            raise ValueError(f"cannot handle {data.source}")
        await tx.execute(
            "insert into effect (topic, key, sequence, event_id, type) values ($1, $2, $3, $4, $5)", *event[:4], data.source
        )


async def record_notifications(events: Sequence[Arrived[NotificationIssued]], tx: Transaction) -> None:
    """Note each."""
    for arrived in events:
        await tx.execute(
            "insert into effect (topic, key, sequence, event_id, type) values ($1, $2, $3, $4, '')", *arrived.event[:4]
        )


@dataclass
class Desk(Site):
    """The running service. `paths` are an address of each kind of page."""

    service: Service
    broker: Broker

    async def publish(self, *events: Event) -> None:
        """Put events into Kafka as their source would."""
        async with AIOKafkaProducer(
            bootstrap_servers=self.broker.address, compression_type="gzip", max_request_size=20_000_000
        ) as producer:
            for event in events:
                await producer.send_and_wait(event.topic, event.body, key=event.key.encode(), headers=to_headers(event))

    async def effects(self, key: str) -> list[str]:
        """What took effect for a key, in order."""
        async with self.service.database.reading() as tx:
            return [row["type"] for row in await tx.fetch("select type from effect where key = $1 order by id", key)]

    async def row(self, key: str) -> dict[str, Any] | None:
        """What is parked of a key."""
        async with self.service.database.reading() as tx:
            found = await tx.fetchrow("select * from parked where key = $1 order by sequence limit 1", key)
            return dict(found) if found else None

    async def cure(self, source: str) -> None:
        async with self.service.database.transaction() as tx:
            await tx.execute("insert into cured values ($1)", source)

    async def held(self, key: str) -> None:
        """Wait until an event of this key is held."""
        await eventually(lambda: self.row(key), what=f"{key} to be held")

    async def given_up(self, key: str) -> None:
        """Wait until an event of this key is held, and let it wait for a person as if its tries were over."""
        await self.held(key)
        async with self.service.database.transaction() as tx:
            await tx.execute("update parked set next_try = 'infinity', attempts = 11 where key = $1", key)


def rate(key: str, source: str, *, sequence: int = 1) -> Event:
    """A rate; its handling fails where the source begins with "poison" and is not cured."""
    body = {"currency": key, "per_usd": 1.5, "as_of": "2026-11-01", "source": source}
    return an_event(key=key, sequence=sequence, body=json.dumps(body).encode(), id=_id(key, sequence))


def notification(key: str, sequence: int) -> Event:
    body = {
        "id": key, "recipient_id": "r", "recipient_kind": "office", "need_id": "n", "offering_id": "o", "rule": "a test",
        "why": {}, "issued_at": "2026-11-01T00:00:00Z",
    }  # fmt: skip
    return an_event(
        topic=NOTIFICATIONS, key=key, sequence=sequence, type="notification.issued.v1", body=json.dumps(body).encode(),
        id=_id(key, sequence),
    )  # fmt: skip


def _id(key: str, sequence: int) -> str:
    return f"01939c5e-0000-7000-8000-{sequence:04d}{key.encode().hex()[:8]:0<8}"


def event_path(event: Event) -> str:
    return f"/{SERVICE}/parked/event?" + urlencode({"topic": event.topic, "key": event.key, "sequence": event.sequence})


@asynccontextmanager
async def running_desk(dsn: str, broker: Broker) -> AsyncIterator[Desk]:
    """The service with one record of each kind held back for good, so that nothing changes while it is looked at."""
    listening = free_socket()
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = Settings(
        postgres=dsn, kafka=broker.address, incarnation=broker.incarnation, public_origin=origin,
        local_sign_in=True, migrate=True, log_level="ERROR", watchdog=0,  # between tests its loop stands still
    )  # fmt: skip
    service = Service(SERVICE, settings, migrations=MIGRATIONS, telemetry=Telemetry(SERVICE, log_level="CRITICAL"))
    service.on_events({ExchangeRatePublished: record_rates, NotificationIssued: record_notifications})
    app = web.application(service)
    app.include_router(parked_pages.routes(service))
    app.include_router(sign_in.routes(service))
    await identity.prepare(dsn)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
    async with app.router.lifespan_context(app), httpx.AsyncClient(base_url=origin) as http:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await until(lambda: all(service.readiness().values()))
            paths = await _held_for_good(service)
            yield Desk(Chain(http, origin, dsn, broker), await _sessions(dsn), paths, service, broker)
        finally:
            server.should_exit = True
            await serving


async def _sessions(dsn: str) -> dict[Role, str]:
    now = datetime.now(UTC)
    sessions = {}
    async with identity.writing(dsn) as tx:
        for role in (Role.OPERATOR, Role.SECRETARIAT, Role.OFFICE, Role.OFFICER, Role.COMPANY):
            kind: Any = {Role.OFFICER: "municipality"}.get(role, str(role))
            names = {"en": f"The {role}", "ja": "当番の担当者"}
            await identity.record_organisation(tx, f"of-{role}", kind, names, now=now)
            account = await identity.create_account(tx, f"of-{role}", role, names=names, language="ja", now=now)
            sessions[role] = await identity.begin_session(tx, account, now=now)
    return sessions


async def _held_for_good(service: Service) -> dict[str, str]:
    """One of each, all given up or standing behind; returns the address of each kind of page."""
    poison = rate("XAF", "poison")
    wrong = poison._replace(key="XOF", body=b'{"currency":"ZZQ","per_usd":-1,"as_of":"2026-11-01","source":"a"}')
    hostile = poison._replace(key=HOSTILE_KEY, body=json.dumps({"currency": HOSTILE, HOSTILE: [HOSTILE]}).encode())
    old = rate("XPF", "old")
    gap, behind = notification("n-7", 5), notification("n-7", 6)
    async with service.database.transaction() as tx:
        await cursors.move(tx, SERVICE, {(NOTIFICATIONS, "n-7"): Move(0, 2)})
        await parked.park(
            tx,
            SERVICE,
            [
                Parked(poison, "poison", Refusal("", "ValueError('poison')")),
                Parked(wrong, "poison", Refusal("/per_usd", "/per_usd: Input should be greater than 0")),
                Parked(hostile, "poison", Refusal(f"/{HOSTILE}", HOSTILE)),
                Parked(old, "superseded", Refusal("/per_usd", "no")),
                Parked(gap, "gap"),
                Parked(behind, "behind"),
            ],
            {},
        )
        await tx.execute("update parked set attempts = 11, next_try = 'infinity'")
        hostile_bytes = HOSTILE.encode()
        records = [
            a_record(ce_id=None),
            a_record()._replace(value=b"\x00\xff binary"),
            HandMade(RATES, hostile_bytes, hostile_bytes, ((HOSTILE, hostile_bytes), ("null", None), ("bytes", b"\xff"))),
        ]
        for n, record in enumerate(records):
            await parked.quarantine(tx, SERVICE, "life", decode([record._replace(offset=n)], FACTS).broken)
    home = f"/{SERVICE}/parked"
    cause = {"topic": RATES, "type": poison.type, "reason": "poison", "cause": "ValueError"}

    def record_path(offset: int) -> str:
        of_record = {"topic": RATES, "incarnation": "life", "part": 0, "offset": offset}
        return f"/{SERVICE}/quarantine/record?" + urlencode(of_record)

    return {
        "overview": home,
        "cause": f"{home}/cause?{urlencode(cause)}",
        "event": event_path(poison),
        "wrong event": event_path(wrong),
        "hostile event": event_path(hostile),
        "superseded event": event_path(old),
        "gap": event_path(gap),
        "behind": event_path(behind),
        "unreadable records": f"/{SERVICE}/quarantine/cause?" + urlencode({"topic": RATES, "cause": "not JSON"}),
        "record": record_path(0),
        "binary record": record_path(1),
        "hostile record": record_path(2),
    }
