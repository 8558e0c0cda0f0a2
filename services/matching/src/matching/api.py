"""Shortlists for machines: JSON, as they are announced, read on with a cursor."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from msgspec import Raw
from starlette.responses import Response

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.errors import NotFound
from common.service import Service
from common.web.addresses import known_form
from common.web.json_answers import private_answer
from common.web.list_parameters import Cursor, Limit
from matching import page_store
from matching.domain.facets import WEIGHTS
from matching.page_store import Scope, StoredList

Reader = Annotated[Principal, Depends(allowed(Action.SEE_PROPOSALS))]


def routes(service: Service) -> APIRouter:
    """`/api/matching/v1/shortlists…`: what the caller may see."""
    router = APIRouter(prefix="/api/matching/v1")

    @router.get("/shortlists")
    async def shortlists(reader: Reader, cursor_: Cursor = None, limit: Limit = 20) -> Response:
        """Shortlists in the order of their needs' ids, also empty ones."""
        after = known_form(cursor_) if cursor_ else ""
        async with service.database.reading() as tx:
            found = await page_store.stored_lists(tx, Scope.of(reader), after=after, limit=limit + 1)
        more = found[limit - 1].need_id if len(found) > limit else None
        return private_answer({"items": [_shortlist(one) for one in found[:limit]], "next": more})

    @router.get("/shortlists/{need_id}")
    async def shortlist(reader: Reader, need_id: str) -> Response:
        """The shortlist of one need."""
        async with service.database.reading() as tx:
            found = await page_store.stored_list(tx, Scope.of(reader), known_form(need_id))
        if found is None:
            raise NotFound
        return private_answer(_shortlist(found))

    return router


def _shortlist(one: StoredList) -> dict[str, Any]:
    """As `ShortlistChanged`; put together from what is kept as it is announced."""
    return {
        "need": Raw(one.summary.encode()),
        "matches": [Raw(match.encode()) for match in one.matches],
        "as_of": one.as_of,
        "weights": WEIGHTS,
    }
