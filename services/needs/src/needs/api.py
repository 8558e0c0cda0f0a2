"""Needs and municipalities for machines: JSON, newest first, read on with a cursor."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from common.addresses import CODE, Place, cursor, known_form, place_of
from common.auth import allowed
from common.contracts.needs import MunicipalityListed, NeedPosted
from common.errors import NotFound
from common.exact_json import to_json
from common.permissions import Action
from common.service import Service
from needs import store
from needs.store import Filter

Code = Annotated[str | None, Query(pattern=CODE)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(alias="cursor", max_length=200, description="`next` of the answer before")]


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
        return _json({"items": [_need(listed.need) for listed in found[:limit]], "next": more})

    @router.get("/needs/{id_}")
    async def need(id_: str) -> Response:
        """One need."""
        async with service.database.reading() as tx:
            found = await store.need(tx, known_form(id_))
        if found is None:
            raise NotFound
        return _json(_need(found))

    @router.get("/municipalities")
    async def municipalities(country: Code = None, cursor_: Cursor = None, limit: Limit = 20) -> Response:
        """Municipalities in the order of their ids."""
        after = known_form(cursor_) if cursor_ else ""
        async with service.database.reading() as tx:
            found = await store.municipalities(tx, country=country or None, after=after, limit=limit + 1)
        more = found[limit - 1].id if len(found) > limit else None
        return _json({"items": [_municipality(fact) for fact in found[:limit]], "next": more})

    return router


def _need(need: NeedPosted) -> dict[str, Any]:
    return need.model_dump()


def _municipality(municipality: MunicipalityListed) -> dict[str, Any]:
    """Without the contacts' addresses: who may write to them is told them in a notification."""
    return {
        **municipality.model_dump(exclude={"contacts"}),
        "contacts": [contact.model_dump(include={"function", "languages"}) for contact in municipality.contacts],
    }


def _json(value: Any) -> Response:
    """Exact to the digit."""
    return Response(to_json(value), media_type="application/json", headers={"cache-control": "no-cache"})
