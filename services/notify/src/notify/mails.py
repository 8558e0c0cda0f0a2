"""Every mail as it was written, for those who answer for it: where it stands, and why."""

from email import message_from_bytes, policy
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.errors import NotFound
from common.service import Service
from common.web.addresses import known_form, window
from common.web.application import Pages
from common.web.list_parameters import PageNumber
from notify import mail_store
from notify.domain.delivery import STATES, State
from notify.readers import reader_of
from notify.settings import NotifySettings

PER_PAGE = 50
HEADERS = ("Subject", "From", "To", "Reply-To", "Date", "Message-ID", "List-Unsubscribe")
Watcher = Annotated[Principal, Depends(allowed(Action.SEE_MAIL))]


def routes(service: Service, settings: NotifySettings) -> APIRouter:
    """`/notify/mail` and `/notify/mail/{delivery}`."""
    router = APIRouter(include_in_schema=False)
    pages = Pages(service, Path(__file__).parent / "pages")

    @router.get("/notify/mail")
    async def mails(
        request: Request,
        watcher: Watcher,
        state: State | None = None,
        page: PageNumber = 1,
    ) -> HTMLResponse:
        async with service.database.reading() as tx:
            reader = await reader_of(tx, watcher)
            states = await mail_store.states(tx)
            part = window(page, PER_PAGE, states.get(state, 0) if state else sum(states.values()))
            found = await mail_store.deliveries(tx, state=state, limit=PER_PAGE, offset=part.skip)
        return pages.render(
            request,
            "mails.html",
            here="",
            unread=reader.unread,
            mails=found,
            states=[(known, states[known]) for known in STATES if known in states],
            state=state,
            total=sum(states.values()),
            part=part,
            zone=reader.zone,
            smtp=settings.smtp_host,
        )

    @router.get("/notify/mail/{id_}")
    async def mail(request: Request, id_: str, watcher: Watcher) -> HTMLResponse:
        async with service.database.reading() as tx:
            reader = await reader_of(tx, watcher)
            found = await mail_store.delivery(tx, UUID(known_form(id_)))
        if found is None:
            raise NotFound
        delivery, message = found
        headers, text = opened(message) if message else ([], "")
        return pages.render(
            request,
            "mail.html",
            here="",
            unread=reader.unread,
            mail=delivery,
            headers=headers,
            text=text,
            zone=reader.zone,
        )

    return router


def opened(message: bytes) -> tuple[list[tuple[str, str]], str]:
    """Headers and text as a mail program shows them."""
    parsed = message_from_bytes(message, policy=policy.default)
    headers = [(name, str(parsed[name])) for name in HEADERS if parsed[name]]
    return headers, parsed.get_content()  # pyright: ignore[reportAttributeAccessIssue]  an EmailMessage by its policy
