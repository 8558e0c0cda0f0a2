"""Needs and municipalities for people: the list with its filters, a need, a City Page."""

from pathlib import Path

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse

from common.access.auth import allowed
from common.access.permissions import Action
from common.errors import NotFound
from common.service import Service
from common.vocabulary import technologies
from common.web.addresses import address, each_taken_off, known_form, window
from common.web.application import Pages
from common.web.list_parameters import Code, PageNumber
from needs import store
from needs.store import Filter

PER_PAGE = 20
NEEDS_ON_A_CITY_PAGE = 200
STATUSES = ("open", "closed", "withdrawn")


def routes(service: Service) -> APIRouter:
    """`/needs`, `/needs/{id}`, `/needs/municipalities/{id}`."""
    router = APIRouter(dependencies=[Depends(allowed(Action.SEE_NEEDS))], include_in_schema=False)
    pages = Pages(service, Path(__file__).parent / "pages")

    @router.get("/needs")
    async def needs(
        request: Request,
        technology: Code = None,
        country: Code = None,
        status: Code = None,
        page: PageNumber = 1,
    ) -> HTMLResponse:
        narrowed = Filter(technology or None, country or None, status or None)
        async with service.database.reading() as tx:
            counts = await store.counts(tx, narrowed)
            part = window(page, PER_PAGE, counts.found)
            found = await store.needs(tx, narrowed, skip=part.skip, limit=PER_PAGE)
        in_use = {name: value for name, value in narrowed._asdict().items() if value}
        return pages.render(
            request,
            "needs.html",
            here="needs",
            entries=found,
            counts=counts,
            narrowed=narrowed,
            part=part,
            groups=[t.code for t in technologies().values() if not t.unit],
            statuses=STATUSES,
            in_use=in_use,
            address=address("/needs", in_use),
            without=each_taken_off("/needs", in_use),
        )

    @router.get("/needs/municipalities/{id_}")
    async def municipality(request: Request, id_: str) -> HTMLResponse:
        async with service.database.reading() as tx:
            city = await store.municipality(tx, known_form(id_))
            if city is None:
                raise NotFound
            found = await store.needs_of(tx, city.id, NEEDS_ON_A_CITY_PAGE)
        return pages.render(request, "municipality.html", here="needs", city=city, entries=found)

    @router.get("/needs/{id_}")
    async def need(request: Request, id_: str) -> HTMLResponse:
        async with service.database.reading() as tx:
            found = await store.need_with_dates(tx, known_form(id_))
            if found is None:
                raise NotFound
            need, posted_at, changed_at = found
            city = await store.municipality(tx, need.municipality.id)
            others = [
                listed.need
                for listed in await store.needs_of(tx, need.municipality.id, 6)
                if listed.need.id != need.id and listed.need.status == "open"
            ][:5]
        return pages.render(
            request,
            "need.html",
            here="needs",
            need=need,
            city=city,
            others=others,
            posted_at=posted_at,
            changed_at=changed_at,
        )

    return router
