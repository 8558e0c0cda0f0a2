"""What tests stand on: real PostgreSQL, a broker (embedded, real), a real SMTP server, Chromium.

Kafka and Chromium may be missing on a machine. Then their tests are skipped, and the skip names the command that adds
them; `MUSUBI_REQUIRE=kafka,browser` turns such a skip into a failure.
"""

import os
import shutil
import socket
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import asyncpg
import hypothesis
import pytest
from playwright.async_api import Browser, async_playwright

from musubi import embedded_postgres, topics
from musubi.embedded_kafka import EmbeddedBroker
from musubi.embedded_postgres import EmbeddedPostgres
from musubi.topics import ALL_TOPICS
from tests import kafka_server
from tests.brokers import Broker, FreshTopics, make_fresh_topics
from tests.kafka_server import KafkaServer
from tests.mailbox import Mailbox, MailServer

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
HOW_TO_ADD_CHROMIUM = "sudo apt-get install -y chromium fonts-noto-cjk   (or set MUSUBI_CHROMIUM=/path/to/chromium)"


# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

TO_ADD = ". To add it: "


def missing(what: str, reason: str, how_to_add: str) -> None:
    """Skip, or fail where `MUSUBI_REQUIRE` names it; both say what would add it."""
    words = f"{what} is missing: {reason}{TO_ADD}{how_to_add}"
    if what in os.environ.get("MUSUBI_REQUIRE", "").split(","):
        pytest.fail(words, pytrace=False)
    pytest.skip(words)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end, loudly, what was not tested and which command would add it."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple) and TO_ADD in report.longrepr[2]
    )
    if reasons:
        terminalreporter.section("NOT TESTED on this machine", sep="=", yellow=True, bold=True)
    for words, count in reasons.items():
        reason, command = words.split(TO_ADD)
        terminalreporter.write_line(f"{count} tests were skipped: {reason}.\n    {command}", yellow=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL for the whole run. It need not survive a power cut, so it does not wait for the disk."""
    fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
    with embedded_postgres.temporary(settings=fast) as server:
        yield server


@pytest.fixture
async def postgres(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """The address (DSN) of a fresh, empty database, as its superuser."""
    name = f"test_{uuid.uuid4().hex}"
    await _as_superuser(postgres_server, f'create database "{name}"')
    yield postgres_server.dsn(name)
    await _as_superuser(postgres_server, f'drop database "{name}" with (force)')


async def _as_superuser(server: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(server.dsn())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _embedded() -> Iterator[Broker]:
    broker = EmbeddedBroker.with_topics((topic.name, topic.partitions) for topic in ALL_TOPICS)
    yield Broker(broker.address, broker.incarnation, "embedded", broker)
    broker.stop()


@pytest.fixture
def kafka() -> Iterator[Broker]:
    """A new embedded broker with the registry's topics, all empty. One member a group, no rebalances."""
    yield from _embedded()


@pytest.fixture(scope="session")
def kafka_server_address() -> Iterator[str]:
    """One real Kafka for the whole run."""
    try:
        with kafka_server.running() as address:
            yield address
    except kafka_server.NoKafka as reason:
        missing("kafka", str(reason), kafka_server.HOW_TO_ADD)


@contextmanager
def kafka_of_its_own(*, advertised: int = 0) -> Iterator[KafkaServer]:
    """A real Kafka with all topics for some tests alone, which may be killed and asks for names; for `advertised` see there."""
    try:
        server = KafkaServer(advertised=advertised)
    except kafka_server.NoKafka as reason:
        missing("kafka", str(reason), kafka_server.HOW_TO_ADD)
        raise
    try:
        server.start()
        topics.apply(server.address)
        yield server
    finally:
        server.close()


@pytest.fixture
def real_kafka(kafka_server_address: str) -> Broker:
    """A real Apache Kafka, with the registry's topics made anew. Tests that use it are marked `kafka`."""
    broker = Broker(kafka_server_address, "", "real")
    make_fresh_topics(broker)
    return broker


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.kafka)])
def any_kafka(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Both brokers in turn: what holds on the embedded one must hold on the real one."""
    if request.param == "real":
        yield request.getfixturevalue("real_kafka")
    else:
        yield from _embedded()


@pytest.fixture
def fresh_topics() -> FreshTopics:
    """`fresh_topics(broker, [Topic(...)])` makes topics beyond the registry's, empty."""
    return make_fresh_topics


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    return _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def smtp() -> Iterator[Mailbox]:
    """A real SMTP server that keeps what it accepts: `await smtp.received(1)`; `smtp.answer_next("451 4.3.0 Later")`."""
    server = MailServer(_free_port())
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    given = os.environ.get("MUSUBI_CHROMIUM")
    found = given or next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    if not found:
        missing("browser", "no Chromium was found", HOW_TO_ADD_CHROMIUM)
    assert found
    return found


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """Chromium under Playwright's async API: `page = await browser.new_page(locale="ja-JP")`. Mark its tests `browser`."""
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield running
        await running.close()
