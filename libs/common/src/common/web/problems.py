"""What a caller is told when something cannot be done: an RFC 9457 problem for machines, a page in plain words for people.

This is the only place that knows HTTP statuses of errors. Nothing of the inside leaves with an answer; the trace id goes
along as a reference by which an operator finds the rest.
"""

import logging
import socket
from typing import Any, NamedTuple

import asyncpg
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from common.errors import Fault, Forbidden, MusubiError, NotFound, Rejected, TryAgain
from common.web.language_choice import is_machine_route, language_of
from common.web.request_span import route_of

OUTSIDE_IS_ILL = (
    ConnectionError,
    TimeoutError,
    socket.gaierror,
    FileNotFoundError,  # where PostgreSQL listens on a socket in a folder and is not there
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
)
"""What asyncpg and the system raise when PostgreSQL is away or starting; no bug of ours."""
UNAVAILABLE_FOR_SECONDS = 10
"""When a caller may usefully come again after `TryAgain`."""


class Problem(NamedTuple):
    """One refusal, ready to be said: HTTP status, stable slug, title and detail by language, faults, extra headers."""

    status: int
    slug: str
    title: dict[str, str]
    detail: dict[str, str]
    faults: tuple[Fault, ...] = ()
    headers: dict[str, str] = {}


STATUS_OF_BODY = {"not-readable": 400, "too-large": 413, "unsupported-content": 415}
"""Refusals of a whole body, by slug; every other refusal is of what it says, 422."""

TITLES: dict[int, dict[str, str]] = {
    400: {"en": "This request cannot be understood", "ja": "要求の形が正しくありません"},
    401: {"en": "Please sign in", "ja": "サインインしてください"},
    403: {"en": "This is not open to you", "ja": "この操作は許可されていません"},
    404: {"en": "There is nothing at this address", "ja": "このアドレスには何もありません"},
    405: {"en": "This address does not take that kind of request", "ja": "このアドレスでは、その操作を受け付けていません"},
    413: {"en": "This is too large", "ja": "データが大きすぎます"},
    415: {"en": "This kind of content is not read here", "ja": "この形式のデータは受け付けていません"},
    422: {"en": "This cannot be accepted as it is", "ja": "このままでは受け付けられません"},
    500: {"en": "We could not finish this", "ja": "処理を終えられませんでした"},
    503: {"en": "We cannot answer at the moment", "ja": "いまお答えできません"},
}

DETAILS: dict[int, dict[str, str]] = {
    400: {
        "en": "The address or its content is not in a form that we can read. Check it and send it again.",
        "ja": "アドレスまたは内容を読み取れませんでした。確かめて、もう一度送ってください。",
    },
    404: {
        "en": "The address may be mistyped, or what was here has been removed. Start again from the home page.",
        "ja": "アドレスが違うか、ページがなくなっています。ホームからたどってください。",
    },
    405: {
        "en": "Open the page in the usual way and use the buttons there.",
        "ja": "ページを開き、そこにあるボタンから操作してください。",
    },
    413: {"en": "Send it in smaller parts.", "ja": "小さく分けて送ってください。"},
    415: {
        "en": "Send JSON with the content type that the interface description names.",
        "ja": "仕様に書かれた Content-Type を付けて、JSON で送ってください。",
    },
    422: {
        "en": "Some values are missing or cannot be used. Mend those named below and send it again.",
        "ja": "足りない値や使えない値があります。示された項目を直して、もう一度送ってください。",
    },
    500: {
        "en": "The mistake is ours and has been recorded. Nothing was half done: please try again later, and if it happens "
        "again, tell us the reference.",
        "ja": "こちらの不具合で、記録しました。処理が途中まで行われたことはありません。しばらくしてからもう一度お試しください。"
        "繰り返す場合は、参照番号をお知らせください。",
    },
    503: {
        "en": "Something that we depend on does not answer. Please try again in a few seconds.",
        "ja": "必要な仕組みの一つが応答していません。数秒おいて、もう一度お試しください。",
    },
}


def problem_of(error: Exception) -> Problem:
    """The refusal that an error means to its caller. What we did not raise on purpose is a bug, status 500."""
    if isinstance(error, OUTSIDE_IS_ILL):
        error = TryAgain("database-away")
    if isinstance(error, MusubiError):
        return _own(error)
    if isinstance(error, ClientDisconnect):
        return _plain(400, "caller-left")
    if isinstance(error, RequestValidationError):
        return _plain(422, "invalid-request", faults=tuple(_fault_of(item) for item in error.errors()))
    if isinstance(error, HTTPException):
        return _plain(error.status_code, f"http-{error.status_code}", headers=dict(error.headers or {}))
    return _plain(500, "unexpected")


def _own(error: MusubiError) -> Problem:
    if isinstance(error, Forbidden):
        if error.slug in ("sign-in-needed", "key-not-known"):
            return Problem(401, error.slug, TITLES[401], error.detail, headers={"www-authenticate": "Bearer"})
        return Problem(403, error.slug, TITLES[403], error.detail)
    if isinstance(error, NotFound):
        detail = DETAILS[404] if error.slug == NotFound.slug else error.detail
        return Problem(404, error.slug, TITLES[404], detail)
    if isinstance(error, TryAgain):
        return Problem(503, error.slug, TITLES[503], DETAILS[503], headers={"retry-after": str(UNAVAILABLE_FOR_SECONDS)})
    if isinstance(error, Rejected):
        status = STATUS_OF_BODY.get(error.slug, 422)
        detail = DETAILS[status] if "ja" not in error.detail else error.detail
        return Problem(status, error.slug, TITLES[status], detail, error.faults)
    return _plain(500, error.slug)


def _plain(status: int, slug: str, faults: tuple[Fault, ...] = (), headers: dict[str, str] | None = None) -> Problem:
    near = status if status in TITLES else (500 if status >= 500 else 400)
    return Problem(status, slug, TITLES[near], DETAILS.get(near, DETAILS[400]), faults, headers or {})


def _fault_of(item: Any) -> Fault:
    """A fault in a query, path or form value as FastAPI found it; pydantic's words are English only."""
    pointer = "/" + "/".join(str(part) for part in item["loc"])
    return Fault(pointer, item["type"], {"en": f"{item['msg']}.", "ja": f"この値は使えません（{item['msg']}）。"})


def problem_json(problem: Problem, language: str, reference: str) -> JSONResponse:
    """The problem as `application/problem+json` in one language."""
    content: dict[str, Any] = {
        "type": f"urn:musubi:problem:{problem.slug}",
        "title": problem.title[language],
        "status": problem.status,
        "detail": _said(problem.detail, language),
    }
    if problem.faults:
        content["errors"] = [
            {"pointer": fault.pointer, "code": fault.code, "detail": _said(fault.detail, language)} for fault in problem.faults
        ]
    if reference:
        content["reference"] = reference
    return JSONResponse(content, problem.status, problem.headers, "application/problem+json")


async def answer_error(request: Request, error: Exception) -> Response:
    """Answers an error in the way its caller can read: JSON on machine routes, else a page."""
    problem = problem_of(error)
    reference = trace_reference()
    if isinstance(error, ClientDisconnect):
        note_caller_left(request)
    if problem.status >= 500:
        expected = isinstance(error, (MusubiError, *OUTSIDE_IS_ILL))
        request.app.state.service.telemetry.log.log(
            logging.WARNING if expected else logging.ERROR,
            "request failed: %s %s: %s",
            request.method,
            route_of(request.scope),  # not the address: it may carry a one-time token
            problem.slug,
            exc_info=None if expected else error,
        )
    if is_machine_route(request.url.path):
        return problem_json(problem, language_of(request), reference)
    pages = request.app.state.pages
    return pages.render_problem(request, problem, reference)


def note_caller_left(request: Request) -> None:
    """Who sent half a request, or did not wait for the answer, is no error of ours."""
    request.app.state.service.telemetry.log.info("caller left: %s %s", request.method, route_of(request.scope))


def trace_reference() -> str:
    """The trace id of the current request, empty outside of a trace."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def _said(text: dict[str, str], language: str) -> str:
    return text.get(language) or text.get("en") or next(iter(text.values()), "")
