"""The page on which cities see what keeps their needs apart, and the cheapest steps that would bring them into one pool."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.service import Service
from common.vocabulary import technologies
from common.web.application import Pages
from common.web.list_parameters import Code
from matching.compromising import compromises_of, technologies_to_compare
from matching.domain.words import asked_for

STEPS_SHOWN = 12
"""The others unfold."""
POOLS_SHOWN = 6

Reader = Annotated[Principal, Depends(allowed(Action.SEE_PROPOSALS))]


def add(router: APIRouter, service: Service, pages: Pages, words: dict[str, Any]) -> None:
    """`/matching/compromises`, and `/matching/compromises/{technology}`, narrowed to one country by `?country=`."""

    @router.get("/matching/compromises")
    async def compared(request: Request, reader: Reader) -> HTMLResponse:
        asked = [(one, technologies()[one.technology].unit) for one in await technologies_to_compare(service, reader)]
        return pages.render(request, "compromise_technologies.html", **words, asked=asked)

    @router.get("/matching/compromises/{technology}")
    async def compromises(request: Request, reader: Reader, technology: str, country: Code = None) -> HTMLResponse:
        seen = await compromises_of(service, reader, technology, country or None)
        return pages.render(
            request,
            "compromises.html",
            **words,
            seen=seen,
            found=seen.found,
            asked_for=asked_for,
            steps_shown=STEPS_SHOWN,
            pools_shown=POOLS_SHOWN,
        )
