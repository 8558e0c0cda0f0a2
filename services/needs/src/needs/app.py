"""The needs service put together: settings, database, partners' intake, interface for machines, pages."""

from importlib.resources import files

from fastapi import FastAPI

from common.clock import Clock, utc_now
from common.operating import parked_pages
from common.partners import intake
from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from common.web import application as web
from needs import api, pages
from needs.handlers import DUTIES, SUBMISSIONS


def create_app(settings: Settings, *, clock: Clock = utc_now, telemetry: Telemetry | None = None) -> FastAPI:
    """The whole service as one ASGI app; nothing is opened before its lifespan begins."""
    service = Service("needs", settings, clock=clock, telemetry=telemetry, migrations=files("needs") / "migrations")
    service.on_duties(DUTIES)
    app = web.application(service)
    app.include_router(intake.routes(service, SUBMISSIONS))
    app.include_router(api.routes(service))
    app.include_router(parked_pages.routes(service))
    app.include_router(pages.routes(service))
    return app
