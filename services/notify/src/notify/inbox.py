"""The inbox of an organisation: what it was told, why, by when an answer is due, and who has acknowledged it."""

from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.contracts.notify import NotificationAcknowledged
from common.errors import NotFound
from common.formats import Formats
from common.service import Service
from common.transaction import Transaction
from common.web.addresses import known_form, window
from common.web.application import Pages
from common.web.language_choice import language_of
from common.web.list_parameters import PageNumber
from notify import mail_store, store
from notify.domain import figures
from notify.domain.answer import Group
from notify.handlers import announcement
from notify.offices import names_of
from notify.readers import reader_of
from notify.shown import Shown, shown
from notify.store import Folder

PER_PAGE = 30
NOT_HERE = {
    "en": "This inbox has no such message. Perhaps it was sent to another organisation.",
    "ja": "この受信箱に、そのお知らせはありません。別の組織に届いたものかもしれません。",
}
Owner = Annotated[Principal, Depends(allowed(Action.SEE_INBOX))]
Acknowledger = Annotated[Principal, Depends(allowed(Action.ACKNOWLEDGE))]


def routes(service: Service) -> APIRouter:
    """`/notify/inbox`, `/notify/inbox/{id}`, and acknowledging from both."""
    router = APIRouter(include_in_schema=False)
    pages = Pages(service, Path(__file__).parent / "pages")

    @router.get("/notify/inbox")
    async def inbox(
        request: Request,
        owner: Owner,
        folder: Folder = "open",
        page: PageNumber = 1,
        done: bool = False,
    ) -> HTMLResponse:
        f = Formats(language_of(request))
        async with service.database.reading() as tx:
            reader = await reader_of(tx, owner)
            part = window(page, PER_PAGE, reader.folders.get(folder, 0))
            items = await store.inbox(tx, organisation_of(owner), folder, limit=PER_PAGE, offset=part.skip)
            now = tx.now
        return pages.render(
            request,
            "inbox.html",
            here="inbox",
            unread=reader.unread,
            folder=folder,
            folders=reader.folders,
            groups=grouped([shown(item, f, reader.zone, now) for item in items], folder),
            zone=reader.zone,
            part=part,
            done=done,
        )

    @router.get("/notify/inbox/{id_}")
    async def message(request: Request, id_: str, owner: Owner) -> HTMLResponse:
        f = Formats(language_of(request))
        async with service.database.transaction() as tx:
            found = await own_item(tx, id_, owner)
            await store.mark_read(tx, found.id, found.recipient_id)
            reader = await reader_of(tx, owner)
            others = await store.also_told(tx, found)
            mail = await mail_store.delivery_of(tx, found.id)
            now = tx.now
        return pages.render(
            request,
            "message.html",
            here="inbox",
            unread=reader.unread,
            m=shown(found, f, reader.zone, now),
            fitting=figures.fitting(found.match),
            lacking=figures.lacking(found.match),
            others=[(o, names_of(o.recipient_kind, o.recipient_id, found.need, found.match)) for o in others],
            mail=mail,
            zone=reader.zone,
        )

    @router.post("/notify/inbox/{id_}/acknowledge")
    async def acknowledge(
        id_: str, owner: Acknowledger, back: Annotated[Literal["list", "message"], Form()] = "message"
    ) -> RedirectResponse:
        async with service.database.transaction() as tx:
            found = await own_item(tx, id_, owner)
            await acknowledge_once(tx, found.id, owner)
        address = "/notify/inbox?done=true" if back == "list" else f"/notify/inbox/{found.id}"
        return RedirectResponse(address, status_code=303)

    return router


async def own_item(tx: Transaction, id_: str, owner: Principal) -> store.Item:
    """The notification, if it is the owner's; else there is no such thing."""
    found = await store.item(tx, UUID(known_form(id_)), organisation_of(owner))
    if found is None:
        raise NotFound("no-such-message", NOT_HERE)
    return found


async def acknowledge_once(tx: Transaction, notification_id: UUID, owner: Principal) -> None:
    """Write down who has seen it, and announce that; the first acknowledgement stands."""
    account = owner.account_id or ""
    acknowledged = await store.acknowledge(tx, notification_id, organisation_of(owner), account)
    if acknowledged is not None:
        told = announcement(acknowledged).model_dump()
        tx.emit(NotificationAcknowledged(**told, acknowledged_by=account, acknowledged_at=tx.now))


def organisation_of(owner: Principal) -> str:
    """Whose inbox it is; the permission table gives an inbox to members of an organisation only."""
    if owner.organisation_id is None:
        raise NotFound("no-such-message", NOT_HERE)
    return owner.organisation_id


def grouped(items: list[Shown], folder: Folder) -> list[tuple[Group | Literal["done"], list[Shown]]]:
    """Open items by when an answer is due; acknowledged ones together."""
    if folder == "acknowledged":
        return [("done", items)] if items else []
    groups: dict[Group, list[Shown]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    return [(group, groups[group]) for group in ("overdue", "this-week", "later") if group in groups]
