"""Acknowledging by keyboard, and without JavaScript."""

import pytest
from playwright.async_api import Browser, Page

from common.access.permissions import Role
from tests.browser.looking import looking
from tests.browser.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_message_is_acknowledged_by_keyboard_alone(chromium_browser: Browser, site: Site) -> None:
    async with looking(chromium_browser, site, "en", Role.SECRETARIAT) as seen:
        await seen.open(site.paths["inbox"])
        address = await first_message(seen.page)
        await seen.open(address)
        button = seen.page.get_by_role("button", name="Acknowledge")
        await reach_by_tab(seen.page, button)
        outline = await button.evaluate("e => getComputedStyle(e).outlineStyle")
        assert outline != "none", "the focus cannot be seen"
        await seen.page.keyboard.press("Enter")
        await seen.page.get_by_text("Acknowledged").first.wait_for()
        assert await button.count() == 0


async def test_everything_works_without_javascript(chromium_browser: Browser, site: Site) -> None:
    async with looking(chromium_browser, site, "ja", Role.COMPANY, script=False, width=390) as seen:
        for name in ("home", "needs", "need", "catalog", "offering"):
            assert await seen.open(site.paths[name]) == 200
        await seen.open(site.paths["inbox"])
        await seen.open(await first_message(seen.page))
        await seen.page.get_by_role("button", name="確認済みにする").click()
        await seen.page.get_by_text("確認済み").first.wait_for()
        assert await seen.page.get_by_role("button", name="確認済みにする").count() == 0


async def first_message(page: Page) -> str:
    """The address of the first message of the list."""
    href = await page.locator("main a[href^='/notify/inbox/']").first.get_attribute("href")
    assert href
    return href


async def reach_by_tab(page: Page, wanted: object) -> None:
    """Press Tab until the focus is there; fails where it never comes."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await wanted.evaluate("e => e === document.activeElement"):  # pyright: ignore[reportAttributeAccessIssue]
            return
    raise AssertionError("the button cannot be reached with Tab")
