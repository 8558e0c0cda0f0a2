"""A small application with the shared HTTP edge, on which the tests of the edge stand."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse

from common import migrate
from common.access import identity, sign_in
from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.contracts.catalog import ExchangeRatePublished
from common.errors import Fault, Rejected, TryAgain
from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from common.web import application as web

ORIGIN = "http://127.0.0.1:8600"


@dataclass
class Clock:
    """A clock that the test sets."""

    now: datetime = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


@dataclass
class Sample:
    """The application with what a test looks at: its service, its clock, its spans, the database's address."""

    service: Service
    app: web.FastAPI
    clock: Clock
    spans: InMemorySpanExporter
    dsn: str

    def caller(
        self, headers: Mapping[str, str] | None = None, *, at: str = ORIGIN, client: tuple[str, int] = ("127.0.0.1", 5000)
    ) -> httpx.AsyncClient:
        """Somebody with cookies of their own."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False, client=client)
        return httpx.AsyncClient(transport=transport, base_url=at, headers=headers)


@asynccontextmanager
async def sample(dsn: str, *, local_sign_in: bool = True, public_origin: str = ORIGIN, **others: Any) -> AsyncIterator[Sample]:
    """The sample application on a prepared database, with these and `others` of its settings; nothing runs in the background."""
    clock, spans = Clock(), InMemorySpanExporter()
    settings = Settings(postgres=dsn, kafka="unused", local_sign_in=local_sign_in, public_origin=public_origin, **others)
    telemetry = Telemetry("catalog", sampling=1, processors=[SimpleSpanProcessor(spans)])
    nothing_of_its_own = Path(__file__).parent / "no-migrations"
    service = Service("catalog", settings, migrations=nothing_of_its_own, clock=clock, telemetry=telemetry)
    await migrate.apply(dsn, "catalog", {"messaging": files("common") / "migrations" / "messaging"})
    await identity.prepare(dsn)
    app = web.application(service)
    app.include_router(sign_in.routes(service))
    app.include_router(_routes(service))
    await service.database.open()
    try:
        yield Sample(service, app, clock, spans, dsn)
    finally:
        await service.database.close()


def _routes(service: Service) -> APIRouter:
    router = APIRouter()
    pages = web.Pages(service, Path(__file__).parent / "sample_pages")

    @router.get("/page")
    async def page(request: Request, reader: Annotated[Principal, Depends(allowed(Action.SEE_NEEDS))]) -> HTMLResponse:
        return pages.render(request, "sample.html", here="needs", unread=5, said="<script>")

    @router.get("/own-inbox")
    async def inbox(reader: Annotated[Principal, Depends(allowed(Action.SEE_INBOX))]) -> JSONResponse:
        return JSONResponse({"organisation": reader.organisation_id, "role": reader.role, "language": reader.language})

    @router.post("/page", dependencies=[Depends(allowed(Action.SEE_NEEDS))])
    async def post() -> JSONResponse:
        return JSONResponse({"done": True})

    @router.post("/api/catalog/v1/events")
    async def events(partner: Annotated[Principal, Depends(allowed(Action.SUBMIT_EVENTS))]) -> JSONResponse:
        fact = ExchangeRatePublished.model_validate(
            {"currency": "VND", "per_usd": 25000, "as_of": "2026-11-24", "source": "a test"}
        )
        async with service.database.transaction() as tx:
            tx.emit(fact)
        return JSONResponse({"organisation": partner.organisation_id, "trace": tx.emitted[0].trace.decode()})

    @router.post("/api/catalog/read", dependencies=[Depends(allowed(Action.READ_PUBLIC))])
    async def read(request: Request) -> JSONResponse:
        return JSONResponse({"bytes": len(await request.body())})

    @router.get("/api/catalog/stream", dependencies=[Depends(allowed(Action.READ_PUBLIC))])
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield b"on and on"

        return StreamingResponse(pieces())

    @router.get("/bug/{secret}", dependencies=[Depends(allowed(Action.READ_PUBLIC))])
    @router.get("/api/catalog/bug/{secret}", dependencies=[Depends(allowed(Action.READ_PUBLIC))])
    async def bug(secret: str) -> None:
        raise RuntimeError(f"password {secret}")

    @router.get("/api/catalog/refused", dependencies=[Depends(allowed(Action.READ_PUBLIC))])
    async def refused() -> None:
        fault = Fault("/data/quantity", "too_small", {"en": "Send more.", "ja": "もっと送ってください。"})
        raise Rejected("not-enough", {"en": "That is not enough.", "ja": "足りません。"}, (fault,))

    @router.get("/api/catalog/away", dependencies=[Depends(allowed(Action.READ_PUBLIC))])
    async def away() -> None:
        raise TryAgain("mail-away")

    @router.get("/api/catalog/number", dependencies=[Depends(allowed(Action.READ_PUBLIC))])
    async def number(n: int) -> int:
        return n

    return router
