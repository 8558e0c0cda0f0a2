"""A span for every HTTP request, in which everything that it sets off begins: a trace leads from here to the mail.

Named by method and route template, never by the address itself: addresses carry ids and one-time tokens, queries and bodies
carry what people wrote.
"""

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.telemetry import fail
from common.web.language_choice import is_machine_route

if TYPE_CHECKING:
    from common.telemetry import Telemetry

QUIET = ("/livez", "/readyz", "/metrics")
"""Probes and scrapes would drown the rest."""

FOLLOWED = TraceContextTextMapPropagator()


class RequestSpan:
    """Opens the span, follows the caller's `traceparent` on machine routes, and closes it with the status."""

    def __init__(self, app: ASGIApp, *, telemetry: "Telemetry") -> None:
        self.app = app
        self.tracer = telemetry.tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/assets/") or scope["path"].endswith(QUIET):
            return await self.app(scope, receive, send)
        method = scope["method"]
        parent = FOLLOWED.extract(Headers(scope=scope)) if is_machine_route(scope["path"]) else None
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
        with self.tracer.start_as_current_span(
            method, parent, trace.SpanKind.SERVER, attributes, record_exception=False, set_status_on_exception=False
        ) as span:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _note(span, scope, message["status"])
                await send(message)

            try:
                return await self.app(scope, receive, send_and_note)
            except Exception as error:
                fail(span, error)
                raise


def route_of(scope: Scope) -> str:
    """The template of the route that took this request, such as `/sign-in/{token}`; empty where none did."""
    return getattr(scope.get("route"), "path", "")


def _note(span: trace.Span, scope: Scope, status: int) -> None:
    template = route_of(scope)
    if template:
        span.update_name(f"{scope['method']} {template}")
        span.set_attribute("http.route", template)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(trace.StatusCode.ERROR)
