"""Answering a proposal without JavaScript, and the picture of what became of proposals."""

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from common.access.permissions import Role
from tests.browser.looking import Looking, looking
from tests.browser.site import Site
from tests.browser.test_pages import WIDTHS, overflow, untranslated

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_city_declines_thinks_again_and_takes_back_without_javascript(chromium_browser: Browser, site: Site) -> None:
    async with looking(chromium_browser, site, "ja", Role.OFFICER, script=False, width=390) as seen:
        page = seen.page
        await open_first_proposal(seen)
        await page.get_by_role("link", name="理由を選んで見送る").click()
        assert await page.get_by_label("見送る", exact=True).is_checked()
        await page.get_by_label("補足").fill("来年度にあらためて検討します。")
        await page.get_by_role("button", name="記録する").click()
        await page.get_by_text("最も近い理由を選んでください。").wait_for()
        assert await page.get_by_label("補足").input_value() == "来年度にあらためて検討します。"
        await page.get_by_label("いまは時期が合わない").check()
        await page.get_by_role("button", name="記録する").click()
        said = page.locator("#said")
        await said.get_by_text("いまは時期が合わない。来年度にあらためて検討します。").wait_for()
        await page.get_by_role("button", name="関心がある").click()
        await said.get_by_text("関心あり").wait_for()
        assert await said.get_by_text("見送り").count() == 0
        await page.get_by_role("button", name="回答を取り消す").click()
        await page.get_by_text("この提案への回答はまだありません。").wait_for()
        await page.get_by_role("link", name="すべての回答を見る").click()
        rows = page.get_by_role("row")
        assert [row for row in await rows.all_inner_texts() if "取り消し" in row]
        assert [row for row in await rows.all_inner_texts() if "来年度" in row]
        assert seen.errors == []


async def test_reasons_are_asked_for_only_where_somebody_declines(chromium_browser: Browser, site: Site) -> None:
    async with looking(chromium_browser, site, "en", Role.COMPANY) as seen:
        await open_first_proposal(seen)
        await seen.page.get_by_role("link", name="All that was said").click()
        reasons = seen.page.get_by_role("group", name="Why, if you decline")
        await seen.page.get_by_label("We are interested").check()
        assert not await reasons.is_visible()
        await seen.page.get_by_label("We decline").check()
        assert await reasons.is_visible()
        await seen.page.get_by_role("button", name="Write it down").click()
        await seen.page.get_by_text("Choose the reason that comes nearest.").wait_for()
        assert await found_by_axe(seen.page) == []


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_what_became_of_proposals_is_drawn_for_the_secretariat(
    chromium_browser: Browser, site: Site, language: str
) -> None:
    async with looking(chromium_browser, site, language, Role.OFFICER) as city:
        need = await first_need(city)
        listed = await city.page.request.get(f"{site.origin}/api/matching/v1/shortlists/{need}")
        for place, match in enumerate((await listed.json())["matches"], start=1):
            word = {"word": "declined", "reason": "price"} if place % 2 == 0 else {"word": "interested"}
            address = f"{site.origin}/api/matching/v1/feedback/{need}/{match['offering_id']}"
            assert (await city.page.request.put(address, data=word)).status == 200
    async with looking(chromium_browser, site, language, Role.SECRETARIAT) as seen:
        assert await seen.open("/matching/outcomes") == 200
        picture = seen.page.locator("svg.share").first
        line, dot = picture.locator(".c-line"), picture.locator("circle")
        low, high, share = [
            float((await part.get_attribute(name) or "").rstrip("%")) for part, name in ((line, "x1"), (line, "x2"), (dot, "cx"))
        ]
        assert 0 <= low <= share <= high <= 100
        assert await untranslated(seen.page, language) == []
        for width in WIDTHS:
            await seen.page.set_viewport_size({"width": width, "height": 800})
            assert await overflow(seen.page) == []
        assert await found_by_axe(seen.page) == []
        assert (seen.errors, seen.foreign) == ([], [])


async def first_need(seen: Looking) -> str:
    """The id of the reader's need with the best proposal."""
    await seen.open("/matching?found=with")
    href = await seen.page.locator("main h3 a[href^='/matching/needs/']").first.get_attribute("href")
    assert href
    return href.rpartition("/")[2]


async def open_first_proposal(seen: Looking) -> None:
    """Go to the best proposal of the first need on the list."""
    await seen.open(f"/matching/needs/{await first_need(seen)}")
    await seen.page.locator("main ol h3 a").first.click()


async def found_by_axe(page: Page) -> list[str]:
    """What axe would have mended. It is a script, so the page must run scripts."""
    found = await Axe().run(page)
    return [f"{one['id']}: {[node['html'][:200] for node in one['nodes']]}" for one in found.response["violations"]]
