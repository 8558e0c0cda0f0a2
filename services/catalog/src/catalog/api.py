"""Companies, offerings and exchange rates for machines: JSON, offerings newest first, read on with a cursor."""

from fastapi import APIRouter, Depends
from starlette.responses import Response

from catalog import store
from catalog.store import Filter
from common.access.auth import allowed
from common.access.permissions import Action
from common.errors import NotFound
from common.service import Service
from common.web.addresses import Place, cursor, known_form, place_of
from common.web.json_answers import public_answer, without_addresses
from common.web.list_parameters import Code, Cursor, Limit


def routes(service: Service) -> APIRouter:
    """`/api/catalog/v1/…`: what everybody may read."""
    router = APIRouter(prefix="/api/catalog/v1", dependencies=[Depends(allowed(Action.SEE_OFFERINGS))])

    @router.get("/offerings")
    async def offerings(
        technology: Code = None, country: Code = None, status: Code = None, cursor_: Cursor = None, limit: Limit = 20
    ) -> Response:
        """Offerings, newest first. `technology` is a technology or a group of them; `country` is where they are delivered."""
        narrowed = Filter(technology or None, country or None, status or None)
        async with service.database.reading() as tx:
            found = await store.offerings(tx, narrowed, before=place_of(cursor_), limit=limit + 1)
        more = cursor(Place(found[limit - 1].listed_at, found[limit - 1].offering.id)) if len(found) > limit else None
        return public_answer({"items": [listed.offering.model_dump() for listed in found[:limit]], "next": more})

    @router.get("/offerings/{id_}")
    async def offering(id_: str) -> Response:
        """One offering."""
        async with service.database.reading() as tx:
            found = await store.offering(tx, known_form(id_))
        if found is None:
            raise NotFound
        return public_answer(found.model_dump())

    @router.get("/companies")
    async def companies(country: Code = None, cursor_: Cursor = None, limit: Limit = 20) -> Response:
        """Companies in the order of their ids."""
        after = known_form(cursor_) if cursor_ else ""
        async with service.database.reading() as tx:
            found = await store.companies(tx, country=country or None, after=after, limit=limit + 1)
        more = found[limit - 1].id if len(found) > limit else None
        return public_answer({"items": [without_addresses(fact) for fact in found[:limit]], "next": more})

    @router.get("/exchange-rates")
    async def exchange_rates() -> Response:
        """The newest rate of every currency that we know: how many units of it one US dollar bought."""
        async with service.database.reading() as tx:
            found = await store.exchange_rates(tx)
        return public_answer({"items": [rate.model_dump() for rate in found]})

    return router
