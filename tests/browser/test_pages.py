"""Every page in Chromium, in Japanese and English, on a desk and on a phone, as loaded with all examples."""

import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from common.access.permissions import Role
from tests.browser.looking import looking
from tests.browser.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PAGES: dict[str, Role | None] = {
    "home": Role.OFFICE,
    "needs": None,
    "need": None,
    "municipality": None,
    "catalog": None,
    "offering": None,
    "company": None,
    "proposals": Role.OFFICE,
    "shortlist": Role.OFFICE,
    "proposal": Role.OFFICE,
    "feedback": Role.OFFICE,
    "outcomes": Role.SECRETARIAT,
    "compared": Role.OFFICE,
    "compromises": Role.OFFICE,
    "reach": Role.OFFICE,
    "technologies": Role.OFFICE,
    "inbox": Role.OFFICE,
    "message": Role.OFFICE,
    "mails": Role.OPERATOR,
    "mail": Role.OPERATOR,
    "sign-in": None,
    "nothing": None,
}
"""Each kind of page, and as whom it is looked at."""
WIDTHS = (1280, 390, 320)
JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
LATIN_WORD = re.compile(r"[A-Za-z]{3,}")
OWN_WORDS = {"Musubi", "JETRO", "English", "LED", "ESCO", "HTTP", "Ctrl"}
CONTROLS = "nav a, button, label, th[scope=col], summary, h2"


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_sound_in_either_language_and_at_every_width(
    chromium_browser: Browser, site: Site, name: str, language: str
) -> None:
    async with looking(chromium_browser, site, language, PAGES[name]) as seen:
        status = await seen.open(site.paths[name])
        page = seen.page
        assert status == (404 if name == "nothing" else 200)
        assert await page.get_attribute("html", "lang") == language
        assert await page.locator("h1").count() == 1
        assert await page.title() not in ("", " | Musubi")
        assert await untranslated(page, language) == []
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            assert await overflow(page) == [], f"{name} scrolls sideways at {width}"
        assert (seen.errors, seen.foreign) == ([], [])


@pytest.mark.parametrize("name", PAGES)
async def test_axe_finds_nothing_to_mend(chromium_browser: Browser, site: Site, name: str) -> None:
    async with looking(chromium_browser, site, "ja", PAGES[name], width=390) as seen:
        await seen.open(site.paths[name])
        found = await Axe().run(seen.page)
        violations = [f"{v['id']}: {[node['html'][:200] for node in v['nodes']]}" for v in found.response["violations"]]
        assert violations == []


async def test_the_language_switch_keeps_the_page_and_is_remembered(chromium_browser: Browser, site: Site) -> None:
    async with looking(chromium_browser, site, "en") as seen:
        await seen.open(f"{site.paths['needs']}?status=open")
        await seen.page.get_by_role("link", name="日本語").click()
        assert "status=open" in seen.page.url
        assert await seen.page.get_attribute("html", "lang") == "ja"
        await seen.open(site.paths["catalog"])
        assert await seen.page.get_attribute("html", "lang") == "ja"


@pytest.mark.parametrize("name", ["proposals", "inbox", "mails"])
async def test_who_has_not_signed_in_is_told_so_in_words(chromium_browser: Browser, site: Site, name: str) -> None:
    async with looking(chromium_browser, site, "en") as seen:
        status = await seen.open(site.paths[name])
        assert status in (401, 403)
        assert await seen.page.get_by_role("main").get_by_text("sign in", exact=False).count() > 0


async def untranslated(page: Page, language: str) -> list[str]:
    """Texts of controls that are not in the page's language; what is marked as the other language does not count."""
    texts = await page.locator(CONTROLS).evaluate_all("""found => found
        .filter(e => !e.closest('[lang]:not(html)') && !e.closest('.visually-hidden'))
        .map(e => e.innerText.trim()).filter(Boolean)""")
    if language == "en":
        return [text for text in texts if JAPANESE.search(text)]
    return [text for text in texts if not JAPANESE.search(text) and set(LATIN_WORD.findall(text)) - OWN_WORDS]


async def overflow(page: Page) -> list[str]:
    """What makes the page scroll sideways: nothing, or the elements that stick out."""
    return await page.evaluate("""() => {
        const wide = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= wide) return [];
        return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > wide + 1)
            .map(e => e.outerHTML.slice(0, 120));
    }""")
