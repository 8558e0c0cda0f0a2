"""Signing in at an OpenID Connect provider (code flow with PKCE): to its page and back, and why somebody did not get in.

The way there is a link and no form, for our content policy lets forms go to ourselves only. It is refused to other sites' pages
and sets a cookie; who comes back without that cookie, or with somebody else's answer, is signed in to nothing.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from common.access import attempts, identity, people
from common.access.attempts import Attempt
from common.access.auth import Principal, allowed, cookie_name, kept
from common.access.oidc import NotIdentified, Provider, slug_of
from common.access.permissions import Action
from common.access.session_cookie import SessionCookie
from common.errors import NotFound
from common.web.addresses import own_address
from common.web.application import SHARED_PAGES, Pages
from common.web.language_choice import language_of

if TYPE_CHECKING:
    from common.service import Service

Wanted = Annotated[str, Query(alias="next")]
"""The address that somebody was about to open."""
Anyone = Annotated[Principal, Depends(allowed(Action.READ_PUBLIC))]


class Failure(NamedTuple):
    """Why somebody is not signed in, as they are told. `again`: does it help to try again, with another account if so."""

    status: int
    title: Mapping[str, str]
    detail: Mapping[str, str]
    again: str = "same"


FAILURES: Mapping[str, Failure] = {
    "denied": Failure(
        400,
        {"en": "You did not sign in", "ja": "サインインは取り消されました"},
        {
            "en": "The sign-in was stopped at your organisation's page, and nothing was changed here. You can begin again.",
            "ja": "組織のサインイン画面で中止されました。Musubi 側の変更はありません。もう一度始められます。",
        },
    ),
    "begin-again": Failure(
        400,
        {"en": "This sign-in cannot be finished", "ja": "このサインインは完了できません"},
        {
            "en": "It took longer than 10 minutes, was finished before, or began in another browser or window. "
            "Please begin again here.",
            "ja": "10分を過ぎたか、すでに済んでいるか、別のブラウザーや画面で始めたものです。ここからもう一度始めてください。",
        },
    ),
    "provider-away": Failure(
        503,
        {"en": "The sign-in service does not answer", "ja": "組織のサインイン用サービスが応答していません"},
        {
            "en": "Your organisation's sign-in service could not be reached. Try again in a few minutes. "
            "If it stays so, tell whoever runs this installation.",
            "ja": "組織のサインイン用サービスにつながりませんでした。数分おいて、もう一度お試しください。"
            "続く場合は、この環境の管理者に知らせてください。",
        },
    ),
    "provider-refused": Failure(
        400,
        {"en": "The sign-in service said no", "ja": "組織のサインイン用サービスが受け付けませんでした"},
        {
            "en": "Please begin again. If it happens again, tell whoever runs this installation: the log there says why.",
            "ja": "もう一度始めてください。繰り返す場合は、この環境の管理者に知らせてください。理由はログに残っています。",
        },
    ),
    "token-not-trusted": Failure(
        400,
        {"en": "We could not be sure that it is you", "ja": "ご本人であることを確かめられませんでした"},
        {
            "en": "The answer of the sign-in service did not pass our checks, so nobody was signed in. Please begin again. "
            "If it happens again, tell whoever runs this installation: the log there says why.",
            "ja": "組織のサインイン用サービスからの応答を確認できなかったため、サインインしていません。もう一度始めてください。"
            "繰り返す場合は、この環境の管理者に知らせてください。理由はログに残っています。",
        },
    ),
    "not-registered": Failure(
        403,
        {"en": "You are not registered here yet", "ja": "まだ登録されていません"},
        {
            "en": "Your organisation knows you, but nobody has opened an account here for your e-mail address. "
            "Ask whoever runs this installation to add it, or sign in with another account.",
            "ja": "組織での確認は済みましたが、このメールアドレスのアカウントは Musubi にありません。"
            "この環境の管理者に登録を頼むか、別のアカウントでサインインしてください。",
        },
        again="other",
    ),
    "shut-out": Failure(
        403,
        {"en": "Your account here was closed", "ja": "このアカウントは利用を停止されています"},
        {
            "en": "If you should still have one, ask whoever runs this installation to add you again.",
            "ja": "引き続き必要な場合は、この環境の管理者に、もう一度登録するよう頼んでください。",
        },
        again="other",
    ),
    "email-not-verified": Failure(
        403,
        {"en": "Your e-mail address is not confirmed", "ja": "メールアドレスが確認されていません"},
        {
            "en": "Your organisation's sign-in service does not say that the address is really yours. "
            "Confirm it there, or ask whoever looks after that service, then sign in again.",
            "ja": "組織のサインイン用サービスで、メールアドレスがご本人のものと確認されていません。"
            "組織の側で確認を済ませるか、担当者に頼んでから、もう一度サインインしてください。",
        },
        again="other",
    ),
    "no-email": Failure(
        403,
        {"en": "Your e-mail address did not arrive", "ja": "メールアドレスが届きませんでした"},
        {
            "en": "At the first sign-in your e-mail address is needed, and the sign-in service did not send it. "
            "Tell whoever runs this installation: the service has to send the claim “email”.",
            "ja": "最初のサインインにはメールアドレスが必要ですが、組織のサインイン用サービスから送られませんでした。"
            "この環境の管理者に、「email」が送られるように設定を頼んでください。",
        },
        again="other",
    ),
}  # fmt: skip


def start_address(wanted: str, *, other: bool = False) -> str:
    """Where a sign-in begins that leads to `wanted`; `other` asks the provider which account it shall be."""
    asked = _next(wanted) | ({"other": "1"} if other else {})
    return f"/sign-in/start?{urlencode(asked)}" if asked else "/sign-in/start"


def _next(wanted: str) -> dict[str, str]:
    return {"next": wanted} if wanted != "/" else {}


def routes(service: "Service", provider: Provider, writing: identity.Writer) -> APIRouter:
    """`/sign-in/start`, `/sign-in/callback` and `/sign-in/failed`."""
    router = APIRouter(include_in_schema=False)
    pages = Pages(service, SHARED_PAGES)
    settings, log = service.settings, service.telemetry.log
    secure = settings.public_origin.startswith("https://")
    session_cookie = SessionCookie(settings.public_origin)
    meanwhile = cookie_name(settings.public_origin) + "_signing_in"

    def failed(what: str, why: str = "", *, wanted: str = "/") -> Response:
        """To the page that says so, which has an address without anything of the provider's."""
        log.log(logging.WARNING if why else logging.INFO, "sign-in failed: %s", what, extra={"why": why} if why else None)
        return RedirectResponse(f"/sign-in/failed?{urlencode({'why': what} | _next(wanted))}", 303)

    @router.get("/sign-in/failed")
    async def explain_failure(request: Request, _: Anyone, why: str = "", wanted: Wanted = "/") -> Response:
        """Why somebody is not signed in, and what helps."""
        failure = FAILURES.get(why)
        if failure is None:
            raise NotFound
        again = start_address(own_address(wanted), other=failure.again == "other")
        return pages.render(request, "sign_in_failed.html", failure.status, failure=failure, again=again)

    @router.get("/sign-in/start")
    async def start(request: Request, _: Anyone, wanted: Wanted = "/", other: str = "") -> Response:
        """Off to the provider's page."""
        wanted = own_address(wanted)
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return RedirectResponse(f"/sign-in?{urlencode(_next(wanted))}", 303)  # another site's page does not begin it
        async with writing() as tx:
            attempt = await attempts.begin(tx, wanted, now=service.clock())
        try:
            page = await provider.page(attempt, language=language_of(request), choose=bool(other))
        except NotIdentified as error:
            return failed(error.what, error.why, wanted=wanted)
        response = RedirectResponse(page, 303)
        lives = int(attempts.LIVES.total_seconds())
        response.set_cookie(meanwhile, attempt.cookie, max_age=lives, httponly=True, samesite="lax", secure=secure)
        return response

    @router.get("/sign-in/callback")
    async def callback(request: Request, _: Anyone, code: str = "", state: str = "", error: str = "") -> Response:
        """Back from the provider's page, with a code or with why there is none."""
        attempt = Attempt.of_cookie(kept(request, meanwhile))
        if attempt is None or not attempt.answers(state):
            return failed("begin-again")
        async with writing() as tx:
            wanted = await attempts.end(tx, attempt, now=service.clock())
        if wanted is None:
            return failed("begin-again")
        if error == "access_denied":
            return failed("denied", wanted=wanted)
        if error or not code:
            return failed("provider-refused", slug_of(error), wanted=wanted)
        try:
            who = await provider.identify(code, attempt)
        except NotIdentified as refusal:
            return failed(refusal.what, refusal.why, wanted=wanted)
        async with writing() as tx:
            account = await people.account_for(tx, who)
            if isinstance(account, str):
                return failed(account, wanted=wanted)
            session = await identity.begin_session(tx, account, now=service.clock())
            await identity.end_session(tx, kept(request, session_cookie.name), now=service.clock())
        response = RedirectResponse(wanted, 303)
        session_cookie.put(response, session)
        response.delete_cookie(meanwhile, httponly=True, samesite="lax", secure=secure)
        return response

    return router
