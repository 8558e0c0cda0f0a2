"""Signing in at a real provider, in Chromium and across two sites: there, back, out again, and what one is told otherwise."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from common.access import identity, people
from common.access.oidc_sign_in import FAILURES
from common.access.permissions import Role
from common.telemetry import Telemetry
from musubi.embedded_kafka import EmbeddedBroker
from musubi.embedded_postgres import EmbeddedPostgres
from musubi.topics import ALL_TOPICS
from notify.app import create_app
from notify.settings import NotifySettings
from tests import identity_provider
from tests.brokers import Broker
from tests.browser.looking import Looking, looking
from tests.browser.site import Site, fresh_database
from tests.browser.test_pages import WIDTHS, overflow, untranslated
from tests.chain import Chain, free_socket, served
from tests.identity_provider import IdentityProvider

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib"),  # the provider's own library
]
CITY = {"en": "City of Kamakura", "ja": "鎌倉市"}


@dataclass
class House(Site):
    """A running notify that people sign in to by a provider. Nobody has a session yet."""

    provider: IdentityProvider


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(postgres_server: EmbeddedPostgres) -> AsyncIterator[House]:
    """Musubi at 127.0.0.1, the provider at localhost: for a browser these are two sites."""
    embedded = EmbeddedBroker.with_topics((topic.name, topic.partitions) for topic in ALL_TOPICS)
    listening = free_socket()
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with identity_provider.running() as provider:
        async with fresh_database(postgres_server) as dsn:
            said = {"postgres": dsn, "kafka": embedded.address, "incarnation": embedded.incarnation, "public_origin": origin}
            settings = NotifySettings.model_validate({**said, **provider.settings, "migrate": True, "watchdog": 0})
            app = create_app(settings, telemetry=Telemetry("notify", log_level="CRITICAL"))
            await identity.prepare(dsn)
            now = datetime.now(UTC)
            async with identity.writing(dsn) as tx:
                await identity.record_organisation(tx, "kamakura", "municipality", CITY, now=now)
                for language in ("ja", "en"):
                    email = f"{language}@city.example"
                    provider.knows(language, email)
                    await people.invite(tx, email, "kamakura", Role.OFFICER, names=CITY, language=language, now=now)
            provider.knows("stranger", "stranger@city.example")
            async with served({"notify": app}, listening), httpx.AsyncClient(base_url=origin) as http:
                yield House(Chain(http, origin, dsn, Broker(embedded.address, "", "embedded")), {}, {}, provider)
    embedded.stop()


async def _to_the_provider(seen: Looking) -> None:
    await seen.page.route("https://**", lambda route: route.abort())  # the provider's page wants a style sheet from afar
    await seen.page.goto(f"{seen.site.origin}/notify/inbox?state=unread")
    for _ in ("how to sign in", "onwards"):
        await seen.page.locator("main a.btn").first.click()
    await seen.page.wait_for_url("**/oauth2/authorize?**")


async def _let_in(page: Page, subject: str) -> None:
    await page.get_by_placeholder("sub").fill(subject)
    await page.get_by_role("button", name="Authorize").click()


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_an_officer_signs_in_where_they_wanted_to_go_and_out_again(
    chromium_browser: Browser, house: House, language: str
) -> None:
    async with looking(chromium_browser, house, language) as seen:
        page = seen.page
        await _to_the_provider(seen)
        await _let_in(page, language)
        await page.wait_for_url("**/notify/inbox?state=unread")
        assert CITY[language] in await page.inner_text(".who")
        (cookie,) = [c for c in await page.context.cookies(house.origin) if c["name"] == "musubi"]  # pyright: ignore[reportTypedDictNotRequiredAccess]
        assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Lax")
        await page.locator(".who__out button").click()
        await page.wait_for_url("**/sign-out")
        words = {"ja": "組織のサインイン用サービスからもサインアウト", "en": "Sign out at your organisation"}[language]
        assert await page.get_by_role("link", name=words).count() == 1
        assert await seen.open("/notify/inbox") == 401
        assert [error for error in seen.errors if "net::ERR_" not in error] == []


async def test_who_says_no_there_or_is_not_registered_here_is_told_what_to_do_next(
    chromium_browser: Browser, house: House
) -> None:
    async with looking(chromium_browser, house, "en") as seen:
        await _to_the_provider(seen)
        await seen.page.get_by_role("button", name="Deny").click()
        await seen.page.get_by_role("heading", name="You did not sign in").wait_for()
        await seen.page.get_by_role("link", name="Begin again").click()
        await _let_in(seen.page, "stranger")
        await seen.page.get_by_role("heading", name="You are not registered here yet").wait_for()
        await seen.page.get_by_role("link", name="Sign in with another account").click()
        await _let_in(seen.page, "en")
        await seen.page.wait_for_url("**/notify/inbox?state=unread")


async def test_an_answer_for_somebody_else_signs_a_browser_in_to_nothing(chromium_browser: Browser, house: House) -> None:
    async with looking(chromium_browser, house, "en") as attacker, looking(chromium_browser, house, "en") as victim:
        await _to_the_provider(attacker)
        async with httpx.AsyncClient() as http:  # the attacker keeps the answer, which a browser would follow
            answer = await http.post(attacker.page.url, data={"sub": "en"})
        await victim.page.goto(answer.headers["location"])
        await victim.page.get_by_role("heading", name="This sign-in cannot be finished").wait_for()
        assert await victim.open("/notify/inbox") == 401


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_every_page_of_it_is_sound_in_either_language_and_at_every_width(
    chromium_browser: Browser, house: House, language: str
) -> None:
    async with looking(chromium_browser, house, language) as seen:
        for path in ("/sign-in", "/sign-out", *(f"/sign-in/failed?why={why}" for why in FAILURES)):
            await seen.open(path)
            assert await seen.page.locator("h1").count() == 1, path
            assert await untranslated(seen.page, language) == [], path
            for width in WIDTHS:
                await seen.page.set_viewport_size({"width": width, "height": 800})
                assert await overflow(seen.page) == [], f"{path} scrolls sideways at {width}"
            if language == "ja" and path in ("/sign-in", "/sign-in/failed?why=not-registered"):
                found = await Axe().run(seen.page)
                assert found.response["violations"] == [], path
        assert (seen.errors, seen.foreign) == ([], [])
