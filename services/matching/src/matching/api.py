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
from common.web.list_parameters import Code, Cursor, Limit
from matching import page_store
from matching.domain.explanation import as_json
from matching.domain.facets import WEIGHTS
from matching.domain.reach import GAINS
from matching.page_store import Scope, StoredList
from matching.reaching import MOST_NEEDS, Reach, reach_of

Reader = Annotated[Principal, Depends(allowed(Action.SEE_PROPOSALS))]


def routes(service: Service) -> APIRouter:
    """`/api/matching/v1/shortlists…` and `…/companies/{id}/reach`: what the caller may see."""
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

    @router.get("/companies/{company_id}/reach")
    async def reach(reader: Reader, company_id: str, offering: Code = None) -> Response:
        """What the company could change, and which open needs each change would bring; of one `offering`, if that is given."""
        return private_answer(_reach(await reach_of(service, reader, company_id, offering or None)))

    return router


def _reach(found: Reach) -> dict[str, Any]:
    """Counts, units and budgets are of all the needs that a change brings; at most `MOST_NEEDS` of them are named."""
    return {
        "company_id": found.company_id,
        "open_needs": found.open_needs,
        "on_shortlists": found.listed,
        "offerings_left_out": found.left_out,
        "changes": [
            {
                "change": as_json(lever.change),
                "offering_ids": lever.offering_ids,
                "counts": {gain: lever.count(gain) for gain in GAINS},
                "units": [{"quantity": amount, "unit": unit} for unit, amount in lever.units.items()],
                "budgets": [{"amount": amount, "currency": currency} for currency, amount in lever.budgets.items()],
                "needs": [
                    {
                        "need": found.needs[one.need.id].model_dump(),
                        "offering_id": one.offering_id,
                        "gain": one.gain,
                        "score_after": one.score_after,
                        "asked": as_json(one.asked) if one.asked else None,
                    }
                    for one in lever.best[:MOST_NEEDS]
                ],
            }
            for lever in found.levers
        ],
        "weights": WEIGHTS,
    }


def _shortlist(one: StoredList) -> dict[str, Any]:
    """As `ShortlistChanged`; put together from what is kept as it is announced."""
    return {
        "need": Raw(one.summary.encode()),
        "matches": [Raw(match.encode()) for match in one.matches],
        "as_of": one.as_of,
        "weights": WEIGHTS,
    }
