"""The HTTP edge that all services share: how an application is made, how its pages are rendered, what every route has.

`application(service)` gives a FastAPI application with the service's lifespan, health, metrics, interface description and
schemas, and with the same guards and error answers everywhere; a service adds its own routes and nothing else.
"""

from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import jinja2
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.access.auth import ANYONE
from common.errors import MusubiError
from common.formats import Formats
from common.vocabulary import LANGUAGES
from common.web import charts, service_routes
from common.web.addresses import own_address
from common.web.asset_urls import asset_url
from common.web.browser_guards import LoopbackHosts, OwnOrigin, SecurityHeaders
from common.web.language_choice import COOKIE as LANGUAGE_COOKIE
from common.web.language_choice import language_of
from common.web.problems import Problem, answer_error, note_caller_left
from common.web.request_span import RequestSpan

if TYPE_CHECKING:
    from common.service import Service

SHARED_PAGES = Path(str(files("common") / "pages"))
A_YEAR_IN_SECONDS = 365 * 24 * 3600


def application(service: "Service") -> FastAPI:
    """An application for this service, to which its own routes are added."""
    app = FastAPI(
        title=f"Musubi {service.name}",
        lifespan=service.lifespan,
        openapi_url=None,  # served by our own route below, which declares its permission like every other
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.pages = Pages(service, SHARED_PAGES)
    for kind in (MusubiError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer_error)
    settings = service.settings
    # Starlette runs the middleware that was added last first.
    app.add_middleware(OwnOrigin, public_origin=settings.public_origin)
    app.add_middleware(LoopbackHosts, only_loopback=settings.local_sign_in)
    app.add_middleware(AnsweredErrors)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestSpan, telemetry=service.telemetry)
    app.include_router(service_routes.routes(service, app))
    return app


class AnsweredErrors:
    """Answers what nothing further in answered: the guards' refusals and our own bugs.

    Starlette's own place for that lies outside of all middleware, so its answers would lack the headers and the span.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = False

        async def send_and_remember(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            return await self.app(scope, receive, send_and_remember)
        except Exception as error:
            if started and isinstance(error, ClientDisconnect):
                return note_caller_left(Request(scope, receive))
            if started:
                raise
            response = await answer_error(Request(scope, receive), error)
            return await response(scope, receive, send)


class HeadAsGet:
    """Answers HEAD as GET without the body, for whoever only checks a link, such as a mail program or a monitor."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self.app(scope, receive, send)

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        return await self.app({**scope, "method": "GET"}, receive, send_without_body)


class Pages:
    """A service's page templates in both languages: those in its `folder`, upon the frame and parts in `common/pages`."""

    def __init__(self, service: "Service", folder: Path) -> None:
        self._service = service
        self._environments = {language: self._environment(language, folder) for language in LANGUAGES}

    def render(self, request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """The page in the reader's language; `context` is what the template shows."""
        language = language_of(request)
        reader = getattr(request.state, "principal", None) or ANYONE
        here = {"here": "", "unread": None, "now": self._service.clock(), "held": getattr(request.state, "held", None)}
        page = self._environments[language].get_template(template)
        content = page.render(
            {
                **here,
                **context,
                "reader": reader,
                "path": request.url.path,
                "other": _other_language(request, language),
                "sign_in": _sign_in_address(request),
            }
        )
        response = HTMLResponse(content, status)
        response.headers["vary"] = "Accept-Language, Cookie"
        response.headers["cache-control"] = "no-store" if reader.signed_in else "no-cache, private"
        if request.query_params.get("lang") == language:
            response.set_cookie(
                LANGUAGE_COOKIE, language, max_age=A_YEAR_IN_SECONDS, httponly=True, samesite="lax", secure=self._secure
            )
        return response

    def render_problem(self, request: Request, problem: Problem, reference: str) -> HTMLResponse:
        """The page that says what, why and how to mend it."""
        language = language_of(request)
        response = self.render(
            request, "problem.html", problem.status, problem=problem, reference=reference, faults=problem.faults
        )
        response.headers.update(problem.headers)
        response.headers["content-language"] = language
        return response

    @property
    def _secure(self) -> bool:
        return self._service.settings.public_origin.startswith("https://")

    def _environment(self, language: str, folder: Path) -> jinja2.Environment:
        """One environment a language, so that macros know it without being told."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader([folder, SHARED_PAGES]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        formats = Formats(language)

        def days_left(last_day: date, zone: str = "UTC") -> str:
            return formats.days_left(last_day, zone, now=self._service.clock())

        words = {
            "t": formats.t,
            "pick": formats.pick,
            "money": formats.money,
            "number": formats.number,
            "quantity": formats.quantity,
            "unit": formats.unit,
            "percent": formats.percent,
            "days": formats.days,
            "days_left": days_left,
            "day": formats.day,
            "clock_time": formats.clock_time,
            "moment": formats.moment,
            "zone": formats.zone,
            "lasting": formats.lasting,
            "technology": formats.technology,
            "country": formats.country,
            "language": formats.language_name,
            "listed": formats.listed,
            "price_figure": formats.price_figure,
            "currency_name": formats.currency,
        }
        geometry = {"price_steps": charts.price_steps, "flow_stages": charts.flow_stages, "city_map": charts.city_map}
        environment.globals.update(words, **geometry)
        environment.globals.update(lang=language, asset=asset_url, local=self._service.settings.local_sign_in)
        environment.filters.update(words)
        environment.globals["parts"] = environment.get_template("parts.html").module
        return environment


def _other_language(request: Request, language: str) -> str:
    """The address of this page in the other language: the same path and query, with `lang`."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    other = next(known for known in LANGUAGES if known != language)
    return f"{_own_path(request)}?{urlencode([*kept, ('lang', other)])}"


def _sign_in_address(request: Request) -> str:
    """Where the link to sign in leads: to the page for it, which knows where the reader wanted to go."""
    wanted = own_address(_own_path(request) + (f"?{request.url.query}" if request.url.query else ""))
    return "/sign-in" if wanted == "/" or request.method != "GET" else f"/sign-in?{urlencode({'next': wanted})}"


def _own_path(request: Request) -> str:
    return "/" + request.url.path.lstrip("/")  # an address that begins with // would lead to another host
