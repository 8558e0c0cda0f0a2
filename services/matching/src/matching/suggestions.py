"""Suggested technologies for a text: as JSON for machines, as a page for people, and as a part of a page that another form shows.

Nothing is kept of the text. What is suggested decides nothing: a person chooses the code, and matching goes by that.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.service import Service
from common.vocabulary import technologies
from common.web.application import Pages
from common.web.json_answers import private_answer
from common.web.language_choice import language_of
from matching.meaning import Meaning
from matching.suggesting.confidence import NEEDS_COUNTED, Band, Confidence
from matching.suggesting.suggester import Suggester, Suggestion
from matching.suggesting.taxonomy import all_names

LONGEST_TEXT = 2000
"""Letters; an address has to hold them, in Japanese nine bytes each."""
SHOWN = 5
SHOWN_ALTHOUGH_WEAK = 3
BANDS = {
    Band.LIKELY: {"en": "likely", "ja": "有力"},
    Band.POSSIBLE: {"en": "possible", "ja": "可能性あり"},
    Band.WEAK: {"en": "less likely", "ja": "可能性は低め"},
}

Reader = Annotated[Principal, Depends(allowed(Action.SEE_PROPOSALS))]
Text = Annotated[str, Query(max_length=LONGEST_TEXT, description="What is needed, in Japanese, English or both")]


class Answer(NamedTuple):
    """What is suggested for a text, and whether its meaning was read beside its letters."""

    suggestions: list[Suggestion]
    with_meaning: bool


def routes(service: Service) -> APIRouter:
    """`/api/matching/v1/technologies`, `/matching/technologies` and its part `/matching/technologies/suggestions`."""
    meaning = Meaning(service.telemetry)
    suggester = Suggester(all_names())

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        async with meaning.running():
            yield

    router = APIRouter(lifespan=lifespan)
    pages = Pages(service, Path(__file__).parent / "pages")

    async def answer(text: str) -> Answer:
        near = await meaning.of(text)
        found = await asyncio.to_thread(suggester.suggest, text, near)  # a long text takes some 20 ms
        return Answer(found, near is not None)

    @router.get("/api/matching/v1/technologies")
    async def suggested(
        request: Request, reader: Reader, text: Text, language: Annotated[Literal["ja", "en"] | None, Query()] = None
    ) -> Response:
        """Technologies that the text may speak of, best first. `language` is the one in which their confidence is said; texts of
        both languages are read either way."""
        return private_answer(_told(await answer(text), language or language_of(request)))

    @router.get("/matching/technologies", include_in_schema=False)
    async def page(request: Request, reader: Reader, text: Text = "") -> HTMLResponse:
        return pages.render(
            request, "technologies.html", here="matching", longest=LONGEST_TEXT, **_shown(text, await answer(text))
        )

    @router.get("/matching/technologies/suggestions", include_in_schema=False)
    async def part(request: Request, reader: Reader, text: Text = "") -> HTMLResponse:
        return pages.render(request, "technologies_suggested.html", **_shown(text, await answer(text)))

    return router


def right_so_far(confidence: Confidence, language: str) -> str:
    """How many like it were right, as a sentence."""
    n = confidence.in_ten
    if language == "ja":
        return f"同程度の候補は、およそ10件に{n}件が正解でした。" if n else "同程度の候補で正解だったのは、10件に1件未満でした。"
    return f"About {n} in 10 like this were right." if n else "Fewer than 1 in 10 like this were right."


def _shown(text: str, answer: Answer) -> dict[str, Any]:
    return {
        "text": text,
        "suggestions": [
            one
            for place, one in enumerate(answer.suggestions[:SHOWN])
            if place < SHOWN_ALTHOUGH_WEAK or one.confidence.band is not Band.WEAK
        ],
        "with_meaning": answer.with_meaning,
        "bands": BANDS,
        "right_so_far": right_so_far,
        "needs_counted": NEEDS_COUNTED,
    }


def _told(answer: Answer, language: str) -> dict[str, Any]:
    return {
        "read_by": ["letters", "meaning"] if answer.with_meaning else ["letters"],
        "items": [_item(one, language) for one in answer.suggestions],
        "counted_on": {"published_needs": NEEDS_COUNTED},
    }


def _item(one: Suggestion, language: str) -> dict[str, Any]:
    technology = technologies()[one.code]
    return {
        "technology": one.code,
        "names": technology.names,
        "unit": technology.unit,
        "confidence": {
            "band": one.confidence.band,
            "right": one.confidence.right,
            "of": one.confidence.of,
            "said": right_so_far(one.confidence, language),
        },
        "words": [{"word": word.word, "share": round(word.share, 2)} for word in one.words],
        "nearest": one.near,
    }
