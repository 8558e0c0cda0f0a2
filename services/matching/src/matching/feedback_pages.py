"""What was said of a match, for people: read it, answer, and what became of proposals altogether. No page needs a script."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.contracts.matching import Speaking, Statement, Word
from common.errors import Rejected
from common.service import Service
from common.web.application import Pages
from common.web.list_parameters import Code
from matching import feedback_store, outcomes
from matching.domain import feedback
from matching.domain.feedback import DECLINE_REASONS, DeclineReason
from matching.domain.precision import FIRST
from matching.feedback_input import Fields, from_form
from matching.giving_feedback import KINDS, FeedbackCount, SpokenOf, give, look_up

Reader = Annotated[Principal, Depends(allowed(Action.SEE_PROPOSALS))]
Speaker = Annotated[Principal, Depends(allowed(Action.GIVE_FEEDBACK))]
Measurer = Annotated[Principal, Depends(allowed(Action.SEE_OUTCOMES))]
REASON_WORDS = {reason.code: {"en": reason.en, "ja": reason.ja} for reason in DECLINE_REASONS}


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a page shows of what was said: the words that count and the earlier ones (both newest first), and what the reader
    may say, if anything."""

    address: str
    standing: list[Statement]
    earlier: list[Statement]
    kind: Speaking | None
    own: Statement | None

    @property
    def words(self) -> tuple[Word, ...]:
        """What the reader's organisation could say now; taking back only where there is something."""
        if self.kind is None:
            return ()
        return tuple(one for one in feedback.WORDS[self.kind] if one != "taken_back" or self.own)

    @property
    def reasons(self) -> tuple[DeclineReason, ...]:
        return feedback.reasons_for(self.kind) if self.kind else ()


def feedback_on(about: SpokenOf, reader: Principal) -> Feedback:
    """What a page shows to this reader."""
    standing = about.standing
    address = f"/matching/needs/{about.found.summary.id}/offerings/{about.shown.offering.id}/feedback"
    earlier = [one for one in reversed(about.history) if one not in standing]
    return Feedback(address, standing, earlier, KINDS.get(reader.role), about.own(reader))


@dataclass(frozen=True, slots=True)
class Tried:
    """What was chosen and typed, to be shown again where it was refused; what is wrong, by field, and of the whole."""

    sent: Fields
    wrong: dict[str, dict[str, str]] = field(default_factory=dict)
    problem: dict[str, str] | None = None


def routes(service: Service, count: FeedbackCount) -> APIRouter:
    """`/matching/outcomes`, `/matching/needs/{id}/offerings/{id}/feedback`."""
    router = APIRouter(include_in_schema=False)
    pages = Pages(service, Path(__file__).parent / "pages")

    @router.get("/matching/outcomes")
    async def what_became(request: Request, _: Measurer) -> HTMLResponse:
        async with service.database.reading() as tx:
            found = outcomes.measured(await feedback_store.judged(tx), await feedback_store.decline_reasons(tx))
        return pages.render(request, "outcomes.html", here="matching", found=found, first=FIRST, reason_words=REASON_WORDS)

    @router.get("/matching/needs/{need_id}/offerings/{offering_id}/feedback")
    async def answer(request: Request, reader: Reader, need_id: str, offering_id: str, word: Code = None) -> Response:
        async with service.database.reading() as tx:
            about = await look_up(tx, reader, need_id, offering_id)
        return shown(request, reader, about, Tried(Fields(word or "")), 200)

    @router.post("/matching/needs/{need_id}/offerings/{offering_id}/feedback")
    async def say(request: Request, speaker: Speaker, need_id: str, offering_id: str) -> Response:
        sent = await from_form(request)
        try:
            what = feedback.spoken(KINDS[speaker.role], *sent)
            async with service.database.transaction() as tx:
                said = await give(tx, speaker, need_id, offering_id, what)
        except Rejected as error:
            async with service.database.reading() as tx:
                about = await look_up(tx, speaker, need_id, offering_id)
            wrong = {one.pointer.removeprefix("/"): one.detail for one in reversed(error.faults)}
            return shown(request, speaker, about, Tried(sent, wrong, error.detail), 422)
        count.note(said)
        return RedirectResponse(f"/matching/needs/{need_id}/offerings/{offering_id}#said", status_code=303)

    def shown(request: Request, reader: Principal, about: SpokenOf, tried: Tried, status: int) -> HTMLResponse:
        return pages.render(
            request,
            "feedback.html",
            status,
            here="matching",
            found=about.found,
            shown=about.shown,
            feedback=feedback_on(about, reader),
            tried=tried,
            reason_words=REASON_WORDS,
        )

    return router
