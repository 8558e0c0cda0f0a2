"""Puts matching together: settings in, a web application out."""

from functools import partial
from importlib.resources import files

from fastapi import FastAPI

from common.clock import Clock, utc_now
from common.operating import parked_pages
from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from common.web import application as web
from matching import api, compromise_api, feedback_api, feedback_pages, pages, routing, suggestions
from matching.giving_feedback import FeedbackCount
from matching.handlers import GROUP, duties, handlers, take_locks
from matching.latency import ProposalLatency
from matching.memory import Memory

ROUTED_AT_ONCE = 1000
EVENTS_AT_ONCE = 200
"""In one transaction. Each may take some 10 ms, and others wait for its technology groups meanwhile."""


def create_app(settings: Settings, *, clock: Clock = utc_now, telemetry: Telemetry | None = None) -> FastAPI:
    """Matching as an ASGI application; nothing is opened before its lifespan begins."""
    service = Service("matching", settings, clock=clock, telemetry=telemetry, migrations=files("matching") / "migrations")
    latency = ProposalLatency(service.telemetry.registry, service.clock)
    memory = Memory(service.telemetry.registry)
    service.prepare(memory.check_the_engine)
    service.on_events(routing.HANDLERS, at_once=ROUTED_AT_ONCE, before=routing.take_locks)
    owns = partial(service.owns, GROUP)
    service.on_events(
        handlers(memory),
        group=GROUP,
        at_once=EVENTS_AT_ONCE,
        before=partial(take_locks, memory=memory),
        ready=partial(memory.follow, service.database, routing.GROUPS, owns),
        note=latency.note,
        together=True,
        owners_retry=True,
    )
    service.in_background("snapshots", partial(memory.save_snapshots, service.database), every=60, after_commits=False)
    service.on_duties(duties(memory), ours=lambda: [group for group in routing.GROUPS if owns(group)])
    app = web.application(service)
    feedback = FeedbackCount(service.telemetry.registry)
    app.include_router(api.routes(service))
    app.include_router(compromise_api.routes(service))
    app.include_router(feedback_api.routes(service, feedback))
    app.include_router(parked_pages.routes(service))
    app.include_router(feedback_pages.routes(service, feedback))
    app.include_router(pages.routes(service))
    app.include_router(suggestions.routes(service))
    return app
