"""Signing in, by what the settings say, and signing out; and the one-time links of the one-machine mode.

Opening a link only shows whom it makes you; the button uses it up, so that a mail scanner or a preview cannot. Both work
over loopback only and only where `local_sign_in` is set; anything else is refused. The way by a provider is in
`common.access.oidc_sign_in`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from common.access import identity, oidc_sign_in
from common.access.auth import Principal, allowed, kept
from common.access.oidc import Provider
from common.access.oidc_sign_in import Anyone, Wanted
from common.access.permissions import Action
from common.access.session_cookie import SessionCookie
from common.errors import Forbidden, NotFound
from common.web.addresses import own_address
from common.web.application import SHARED_PAGES, Pages
from common.web.browser_guards import LOOPBACK_HOSTS, host_name

if TYPE_CHECKING:
    from common.service import Service

FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
STATUS = {"good": 200, "used": 410, "expired": 410, "unknown": 404}

ROLE_NAMES: Mapping[str, dict[str, str]] = {
    "officer": {"en": "municipal officer", "ja": "自治体の担当者"},
    "company": {"en": "company staff", "ja": "企業の担当者"},
    "office": {"en": "JETRO office staff", "ja": "ジェトロ事務所の担当者"},
    "secretariat": {"en": "secretariat staff", "ja": "事務局の担当者"},
    "operator": {"en": "operator", "ja": "運用担当者"},
}


def routes(service: "Service") -> APIRouter:
    """`/sign-in`, `/sign-in/{token}` and `/sign-out`; one service of an origin has them."""
    router = APIRouter(include_in_schema=False)
    pages = Pages(service, SHARED_PAGES)
    settings = service.settings
    writing = identity.Writer(settings.identity_postgres or settings.postgres)
    cookie = SessionCookie(settings.public_origin)
    provider = Provider(settings, service.clock) if settings.oidc_issuer else None
    if provider:
        router.include_router(oidc_sign_in.routes(service, provider, writing))  # first: below, any word may be a link's token

    async def show(request: Request, token: str, status: int | None = None) -> Response:
        async with writing() as tx:
            link = await identity.sign_in_link(tx, token, now=service.clock())
        context = {"link": link, "token": token, "role_names": ROLE_NAMES}
        return pages.render(request, "sign_in_link.html", status or STATUS[link.state], **context)

    @router.get("/sign-in")
    async def explain_sign_in(request: Request, _: Anyone, wanted: Wanted = "/") -> Response:
        """The ways to sign in that there are here."""
        start = oidc_sign_in.start_address(own_address(wanted)) if provider else None
        return pages.render(request, "sign_in.html", start=start)

    @router.get("/sign-in/{token}")
    async def show_link(request: Request, token: str, _: Anyone) -> Response:
        """Whom this link makes you, or why it is worth nothing."""
        _only_on_this_machine(request, settings.local_sign_in)
        return await show(request, token)

    @router.post("/sign-in/{token}")
    async def use_link(request: Request, token: str, _: Anyone) -> Response:
        """Uses the link up, begins a session and ends the one there was."""
        _only_on_this_machine(request, settings.local_sign_in)
        try:
            async with writing() as tx:
                session = await identity.use_sign_in_link(tx, token, now=service.clock())
                await identity.end_session(tx, kept(request, cookie.name), now=service.clock())
        except NotFound:
            return await show(request, token, status=410)
        response = RedirectResponse("/", 303)
        cookie.put(response, session)
        return response

    @router.post("/sign-out")
    async def sign_out(request: Request, _: Annotated[Principal, Depends(allowed(Action.SIGN_OUT))]) -> Response:
        """Ends the session, here and for whoever else holds its cookie."""
        token = kept(request, cookie.name)
        if token:
            async with writing() as tx:
                await identity.end_session(tx, token, now=service.clock())
        response = RedirectResponse("/sign-out" if provider else "/", 303)
        cookie.take(response)
        return response

    @router.get("/sign-out")
    async def signed_out(request: Request, _: Anyone) -> Response:
        """That the session here is over, and where the one at the provider can be ended, too."""
        return pages.render(request, "signed_out.html", goodbye=await provider.goodbye() if provider else None)

    return router


def _only_on_this_machine(request: Request, local_sign_in: bool) -> None:
    """A link on the screen of this machine is worth nothing on another one, nor through a proxy."""
    caller = request.client.host if request.client else ""
    forwarded = any(name in request.headers for name in FORWARDING_HEADERS)
    here = caller in LOOPBACK_HOSTS and host_name(request.headers) in LOOPBACK_HOSTS and not forwarded
    if not (local_sign_in and here):
        raise Forbidden(
            "local-sign-in-only",
            {
                "en": "One-time links work only on the machine on which Musubi was started with “musubi up” or “make demo”. "
                "Open the link in a browser there.",
                "ja": "1回限りのリンクは、「musubi up」か「make demo」で Musubi を起動したパソコンでだけ使えます。"
                "そのパソコンのブラウザーで開いてください。",
            },
        )
