"""The service that reads what the counter announced: one more hop, and the second group of the fault tests."""

from fastapi import FastAPI

from common.clock import Clock, utc_now
from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from common.web import application as web
from tests.faults.counter import FACTS, MIGRATIONS, TOPICS, NumberCounted, record


def create_app(settings: Settings, *, clock: Clock = utc_now, telemetry: Telemetry | None = None) -> FastAPI:
    """It only reads, and records each effect."""
    service = Service("tally", settings, migrations=MIGRATIONS, clock=clock, telemetry=telemetry)
    service.on_events({NumberCounted: record}, facts=FACTS, topics=TOPICS)
    return web.application(service)
