"""The pages of what could not be handled, in Chromium: by keyboard, without a script, with hostile contents, in both languages;
and what an operator does on them, seen to its effect in a running service.
"""

import json
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from common.access.permissions import Role
from common.operating import audit
from musubi.embedded_kafka import EmbeddedBroker
from musubi.embedded_postgres import EmbeddedPostgres
from musubi.topics import ALL_TOPICS
from tests.brokers import Broker
from tests.browser.desk import HOSTILE, SERVICE, Desk, event_path, notification, rate, running_desk
from tests.browser.looking import looking
from tests.browser.site import fresh_database
from tests.browser.test_acknowledging import reach_by_tab
from tests.browser.test_pages import WIDTHS, overflow, untranslated
from tests.eventually import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PAGES = [
    "overview", "cause", "event", "wrong event", "hostile event", "superseded event", "gap", "behind", "unreadable records",
    "record", "binary record", "hostile record",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(postgres_server: EmbeddedPostgres) -> AsyncIterator[Desk]:
    """The running service; tests that change something use keys of their own."""
    embedded = EmbeddedBroker.with_topics((topic.name, topic.partitions) for topic in ALL_TOPICS)
    broker = Broker(embedded.address, embedded.incarnation, "embedded", embedded)
    async with fresh_database(postgres_server) as dsn, running_desk(dsn, broker) as running:
        yield running
    embedded.stop()


# how they look --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_sound_in_either_language_and_at_every_width(
    chromium_browser: Browser, desk: Desk, name: str, language: str
) -> None:
    async with looking(chromium_browser, desk, language, Role.OPERATOR) as seen:
        assert await seen.open(desk.paths[name]) == 200
        page = seen.page
        assert await page.get_attribute("html", "lang") == language
        assert await page.locator("h1").count() == 1
        assert await page.title() not in ("", " | Musubi", "stolen")
        assert await untranslated(page, language) == []
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            assert await overflow(page) == [], f"{name} scrolls sideways at {width}"
        assert (seen.errors, seen.foreign) == ([], [])
        if language == "ja":
            found = await Axe().run(page)  # at the smallest width
            assert [f"{v['id']}: {[node['html'][:200] for node in v['nodes']]}" for v in found.response["violations"]] == []


@pytest.mark.parametrize("name", ["hostile event", "hostile record", "overview"])
async def test_nothing_that_somebody_sent_is_run_as_a_page(chromium_browser: Browser, desk: Desk, name: str) -> None:
    async with looking(chromium_browser, desk, "en", Role.OPERATOR) as seen:
        await seen.open(desk.paths[name])
        assert await seen.page.locator("main script, main img").count() == 0
        assert await seen.page.title() != "stolen"
        if name != "overview":
            assert HOSTILE in await seen.page.inner_text("main")
        assert seen.errors == []


async def test_a_key_with_slashes_and_dots_leads_to_its_own_event(chromium_browser: Browser, desk: Desk) -> None:
    async with looking(chromium_browser, desk, "en", Role.OPERATOR) as seen:
        await seen.open(desk.paths["hostile event"])
        assert (await seen.page.inner_text("h1")).startswith("Event 1 of a/../b?c#d&e=%2F <script>")


async def test_the_head_of_every_page_says_how_many_records_are_held(chromium_browser: Browser, desk: Desk) -> None:
    async with looking(chromium_browser, desk, "ja", Role.OPERATOR) as seen:
        await seen.open("/sign-in")
        link = seen.page.get_by_role("link", name="保留中の記録（")
        await link.click()
        assert seen.page.url.endswith("/matching/parked")
    async with looking(chromium_browser, desk, "ja", Role.OFFICE) as seen:
        await seen.open("/sign-in")
        assert await seen.page.get_by_text("保留中の記録").count() == 0


async def test_on_paper_the_record_stays_and_the_forms_go(chromium_browser: Browser, desk: Desk) -> None:
    async with looking(chromium_browser, desk, "en", Role.OPERATOR) as seen:
        await seen.open(desk.paths["wrong event"])
        await seen.page.emulate_media(media="print")
        assert await seen.page.locator("pre.raw").first.is_visible()
        assert not await seen.page.locator("form").nth(1).is_visible()


# who may see them -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", [None, Role.OFFICER, Role.COMPANY, Role.OFFICE, Role.SECRETARIAT])
async def test_nobody_but_operators_sees_a_record_or_touches_it(desk: Desk, role: Role | None) -> None:
    cookies = {"musubi": desk.sessions[role]} if role else {}
    async with httpx.AsyncClient(base_url=desk.origin, cookies=cookies) as caller:
        for path in desk.paths.values():
            for answer in (await caller.get(path), await caller.post(path, data={"verb": "skip", "reason": "because"})):
                assert answer.status_code in (401, 403, 405), path  # the overview has no form
                assert "ZZQ" not in answer.text and "per_usd" not in answer.text
    assert await desk.row("XAF")


async def test_a_form_of_another_site_is_refused(desk: Desk) -> None:
    async with httpx.AsyncClient(base_url=desk.origin, cookies={"musubi": desk.sessions[Role.OPERATOR]}) as caller:
        answer = await caller.post(
            desk.paths["event"], data={"verb": "skip", "reason": "because"}, headers={"origin": "https://elsewhere.example"}
        )
        assert answer.status_code == 403
        assert (await caller.post(desk.paths["event"], data={"verb": "dance", "reason": "because"})).status_code == 404
    row = await desk.row("XAF")
    assert row and row["reason"] == "poison"


async def test_a_text_that_no_event_may_hold_is_told_to_be_too_large_and_is_edited_on_the_command_line(desk: Desk) -> None:
    event = rate("CLP", "poison " + "x" * 1_000_000)
    await desk.publish(event)
    await desk.held("CLP")
    sent = {"verb": "edit", "reason": "because", "body": "x" * 10_000_000}
    for language, words in (
        ("en", "larger than this page takes (900 kB)"),
        ("ja", "このページで扱える大きさ（900 kB）を超えています"),
    ):
        cookies = {"musubi": desk.sessions[Role.OPERATOR], "musubi_lang": language}
        async with httpx.AsyncClient(base_url=desk.origin, cookies=cookies, headers={"origin": desk.origin}) as caller:
            page = await caller.get(event_path(event))
            assert page.status_code == 200
            assert words in page.text and "musubi parked edit" in page.text
            assert 'name="body"' not in page.text
            for name in ("event", "record"):
                answer = await caller.post(desk.paths[name], data=sent)
                assert answer.status_code == 413
                assert words in answer.text


# what is done on them -------------------------------------------------------------------------------------------------
async def test_after_the_cure_an_event_is_retried_by_keyboard_alone_and_takes_effect(
    chromium_browser: Browser, desk: Desk
) -> None:
    event = rate("JPY", "poison, to be cured")
    await desk.publish(event)
    await desk.given_up("JPY")
    await desk.cure("poison, to be cured")
    async with looking(chromium_browser, desk, "en", Role.OPERATOR) as seen:
        await seen.open(event_path(event))
        page = seen.page
        await reach_by_tab(page, page.locator("#reason-retry"))
        await page.keyboard.type("the handler was mended")
        await page.keyboard.press("Tab")
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", "the focus cannot be seen"
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="The event is tried again").wait_for()
        assert "the handler was mended" in await page.inner_text("main")
        await eventually(lambda: desk.effects("JPY"), lambda done: done == ["poison, to be cured"])
        await page.reload()
        assert "It has taken effect." in await page.inner_text("main")
        await seen.open(event_path(event))
        assert "not held any more" in await page.inner_text("main")
        assert "the handler was mended" in await page.inner_text("main")
        await page.set_viewport_size({"width": 1280, "height": 800})
        await seen.open(f"/{SERVICE}/parked")
        (cell, *_) = await page.locator("td.by span").all()
        assert await cell.evaluate("cell => cell.getClientRects().length") == 1, "who did it is broken in two"


async def test_an_edited_event_takes_effect_with_the_new_body_without_a_script_and_the_original_is_kept(
    chromium_browser: Browser, desk: Desk
) -> None:
    event = rate("THB", "poison, for good")
    await desk.publish(event)
    await desk.held("THB")
    async with looking(chromium_browser, desk, "ja", Role.OPERATOR, script=False, width=390) as seen:
        await seen.open(event_path(event))
        page = seen.page
        body = await page.input_value("#body")
        await page.fill("#body", body.replace("poison, for good", "正しい出典"))
        await page.fill("#reason-edit", "出典の誤り")
        await page.get_by_role("button", name="保存して試す").click()
        await page.get_by_role("heading", name="イベントの内容を直し").wait_for()
        await eventually(lambda: desk.effects("THB"), lambda done: done == ["正しい出典"])
        assert await desk.row("THB") is None
    async with desk.service.database.reading() as tx:
        assert await audit.verify(tx) == []
        (entry,) = await audit.about(tx, {"key": "THB"})
    assert entry.before == event.body
    assert json.loads(entry.after or b"")["source"] == "正しい出典"


async def test_a_refused_edit_keeps_what_was_typed_and_names_each_field(chromium_browser: Browser, desk: Desk) -> None:
    async with looking(chromium_browser, desk, "en", Role.OPERATOR, script=False) as seen:
        await seen.open(desk.paths["wrong event"])
        page = seen.page
        typed = '{"currency": "XOF", "per_usd": "much", "source": "</textarea><script>"}'
        await page.fill("#body", typed)
        await page.fill("#reason-edit", "</p><b>why")
        await page.locator("#edit button").click()
        assert await page.input_value("#body") == typed
        assert await page.input_value("#reason-edit") == "</p><b>why"
        assert await page.get_attribute("#body", "aria-invalid") == "true"
        assert {"/per_usd", "/as_of"} == set(await page.locator("#body-errors .code").all_inner_texts())
        await page.fill("#body", "{\n1}")
        await page.locator("#edit button").click()
        assert "line 2, column 1" in await page.inner_text("#body-errors")
        await page.fill("#reason-edit", "")
        await page.locator("#edit button").click()
        assert "Please say why" in await page.inner_text("#reason-edit-error")
        assert await page.input_value("#body") == "{\n1}"
        await page.get_by_role("link", name="日本語").click()  # also after a refusal the address is one that can be loaded
        assert await page.get_attribute("html", "lang") == "ja"
        assert await page.locator("#body").count() == 1


async def test_all_events_of_a_cause_are_retried_and_what_still_fails_is_held_on(chromium_browser: Browser, desk: Desk) -> None:
    events = [rate(key, f"poison {n}") for n, key in enumerate(("VND", "IDR", "PHP"))]
    await desk.publish(*events)
    for event in events:
        await desk.given_up(event.key)
    for n in (0, 1):
        await desk.cure(f"poison {n}")
    async with looking(chromium_browser, desk, "en", Role.OPERATOR) as seen:
        await seen.open(desk.paths["cause"])
        assert await seen.page.get_by_role("link", name="VND").count() == 1
        await seen.page.fill("#reason-retry-all", "two of three are cured")
        await seen.page.get_by_role("button", name="Try all again").click()
        await seen.page.get_by_role("heading", name="events are tried again").wait_for()
    for key, done in (("VND", ["poison 0"]), ("IDR", ["poison 1"])):
        await eventually(lambda key=key: desk.effects(key), lambda seen, done=done: seen == done)
    assert await desk.effects("PHP") == []
    assert await desk.row("PHP")


async def test_the_consequence_stands_before_the_button_and_a_skipped_event_lets_the_ones_behind_it_go_on(
    chromium_browser: Browser, desk: Desk
) -> None:
    first, second, third = (notification("n-8", n) for n in (1, 2, 3))
    await desk.publish(first._replace(body=first.body.replace(b'"office"', b'"nobody"')), second, third)
    await desk.held("n-8")
    async with looking(chromium_browser, desk, "en", Role.OPERATOR) as seen:
        await seen.open(event_path(second))
        await seen.page.get_by_role("link", name="Event 1 of this key").click()
        words = await seen.page.inner_text("#skip")
        assert words.index("cannot be undone") < words.index("Skip for good")
        await seen.page.fill("#reason-skip", "nobody is waiting for it")
        await seen.page.get_by_role("button", name="Skip for good").click()
        await seen.page.get_by_role("heading", name="The event was skipped").wait_for()
    await eventually(lambda: desk.effects("n-8"), lambda done: len(done) == 2)


async def test_missing_events_are_gone_on_without_only_after_that_was_said(chromium_browser: Browser, desk: Desk) -> None:
    await desk.publish(notification("n-9", 3))
    await desk.held("n-9")
    async with looking(chromium_browser, desk, "ja", Role.OPERATOR) as seen:
        await seen.open(event_path(notification("n-9", 3)))
        assert "1～2番は、後から届いても反映されません" in await seen.page.inner_text("#skip")
        await seen.page.fill("#reason-skip", "送り元で失われた")
        await seen.page.get_by_role("button", name="待たずに進める").click()
        await seen.page.get_by_role("heading", name="1～2番を待たずに進めます").wait_for()
    await eventually(lambda: desk.effects("n-9"), lambda done: len(done) == 1)


async def test_every_key_that_misses_events_is_let_go_on_at_once_only_after_that_was_said(
    chromium_browser: Browser, desk: Desk
) -> None:
    events = [notification(key, 3) for key in ("n-10", "n-11")]
    await desk.publish(*events)
    for event in events:
        await desk.held(event.key)
        await eventually(
            lambda key=event.key: desk.row(key), lambda row: row is not None and row["error"], what="its source to be asked"
        )
    async with looking(chromium_browser, desk, "ja", Role.OPERATOR) as seen:
        query = {"topic": events[0].topic, "type": events[0].type, "reason": "gap", "cause": "events"}
        await seen.open(f"{desk.paths['overview']}/cause?{urlencode(query)}")
        words = await seen.page.inner_text("#go-on-all")
        assert words.index("取り消しはできません") < words.index("すべて待たずに進める")
        await seen.page.fill("#reason-go-on-all", "読み始める前に消えていた")
        await seen.page.get_by_role("button", name="すべて待たずに進める").click()
        await seen.page.get_by_role("heading", name="個のキーを、届かないイベントを待たずに進めます").wait_for()
    for event in events:
        await eventually(lambda key=event.key: desk.effects(key), lambda done: len(done) == 1)


async def test_a_record_that_is_no_event_is_mended_into_one_and_takes_effect(chromium_browser: Browser, desk: Desk) -> None:
    good = rate("MYR", "mended")
    await desk.publish(good._replace(id="no uuid"))
    async with looking(chromium_browser, desk, "en", Role.OPERATOR) as seen:
        page = seen.page
        await eventually(lambda: _opened(page, desk), what="the record in quarantine")
        await page.locator("tbody a").first.click()
        headers = await page.input_value("#headers")
        await page.fill("#reason-edit", "its sender was mended")
        await page.locator("#edit button").click()
        assert "Nothing was changed in the record" in await page.inner_text("main [role=alert]")
        await page.fill("#headers", headers.replace("no uuid", good.id))
        await page.fill("#reason-edit", "its sender was mended")
        await page.locator("#edit button").click()
        await page.get_by_role("heading", name="The record was edited").wait_for()
    await eventually(lambda: desk.effects("MYR"), lambda done: done == ["mended"])


async def _opened(page: Page, desk: Desk) -> bool:
    await page.goto(f"{desk.origin}/matching/parked")
    link = page.get_by_role("link", name="Its id is no UUID")
    if await link.count() == 0:
        return False
    await link.click()
    return True


async def test_before_an_edit_it_is_said_what_it_means_to_write_a_place_that_the_record_does_not_say(
    chromium_browser: Browser, desk: Desk
) -> None:
    async with looking(chromium_browser, desk, "en", Role.OPERATOR) as seen:
        await seen.open(desk.paths["record"])
        assert "Its key and its sequence (1) say which event it is, and cannot be changed." in await seen.page.inner_text("#edit")
        await seen.open(desk.paths["hostile record"])
        words = await seen.page.inner_text("#edit")
        assert "The sequence cannot be read from the record; its key cannot be changed." in words
        assert "Ask the source first" in words
        assert "The same is true of every event of the key with a lower sequence." in words
