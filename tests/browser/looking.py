"""How tests look at a page: in a language, as somebody, with everything noted that should not happen in a browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request

from common.access.permissions import Role
from common.web.language_choice import COOKIE as LANGUAGE_COOKIE
from tests.browser.site import Site


@dataclass
class Looking:
    """A page, and what went wrong on it: console errors (a refusal of the content policy is one) and foreign requests."""

    page: Page
    site: Site
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    async def open(self, path: str) -> int:
        """Go there and return the HTTP status."""
        answer = await self.page.goto(f"{self.site.origin}{path}")
        assert answer is not None
        return answer.status

    def note_console(self, message: ConsoleMessage) -> None:
        # Chromium reports a document's own 4xx as an error too; that is the answer we asked for.
        if message.type == "error" and not message.text.startswith("Failed to load resource: the server responded with a status"):
            self.errors.append(message.text)

    def note_request(self, request: Request) -> None:
        if urlsplit(request.url).scheme != "data" and not request.url.startswith(f"{self.site.origin}/"):
            self.foreign.append(request.url)


@asynccontextmanager
async def looking(
    browser: Browser, site: Site, language: str = "en", role: Role | None = None, *, width: int = 1280, script: bool = True
) -> AsyncIterator[Looking]:
    """A fresh window in this language; signed in as `role`."""
    context = await browser.new_context(
        locale={"ja": "ja-JP", "en": "en-GB"}[language],
        viewport={"width": width, "height": 900},
        java_script_enabled=script,
    )
    if role:
        await context.add_cookies(
            [
                {"name": "musubi", "value": site.sessions[role], "url": site.origin},
                {"name": LANGUAGE_COOKIE, "value": language, "url": site.origin},  # else the account's language decides
            ]
        )
    page = await context.new_page()
    seen = Looking(page, site)
    page.on("console", seen.note_console)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", seen.note_request)
    try:
        yield seen
    finally:
        await context.close()
