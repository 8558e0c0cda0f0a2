"""The notify service on a real database with a clock that tests move, without a broker: events are handed to its handlers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI
from httpx import ASGITransport
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common import migrate
from common.access import identity
from common.access.auth import COOKIE
from common.access.permissions import Role
from common.contracts.values import Fact
from common.messaging.consumer import Arrived
from common.service import Service
from common.telemetry import Telemetry
from notify.app import create_app
from notify.handlers import HANDLERS
from notify.sender import Sender
from notify.settings import NotifySettings
from tests.facts import event_of
from tests.mailbox import Mailbox
from tests.notify.matches import TUESDAY

ORIGIN = "http://127.0.0.1:8600"


class MovableClock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class World:
    """Notify, and what happens to it."""

    def __init__(self, app: FastAPI, settings: NotifySettings, clock: MovableClock, spans: InMemorySpanExporter) -> None:
        self.app = app
        self.service: Service = app.state.service
        self.settings = settings
        self.clock = clock
        self.spans = spans
        self._open: list[httpx.AsyncClient] = []

    async def arrive(self, *facts: Fact, trace: bytes = b"", replaying: bool = False) -> None:
        """These events arrive, one batch, in this order; neighbours of one type go to their handler together."""
        async with self.service.database.transaction() as tx:
            tx.replaying = replaying
            batch: list[Arrived[Any]] = []
            for fact in facts:
                if batch and type(batch[-1].data) is not type(fact):
                    await HANDLERS[type(batch[-1].data)](batch, tx)
                    batch = []
                batch.append(Arrived(event_of(fact, trace=trace), fact))
            await HANDLERS[type(batch[-1].data)](batch, tx)

    async def send_mails(self) -> None:
        """The sender does all that there is to do now."""
        sender = Sender(self.service, self.settings)
        while await sender.step():
            pass

    async def rows(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """What notify's tables say."""
        async with self.service.database.reading() as tx:
            return await tx.fetch(sql, *args)

    async def announced(self, event_type: str) -> list[dict[str, Any]]:
        """What notify has announced of this type, in order."""
        rows = await self.rows(
            "select convert_from(body, 'utf-8')::jsonb as body from outbox where type = $1 order by batch, n", event_type
        )
        return [row["body"] for row in rows]

    def anyone(self, language: str = "en") -> httpx.AsyncClient:
        """A browser of somebody who is not signed in."""
        client = httpx.AsyncClient(
            transport=ASGITransport(self.app), base_url=ORIGIN, headers={"accept-language": language, "origin": ORIGIN}
        )
        self._open.append(client)
        return client

    async def signed_in(
        self, organisation_id: str, role: Role, names: dict[str, str], *, language: str = "en", desk: str = "Trade desk"
    ) -> httpx.AsyncClient:
        """A browser of somebody of this organisation."""
        kind: Any = {Role.OFFICER: "municipality"}.get(role, str(role))
        now = self.clock()
        async with identity.writing(self.settings.postgres) as tx:
            await identity.record_organisation(tx, organisation_id, kind, names, now=now)
            account = await identity.create_account(tx, organisation_id, role, names={"en": desk}, language=language, now=now)
            token = await identity.begin_session(tx, account, now=now)
        client = self.anyone(language)
        client.cookies.set(COOKIE, token)
        return client

    async def close(self) -> None:
        for client in self._open:
            await client.aclose()


@asynccontextmanager
async def new_world(postgres: str, folder: Path, mailbox: Mailbox | None = None, **others: Any) -> AsyncIterator[World]:
    """Notify on an empty database; mails go to `mailbox`, or into `folder` where there is none."""
    if mailbox is not None:
        others |= {"smtp_host": mailbox.host, "smtp_port": mailbox.port}
    settings = NotifySettings(
        postgres=postgres, kafka="127.0.0.1:9", public_origin=ORIGIN, local_sign_in=True, mail_folder=folder, **others
    )
    clock, spans = MovableClock(TUESDAY), InMemorySpanExporter()
    telemetry = Telemetry("notify", sampling=1, processors=[SimpleSpanProcessor(spans)], log_level="WARNING")
    app = create_app(settings, clock=clock, telemetry=telemetry)
    migrations = {"messaging": files("common") / "migrations" / "messaging", "notify": files("notify") / "migrations"}
    await migrate.apply(postgres, "notify", migrations)
    await identity.prepare(postgres)
    world = World(app, settings, clock, spans)
    await world.service.database.open()
    try:
        yield world
    finally:
        await world.close()
        await world.service.database.close()
