"""One running Musubi with all examples for every browser test, somebody signed in for each role, and one Chromium."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from musubi.embedded_kafka import EmbeddedBroker
from musubi.embedded_postgres import EmbeddedPostgres
from musubi.topics import ALL_TOPICS
from tests.brokers import Broker
from tests.browser.site import Site, addresses, fresh_database, mails_unwritten, signed_in
from tests.chain import running_chain
from tests.eventually import eventually
from tests.example_events import example_events
from tests.oracle import announced, differences

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Loaded with all examples, everybody told."""
    embedded = EmbeddedBroker.with_topics((topic.name, topic.partitions) for topic in ALL_TOPICS)
    broker = Broker(embedded.address, embedded.incarnation, "embedded", embedded)
    folder = tmp_path_factory.mktemp("mails")
    async with fresh_database(postgres_server) as dsn, running_chain(dsn, broker, None, mail_folder=folder) as chain:
        events = example_events()
        await chain.publish_accepted(*events)
        wanted = sum(event["type"].startswith("need.") for event in events)
        await eventually(
            lambda: announced(dsn), lambda seen: len(seen.needs) == wanted and not differences(seen), within=90, every=0.5
        )
        await eventually(lambda: mails_unwritten(dsn), lambda left: left == 0, within=60, every=0.5, what="all mails")
        yield Site(chain, await signed_in(dsn), await addresses(dsn))
    embedded.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium_browser(chromium: str) -> AsyncIterator[Browser]:
    """One Chromium for all; each test opens a context of its own."""
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        await running.close()
