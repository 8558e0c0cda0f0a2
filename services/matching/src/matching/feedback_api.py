"""What was said of matches, for machines: read it, say it, and how good the first places were."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.contracts.matching import Statement
from common.service import Service
from common.web.json_answers import private_answer
from matching import feedback_store, outcomes
from matching.domain import feedback
from matching.feedback_input import from_json
from matching.giving_feedback import KINDS, FeedbackCount, SpokenOf, give, look_up

Reader = Annotated[Principal, Depends(allowed(Action.SEE_PROPOSALS))]
Speaker = Annotated[Principal, Depends(allowed(Action.GIVE_FEEDBACK))]
Measurer = Annotated[Principal, Depends(allowed(Action.SEE_OUTCOMES))]


def routes(service: Service, count: FeedbackCount) -> APIRouter:
    """`/api/matching/v1/feedback/{need}/{offering}`, `/api/matching/v1/outcomes`."""
    router = APIRouter(prefix="/api/matching/v1")

    @router.get("/feedback/{need_id}/{offering_id}")
    async def read(reader: Reader, need_id: str, offering_id: str) -> Response:
        """What was said of a match, and what the caller may say of it."""
        async with service.database.reading() as tx:
            about = await look_up(tx, reader, need_id, offering_id)
        return private_answer(_answer(about, offering_id, reader))

    @router.put("/feedback/{need_id}/{offering_id}", openapi_extra=_INTERFACE)
    async def say(request: Request, speaker: Speaker, need_id: str, offering_id: str) -> Response:
        """Say something of a match for the caller's organisation; its word before does not count any more. The same again
        changes nothing. Answers as reading it does."""
        sent = await from_json(request)
        what = feedback.spoken(KINDS[speaker.role], *sent)
        async with service.database.transaction() as tx:
            said = await give(tx, speaker, need_id, offering_id, what)
            about = await look_up(tx, speaker, need_id, offering_id)
        count.note(said)
        return private_answer(_answer(about, offering_id, speaker))

    @router.get("/outcomes")
    async def measured(_: Measurer) -> Response:
        """What became of proposals: the precision of the first three places by technology, with 95 % intervals."""
        async with service.database.reading() as tx:
            found = outcomes.measured(await feedback_store.judged(tx), await feedback_store.decline_reasons(tx))
        return private_answer(found.as_json())

    return router


def _answer(about: SpokenOf, offering_id: str, reader: Principal) -> dict[str, Any]:
    kind = KINDS.get(reader.role)
    standing = about.standing
    return {
        "need_id": about.found.summary.id,
        "offering_id": offering_id,
        "outcome": feedback.outcome(standing),
        "standing": [_statement(one) for one in standing],
        "history": [_statement(one) for one in about.history],
        "may_say": list(feedback.WORDS[kind]) if kind else [],
        "reasons": [{"code": one.code, "en": one.en, "ja": one.ja} for one in feedback.reasons_for(kind)] if kind else [],
    }


def _statement(one: Statement) -> dict[str, Any]:
    """Without the account: who of the other side wrote it is nobody's concern."""
    return one.model_dump(exclude={"said_by"})


_INTERFACE = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["word"],
                    "additionalProperties": False,
                    "properties": {
                        "word": {"enum": sorted({word for words in feedback.WORDS.values() for word in words})},
                        "reason": {"enum": [one.code for one in feedback.DECLINE_REASONS]},
                        "note": {"type": "string", "maxLength": feedback.LONGEST_NOTE},
                    },
                }
            }
        },
    }
}
"""What the interface description says of the body, which is read by hand."""
