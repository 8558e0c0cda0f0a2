"""One origin for the four services: the first part of the path says which of them answers."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

HOME = "notify"
"""Has the home page, signing in and out, and the assets, which are the same in every service."""


def service_for(path: str, services: Mapping[str, ASGIApp]) -> str:
    """`/api/needs/…` and `/needs/…` belong to needs; what names no service belongs to the home page's."""
    first, _, rest = path.lstrip("/").partition("/")
    name = rest.partition("/")[0] if first == "api" else first
    return name if name in services else HOME


class OneOrigin:
    """The ASGI app that hands each request to its service."""

    def __init__(self, services: Mapping[str, ASGIApp]) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._services[service_for(scope["path"], self._services)](scope, receive, send)
