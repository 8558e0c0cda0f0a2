"""People sign in through the provider in docker-compose.yml, with a browser, and do what their role may."""

import asyncio
import re

import httpx
from playwright.async_api import Browser

from common.access.oidc_sign_in import FAILURES
from common.access.permissions import Role
from tests.browser.looking import Looking, looking
from tests.browser.site import Site
from tests.browser.test_acknowledging import first_message
from tests.deploy.compose_check.compose import Project
from tests.deploy.compose_check.findings import Findings
from tests.deploy.compose_check.journey import reached

PASSWORD = "musubi-example"
ACKNOWLEDGE = re.compile("Acknowledge|確認済みにする")  # the account's language decides
OWN_PAGE = {
    Role.OFFICER: "/notify/inbox",
    Role.COMPANY: "/notify/inbox",
    Role.OFFICE: "/notify/inbox",
    Role.SECRETARIAT: "/notify/inbox",
    Role.OPERATOR: "/notify/mail",
}
"""A page of each role that nobody sees without signing in."""


async def of_staff(project: Project, http: httpx.AsyncClient, chromium: Browser, findings: Findings) -> None:
    """Somebody in each role comes in; one of them acknowledges a message; a stranger is told why it does not work."""
    await asyncio.to_thread(project.musubi, "person", "examples")
    site = Site(reached(project, http), {}, {})
    for role, page in OWN_PAGE.items():
        async with looking(chromium, site, "en") as window:
            before = await window.open(page)
            await signed_in(window, role)
            after = await window.open(page)
            findings.expect(
                f"{role}: {page} is closed to a browser that has not signed in and opens after signing in at the provider",
                before in (401, 403) and after == 200,
                f"{before}, {after}, now at {window.page.url}",
            )
            if role is Role.OFFICE:
                await _acknowledge(window, findings)
            strange = [*window.foreign, *window.errors]
            findings.expect(
                f"{role}: no request went to anybody else, and the browser's console has no error", not strange, strange
            )
    async with looking(chromium, site, "en") as window:
        await signed_in(window, "stranger")
        title = FAILURES["not-registered"].title["en"]
        seen = await window.page.locator("h1").inner_text()
        findings.expect(f"somebody whom the provider knows and Musubi does not is told: {title}", seen == title, seen)


async def signed_in(window: Looking, who: str) -> None:
    """From our page to the provider's, and back."""
    await window.open("/sign-in")
    await window.page.locator("main a.btn").click()
    await window.page.locator("input[name=login]").fill(f"{who}@musubi.example")
    await window.page.locator("input[name=password]").fill(PASSWORD)
    await window.page.locator("button[type=submit]").click()
    await window.page.wait_for_url(lambda address: "/oidc/" not in address)


async def _acknowledge(window: Looking, findings: Findings) -> None:
    message = await first_message(window.page)
    await window.open(message)
    button = window.page.get_by_role("button", name=ACKNOWLEDGE)
    async with window.page.expect_navigation():
        await button.click()
    left = await button.count()
    findings.expect("office: a message in its inbox is acknowledged", left == 0, f"{left} buttons, now at {window.page.url}")
