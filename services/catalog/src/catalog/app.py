"""The catalog service put together: settings, database, partners' intake, interface for machines, pages."""

from importlib.resources import files

from fastapi import FastAPI

from catalog import api, pages
from catalog.handlers import SUBMISSIONS
from common.clock import Clock, utc_now
from common.operating import parked_pages
from common.partners import intake
from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from common.web import application as web


def create_app(settings: Settings, *, clock: Clock = utc_now, telemetry: Telemetry | None = None) -> FastAPI:
    """The whole service as one ASGI app; nothing is opened before its lifespan begins."""
    service = Service("catalog", settings, clock=clock, telemetry=telemetry, migrations=files("catalog") / "migrations")
    app = web.application(service)
    app.include_router(intake.routes(service, SUBMISSIONS))
    app.include_router(api.routes(service))
    app.include_router(parked_pages.routes(service))
    app.include_router(pages.routes(service))
    return app
