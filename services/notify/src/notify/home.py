"""The home page: where the needs stand, what needs the reader and by when, which cities look for something, the latest."""

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.formats import Formats
from common.service import Service
from common.web.application import Pages
from common.web.charts import City
from common.web.language_choice import language_of
from notify import store
from notify.domain import figures
from notify.readers import reader_of
from notify.shown import shown

TASKS = 5
CITIES = 12
HAPPENINGS = 6


def routes(service: Service) -> APIRouter:
    """`/`, the same address for everybody."""
    router = APIRouter(include_in_schema=False)
    pages = Pages(service, Path(__file__).parent / "pages")

    @router.get("/")
    async def home(request: Request, principal: Annotated[Principal, Depends(allowed(Action.SEE_HOME))]) -> HTMLResponse:
        f = Formats(language_of(request))
        async with service.database.reading() as tx:
            reader = await reader_of(tx, principal)
            counts = await store.counts(tx)
            cities = await store.cities(tx)
            latest = await store.latest(tx, limit=HAPPENINGS)
            tasks = []
            if principal.organisation_id and principal.may(Action.SEE_INBOX):
                tasks = await store.inbox(tx, principal.organisation_id, "open", limit=TASKS)
            now = tx.now
        with_needs = [city for city in cities if city.open]
        return pages.render(
            request,
            "home.html",
            here="home",
            unread=reader.unread,
            has_inbox=principal.may(Action.SEE_INBOX),
            may_see_mail=principal.may(Action.SEE_MAIL),
            may_see_proposals=principal.may(Action.SEE_PROPOSALS),
            open_items=reader.folders.get("open", 0),
            tasks=[shown(item, f, reader.zone, now) for item in tasks],
            counts=counts,
            cities=with_needs[:CITIES],
            more_cities=max(len(with_needs) - CITIES, 0),
            on_the_map=[on_map(city, f) for city in with_needs if city.position],
            latest=[(e, figures.headline(e.need, f), e.at.astimezone(ZoneInfo(reader.zone)).date()) for e in latest],
            zone=reader.zone,
        )

    return router


def on_map(city: store.City, f: Formats) -> City:
    """A city's dot."""
    position = city.position or {}
    return City(f.pick(city.names), float(position["latitude"]), float(position["longitude"]), city.open)
