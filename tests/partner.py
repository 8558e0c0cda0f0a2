"""A partner that speaks to one running service over HTTP, and what a test looks at afterwards: answers, facts, pages."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI

from common.access import identity
from common.contracts.registry import FACTS
from common.contracts.values import Fact
from common.exact_json import load
from common.settings import Settings

NOBODY_LISTENS = "127.0.0.1:1"
"""A broker that is away: what comes in is kept and answered all the same."""

ORGANISATION = "partner-of-tests"

Answers = list[dict[str, Any]]


def dated(event: dict[str, Any], **ahead: float) -> dict[str, Any]:
    """The same event, dated so long from now: `dated(event, hours=-1)`."""
    return {**event, "time": (datetime.now(UTC) + timedelta(**ahead)).isoformat()}


@dataclass
class Clock:
    """A clock that begins at the present and that the test moves."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def pass_by(self, **time: float) -> None:
        self.ahead += timedelta(**time)


@dataclass
class Partner:
    """Sends events to one service with its API key; reads pages without any."""

    app: FastAPI
    service: str
    key: str
    dsn: str
    clock: Clock = field(default_factory=Clock)

    def caller(self, **headers: str) -> httpx.AsyncClient:
        """Somebody who has not signed in."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8600", headers=headers)

    async def post(
        self, content: bytes | str, *, kind: str = "application/json", language: str = "en", query: str = "", packed: str = ""
    ) -> httpx.Response:
        """Posts a body as it is."""
        headers = {"authorization": f"Bearer {self.key}", "content-type": kind, "accept-language": language}
        if packed:
            headers["content-encoding"] = packed
        async with self.caller(**headers) as caller:
            return await caller.post(f"/api/{self.service}/v1/events{query}", content=content)

    async def send(self, *events: Any, language: str = "en", query: str = "") -> Answers:
        """Sends events as one batch; returns the answers in order."""
        response = await self.post(json.dumps(events), language=language, query=query)
        return response.json()["results"]

    async def accepted(self, *events: Any) -> Answers:
        """Sends events that must all be accepted."""
        answers = await self.send(*events)
        assert [answer["errors"] for answer in answers] == [[] for _ in events]
        return answers

    async def page(self, address: str, language: str = "en") -> httpx.Response:
        """A page or an answer as somebody who has not signed in reads it."""
        async with self.caller(**{"accept-language": language}) as caller:
            return await caller.get(address)

    async def announced(self) -> list[Fact]:
        """What the service announced so far, in order."""
        return [load(FACTS[row["type"]], row["body"]) for row in await self._outbox()]

    async def correlation_ids(self) -> list[str]:
        """Of the same events: which partner's event each follows from."""
        return [row["correlation_id"] for row in await self._outbox()]

    async def _outbox(self) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(f"select type, body, correlation_id from {self.service}.outbox order by batch, n")
        finally:
            await connection.close()


@asynccontextmanager
async def partner_of(
    service: str, create_app: Callable[..., FastAPI], dsn: str, organisation: str = ORGANISATION
) -> AsyncIterator[Partner]:
    """The service, running on this database, and a partner with a key for it."""
    await identity.prepare(dsn)
    now = datetime.now(UTC)
    async with identity.writing(dsn) as tx:
        await identity.record_organisation(tx, organisation, "partner", {"en": "Partner of tests"}, now=now)
        key = await identity.create_api_key(tx, organisation, now=now)
    clock = Clock()
    settings = Settings(postgres=dsn, kafka=NOBODY_LISTENS, local_sign_in=True, migrate=True)
    app = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app):
        yield Partner(app, service, key, dsn, clock)
