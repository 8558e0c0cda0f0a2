"""The page on which a company sees what it could change, and which needs each change would bring."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.service import Service
from common.web.application import Pages
from common.web.list_parameters import Code
from matching.domain.reach import GAINS
from matching.reaching import reach_of

LEVERS_SHOWN = 12
NEEDS_SHOWN = 4
"""Of one change; the others unfold."""

Reader = Annotated[Principal, Depends(allowed(Action.SEE_PROPOSALS))]


def add(router: APIRouter, service: Service, pages: Pages, words: dict[str, Any]) -> None:
    """`/matching/companies/{id}/reach`, narrowed to one offering by `?offering=`."""

    @router.get("/matching/companies/{company_id}/reach")
    async def reach(request: Request, reader: Reader, company_id: str, offering: Code = None) -> HTMLResponse:
        found = await reach_of(service, reader, company_id, offering or None)
        most = max((len(lever.needs) for lever in found.levers[:LEVERS_SHOWN]), default=0)
        return pages.render(
            request,
            "reach.html",
            **words,
            found=found,
            most=most,
            gains=GAINS,
            levers_shown=LEVERS_SHOWN,
            needs_shown=NEEDS_SHOWN,
        )
