"""The notify service put together: settings, database, events in, the sender, pages, interface for machines, signing in."""

from importlib.resources import files

from fastapi import FastAPI

from common.access import sign_in
from common.clock import Clock, utc_now
from common.freshness import Age
from common.operating import parked_pages
from common.service import Service
from common.telemetry import OLDEST_UNSENT_MAIL, Telemetry
from common.web import application as web
from notify import api, home, inbox, mail_store, mails
from notify.handlers import HANDLERS
from notify.latency import InboxLatency
from notify.sender import Sender
from notify.settings import NotifySettings


def create_app(settings: NotifySettings, *, clock: Clock = utc_now, telemetry: Telemetry | None = None) -> FastAPI:
    """The whole service as one ASGI app; nothing is opened before its lifespan begins."""
    service = Service("notify", settings, clock=clock, telemetry=telemetry, migrations=files("notify") / "migrations")
    # Deciding whom to tell is all Python: 200 lists take some 20 ms, and pages are answered in between.
    service.on_events(HANDLERS, at_once=200, note=InboxLatency(service.telemetry.registry, service.clock).note)
    service.watch(Age(OLDEST_UNSENT_MAIL, "Age of the oldest mail that is not sent yet", mail_store.oldest_unsent))
    # A committed batch wakes it at once; the pause is for mails whose time comes without an event.
    service.in_background("sender", Sender(service, settings).step, every=1)
    app = web.application(service)
    app.include_router(api.routes(service))
    app.include_router(parked_pages.routes(service))
    app.include_router(home.routes(service))
    app.include_router(inbox.routes(service))
    app.include_router(mails.routes(service, settings))
    app.include_router(sign_in.routes(service))
    return app
