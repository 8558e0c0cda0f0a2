"""Needs and municipalities for machines: JSON, newest first, read on with a cursor."""

from fastapi import APIRouter, Depends
from starlette.responses import Response

from common.access.auth import allowed
from common.access.permissions import Action
from common.errors import NotFound
from common.service import Service
from common.web.addresses import Place, cursor, known_form, place_of
from common.web.json_answers import public_answer, without_addresses
from common.web.list_parameters import Code, Cursor, Limit
from needs import store
from needs.store import Filter


def routes(service: Service) -> APIRouter:
    """`/api/needs/v1/…`: what everybody may read."""
    router = APIRouter(prefix="/api/needs/v1", dependencies=[Depends(allowed(Action.SEE_NEEDS))])

    @router.get("/needs")
    async def needs(
        technology: Code = None, country: Code = None, status: Code = None, cursor_: Cursor = None, limit: Limit = 20
    ) -> Response:
        """Needs, newest first. `technology` is a technology or a group of them."""
        narrowed = Filter(technology or None, country or None, status or None)
        async with service.database.reading() as tx:
            found = await store.needs(tx, narrowed, before=place_of(cursor_), limit=limit + 1)
        more = cursor(Place(found[limit - 1].posted_at, found[limit - 1].need.id)) if len(found) > limit else None
        return public_answer({"items": [listed.need.model_dump() for listed in found[:limit]], "next": more})

    @router.get("/needs/{id_}")
    async def need(id_: str) -> Response:
        """One need."""
        async with service.database.reading() as tx:
            found = await store.need(tx, known_form(id_))
        if found is None:
            raise NotFound
        return public_answer(found.model_dump())

    @router.get("/municipalities")
    async def municipalities(country: Code = None, cursor_: Cursor = None, limit: Limit = 20) -> Response:
        """Municipalities in the order of their ids."""
        after = known_form(cursor_) if cursor_ else ""
        async with service.database.reading() as tx:
            found = await store.municipalities(tx, country=country or None, after=after, limit=limit + 1)
        more = found[limit - 1].id if len(found) > limit else None
        return public_answer({"items": [without_addresses(fact) for fact in found[:limit]], "next": more})

    return router
