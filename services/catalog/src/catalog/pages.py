"""The catalogue for people: the list of offerings with its filters, an offering with its prices, a company's Green Page."""

from pathlib import Path

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse

from catalog import domain, store
from catalog.store import Filter
from common.access.auth import allowed
from common.access.permissions import Action
from common.errors import NotFound
from common.service import Service
from common.vocabulary import technologies
from common.web.addresses import address, each_taken_off, known_form, window
from common.web.application import Pages
from common.web.list_parameters import Code, PageNumber

PER_PAGE = 20
OFFERINGS_ON_A_GREEN_PAGE = 200
STATUSES = ("listed", "withdrawn")


def routes(service: Service) -> APIRouter:
    """`/catalog`, `/catalog/{id}`, `/catalog/companies/{id}`."""
    router = APIRouter(dependencies=[Depends(allowed(Action.SEE_OFFERINGS))], include_in_schema=False)
    pages = Pages(service, Path(__file__).parent / "pages")

    @router.get("/catalog")
    async def offerings(
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
            found = await store.offerings(tx, narrowed, skip=part.skip, limit=PER_PAGE)
        in_use = {name: value for name, value in narrowed._asdict().items() if value}
        return pages.render(
            request,
            "offerings.html",
            here="catalog",
            entries=found,
            counts=counts,
            narrowed=narrowed,
            part=part,
            groups=[t.code for t in technologies().values() if not t.unit],
            statuses=STATUSES,
            in_use=in_use,
            address=address("/catalog", in_use),
            without=each_taken_off("/catalog", in_use),
        )

    @router.get("/catalog/companies/{id_}")
    async def company(request: Request, id_: str) -> HTMLResponse:
        async with service.database.reading() as tx:
            found = await store.company(tx, known_form(id_))
            if found is None:
                raise NotFound
            offered = await store.offerings_of(tx, found.id, OFFERINGS_ON_A_GREEN_PAGE)
        return pages.render(request, "company.html", here="catalog", company=found, offerings=offered)

    @router.get("/catalog/{id_}")
    async def offering(request: Request, id_: str) -> HTMLResponse:
        async with service.database.reading() as tx:
            found = await store.offering_with_dates(tx, known_form(id_))
            if found is None:
                raise NotFound
            offering, listed_at, changed_at = found
            company = await store.company(tx, offering.company.id)
            others = [o for o in await store.offerings_of(tx, offering.company.id, 6) if o.id != offering.id][:5]
        return pages.render(
            request,
            "offering.html",
            here="catalog",
            offering=offering,
            company=company,
            others=[o for o in others if o.status == "listed"],
            listed_at=listed_at,
            changed_at=changed_at,
            bands=domain.price_bands(offering.prices) if offering.prices else [],
        )

    return router
