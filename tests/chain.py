"""The whole chain for tests: the four services as one origin, on a real database, a broker and a mail server.

`running_chain` runs them in the test's own process, with every span kept; `tests.chain_process` runs some or all of them in
a process that can be killed.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import httpx
import uvicorn
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import catalog.app
import matching.app
import needs.app
import notify.app
from common.access import identity
from common.access.permissions import Role
from common.contracts.registry import SUBMISSIONS
from common.telemetry import Telemetry
from musubi.dispatcher import OneOrigin
from musubi.lifespans import side_by_side
from notify.settings import NotifySettings
from tests.brokers import Broker
from tests.mailbox import Mailbox
from tests.partner_events import BATCH, CloudEvent

PARTNER = "test-partner"
MAKERS: Mapping[str, Callable[..., FastAPI]] = {
    "needs": needs.app.create_app,
    "catalog": catalog.app.create_app,
    "matching": matching.app.create_app,
    "notify": notify.app.create_app,
}


@dataclass
class Partner:
    """A partner's system that speaks to the chain over HTTP with its key."""

    http: httpx.AsyncClient

    async def publish(self, *events: CloudEvent) -> list[dict[str, Any]]:
        """Send events in order, as few requests as possible; returns one result each. Every request must be answered."""
        results: list[dict[str, Any]] = []
        for service, batch in _batches(events):
            answer = await self.http.post(
                f"/api/{service}/v1/events", json=batch, headers={"content-type": BATCH, "accept-language": "en"}
            )
            assert answer.status_code in (202, 207, 422), answer.text
            results += answer.json()["results"]
        return results

    async def publish_accepted(self, *events: CloudEvent) -> list[dict[str, Any]]:
        """The same, where nothing may be refused."""
        results = await self.publish(*events)
        assert [r for r in results if r["status"] not in ("accepted", "repeat")] == []
        return results


@dataclass
class Chain(Partner):
    """The running services. `spans` holds every span that any of them ended."""

    origin: str
    dsn: str
    broker: Broker
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    async def sign_in_link(self, organisation_id: str, role: Role, names: Mapping[str, str]) -> str:
        """The address of a one-time link for somebody of this organisation."""
        return f"{self.origin}/sign-in/{await sign_in_token(self.dsn, organisation_id, role, names)}"

    def ended_spans(self) -> Sequence[ReadableSpan]:
        return self.spans.get_finished_spans()


def free_socket() -> socket.socket:
    """A place on 127.0.0.1 that is taken from now on. It listens already: who connects before the server runs is answered in a
    moment, not refused."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    return listening


def settings_for(dsn: str, broker: Broker, origin: str, mailbox: Mailbox | None = None, **others: Any) -> NotifySettings:
    """The settings of all services of one chain. No watchdog: a chain that several tests share stands still between them."""
    if mailbox:
        others |= {"smtp_host": mailbox.host, "smtp_port": mailbox.port}
    return NotifySettings(
        postgres=dsn, kafka=broker.address, incarnation=broker.incarnation, public_origin=origin,
        local_sign_in=True, trace_sampling=1.0, log_level="WARNING", migrate=True, watchdog=0, **others,
    )  # fmt: skip


@asynccontextmanager
async def running_chain(dsn: str, broker: Broker, mailbox: Mailbox | None, **others: Any) -> AsyncIterator[Chain]:
    """All four services in this process, ready, with a partner's key. Without a mailbox, mails go into `mail_folder`."""
    listening = free_socket()
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = settings_for(dsn, broker, origin, mailbox, **others)
    key = await partner_key(dsn)
    spans = InMemorySpanExporter()
    telemetry = {
        name: Telemetry(name, sampling=1, processors=[SimpleSpanProcessor(spans)], log_level="WARNING") for name in MAKERS
    }
    apps = {name: make(settings, telemetry=telemetry[name]) for name, make in MAKERS.items()}
    async with (
        served(apps, listening),
        httpx.AsyncClient(base_url=origin, headers={"authorization": f"Bearer {key}"}, timeout=30) as http,
    ):
        yield Chain(http, origin, dsn, broker, spans)


@asynccontextmanager
async def served(apps: Mapping[str, FastAPI], listening: socket.socket) -> AsyncIterator[None]:
    """Run these services as one origin while the block runs."""
    server = uvicorn.Server(uvicorn.Config(OneOrigin(apps), lifespan="off", log_config=None, access_log=False))
    async with side_by_side(partial(app.router.lifespan_context, app) for app in apps.values()):
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving


async def partner_key(dsn: str) -> str:
    """Makes the identity schema where it is missing, and a key of the partner with which tests speak."""
    await identity.prepare(dsn)
    now = datetime.now(UTC)
    async with identity.writing(dsn) as tx:
        await identity.record_organisation(tx, PARTNER, "partner", {"en": "Test partner", "ja": "試験用パートナー"}, now=now)
        return await identity.create_api_key(tx, PARTNER, now=now)


async def sign_in_token(dsn: str, organisation_id: str, role: Role, names: Mapping[str, str]) -> str:
    """A one-time token for somebody new of this organisation."""
    kind: Any = {Role.OFFICER: "municipality"}.get(role, str(role))
    now = datetime.now(UTC)
    async with identity.writing(dsn) as tx:
        await identity.record_organisation(tx, organisation_id, kind, names, now=now)
        account = await identity.create_account(tx, organisation_id, role, names=names, language="en", now=now)
        return await identity.issue_sign_in_link(tx, account, now=now)


async def rows(dsn: str, service: str, sql: str, *args: Any) -> list[asyncpg.Record]:
    """What the tables of a service say, read by the test itself."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": service})
    try:
        return await connection.fetch(sql, *args)
    finally:
        await connection.close()


def _batches(events: Iterable[CloudEvent]) -> Iterable[tuple[str, list[CloudEvent]]]:
    """Neighbours that one service takes in, up to 100 together."""
    batch: list[CloudEvent] = []
    service = ""
    for event in events:
        kind = SUBMISSIONS.get(str(event.get("type")))
        taker = kind.service if kind else service or "needs"
        if batch and (taker != service or len(batch) == 100):
            yield service, batch
            batch = []
        service = taker
        batch.append(event)
    if batch:
        yield service, batch
