"""Notifications for machines: an organisation's own, newest first; and the counts that everybody may know."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.service import Service
from common.web.addresses import Place, cursor, place_of
from common.web.json_answers import private_answer
from common.web.list_parameters import Cursor, Limit
from notify import store
from notify.inbox import organisation_of
from notify.shown import state_of


def routes(service: Service) -> APIRouter:
    """`/api/notify/v1/notifications` and `/api/notify/v1/counts`."""
    router = APIRouter(prefix="/api/notify/v1")

    @router.get("/notifications")
    async def notifications(
        owner: Annotated[Principal, Depends(allowed(Action.SEE_INBOX))],
        cursor_: Cursor = None,
        limit: Limit = 20,
    ) -> Response:
        """What your organisation was told, newest first."""
        async with service.database.reading() as tx:
            found = await store.newest(tx, organisation_of(owner), before=place_of(cursor_), limit=limit + 1)
        more = cursor(Place(found[limit - 1].issued_at, str(found[limit - 1].id))) if len(found) > limit else None
        return private_answer({"items": [_item(item) for item in found[:limit]], "next": more})

    @router.get("/counts", dependencies=[Depends(allowed(Action.SEE_HOME))])
    async def counts() -> Response:
        """Open needs and where they stand, notifications, acknowledgements and mails.

        `proposals` counts open needs whose shortlist is not empty, `matches` the offerings on these lists; `mails` those that a
        mail server took or that were written into the folder."""
        async with service.database.reading() as tx:
            found = await store.counts(tx)
        return private_answer(asdict(found))

    return router


def _item(item: store.Item) -> dict[str, Any]:
    return {
        "id": str(item.id),
        "need_id": item.need_id,
        "need": item.need.title,
        "municipality": item.need.municipality.names,
        "offering_id": item.offering_id,
        "offering": item.match.offering,
        "company": item.match.company.names,
        "score": item.match.score,
        "state": state_of(item),
        "more": item.more,
        "rule": item.rule,
        "why": item.why,
        "issued_at": item.issued_at,
        "answer_by": item.answer_by,
        "read_at": item.read_at,
        "acknowledged_at": item.acknowledged_at,
        "proposal": f"/matching/needs/{item.need_id}/offerings/{item.offering_id}",
    }
