"""What keeps a browser from being used against its user: which hosts we answer to, whose POSTs we take, what a page loads.

Each guard is an ASGI middleware of its own; `common.web.application` wraps them around every application, outermost first:
headers (so that a refusal carries them too), then errors, then host, then origin.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import Forbidden

CONTENT_SECURITY_POLICY = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    # Not "no-referrer": with that a browser sends "Origin: null" with a form, and the origin guard could not tell our own.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""On every answer that does not set them itself. Nothing is stored unless a route says that it may be."""


class SecurityHeaders:
    """Adds the headers above to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        return await self.app(scope, receive, send_with_headers)


class LoopbackHosts:
    """In the one-machine mode, answers only to loopback names.

    A page of somebody else could point its own name at 127.0.0.1 and then read our pages as its own ("DNS rebinding").
    """

    def __init__(self, app: ASGIApp, *, only_loopback: bool) -> None:
        self.app = app
        self.only_loopback = only_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.only_loopback and host_name(Headers(scope=scope)) not in LOOPBACK_HOSTS:
            raise Forbidden(
                "foreign-host",
                {
                    "en": "This installation serves one machine only. Open it at http://127.0.0.1 with its port number.",
                    "ja": "この環境は1台のパソコン専用です。ポート番号を付けて http://127.0.0.1 で開いてください。",
                },
            )
        await self.app(scope, receive, send)


class OwnOrigin:
    """Refuses what another site's page makes a signed-in browser send.

    Browsers name the sending page's origin with every POST; a caller without that header is no browser.
    """

    def __init__(self, app: ASGIApp, *, public_origin: str) -> None:
        self.app = app
        self.public_origin = public_origin.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            headers = Headers(scope=scope)
            if not self._is_ours(headers):
                raise Forbidden(
                    "foreign-origin",
                    {
                        "en": "This came from another site's page, so nothing was done. Open the page here and send it again.",
                        "ja": "別のサイトから送られたため、処理しませんでした。こちらのページから送ってください。",
                    },
                )
        await self.app(scope, receive, send)

    def _is_ours(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        sender = urlsplit(origin).netloc  # empty for "null", which is what a browser says of a page without an origin
        return origin == self.public_origin or (sender != "" and sender == headers.get("host"))


def host_name(headers: Headers) -> str:
    """The name in the `Host` header without its port: `127.0.0.1`, `localhost`, `::1`; empty where it makes no sense."""
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""
