"""The checker is tested: every planted mistake is found by it in a story made for it, and the same story without it is clean."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from musubi.embedded_postgres import EmbeddedPostgres
from tests.faults import scenarios
from tests.faults.bugs import BUGS, planted
from tests.faults.lab import Lab, prepare
from tests.faults.mail_faults import MoodyMailbox, MoodyMailServer
from tests.faults.scenarios import Scenario
from tests.faults.verdict import in_words

CASES: dict[str, tuple[Scenario, set[str]]] = {
    "poll-by-id": (scenarios.slow_to_commit, {"lost"}),
    "forgotten-before-acknowledged": (scenarios.killed_before_it_sends, {"lost"}),
    "sent-before-commit": (scenarios.killed_before_the_commit, {"effect without acceptance"}),
    "outbox-after-commit": (scenarios.killed_before_the_commit, {"lost"}),
    "sequence-without-lock": (scenarios.slow_to_commit, {"sequence"}),
    "new-id-when-sent-again": (scenarios.everything_twice, {"changed id", "effect without acceptance"}),
    "lost-log-unnoticed-by-relay": (scenarios.a_log_is_lost, {"lost"}),
    "nobody-stands-by": (scenarios.two_processes_send, {"order"}),
    "calls-unanswered": (scenarios.an_event_is_missing, {"lost"}),
    "emitted-stays-when-undone": (scenarios.poison_among_good_ones, {"double"}),
    "offsets-before-effect": (scenarios.killed_while_it_handles, {"lost"}),
    "cursor-without-comparison": (scenarios.everything_twice, {"double"}),
    "repeats-are-new": (scenarios.everything_twice, {"double"}),
    "bad-header-dropped": (scenarios.junk_among_events, {"vanished"}),
    "offset-of-another-life": (scenarios.a_log_is_lost, {"lost"}),
    "zombie-not-fenced": (scenarios.a_reader_of_another_life_wakes_up, {"lost"}),
    "shorter-log-unnoticed": (scenarios.a_log_is_shortened, {"lost"}),
    "poison-skipped": (scenarios.poison_among_good_ones, {"lost"}),
    "behind-let-through": (scenarios.poison_among_good_ones, {"order", "lost"}),
    "second-half-dropped": (scenarios.poison_among_good_ones, {"lost"}),
    "gap-ignored-by-unparker": (scenarios.an_event_is_missing, {"order"}),
    "nothing-superseded": (scenarios.poison_among_good_ones, {"blocked"}),
    "patience-shared": (scenarios.one_event_always_meets_a_deadlock, {"stuck"}),
    "receipt-not-kept": (scenarios.a_partner_stumbles, {"wrong answer"}),
    "older-wins": (scenarios.a_partner_stumbles, {"wrong answer"}),
    "answered-before-commit": (scenarios.a_partner_stumbles, {"lost"}),
    "new-message-id-at-each-try": (scenarios.a_mail_server_hangs_up, {"mail"}),
}
"""For each mistake the story in which it shows, and the kinds of anomalies of which at least one must be found."""

STORIES = list(dict.fromkeys(story for story, _ in CASES.values()))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_without_a_mistake_the_story_is_clean(story: Scenario, lab: Lab) -> None:
    anomalies = await story(lab)
    assert not anomalies, in_words(anomalies)


@pytest.mark.parametrize("name", sorted(BUGS))
async def test_the_checker_finds_the_mistake(name: str, lab: Lab) -> None:
    story, shows = CASES[name]
    lab.patience = 4  # much longer than the same story takes without the mistake
    with planted(name):
        anomalies = await story(lab)
    assert {anomaly.kind for anomaly in anomalies} & shows, f"{BUGS[name].breaks}: {in_words(anomalies)}"


def test_every_mistake_has_its_story() -> None:
    assert CASES.keys() == BUGS.keys()
    assert len(BUGS) >= 16


@pytest.fixture(scope="module")
def prepared(postgres_server: EmbeddedPostgres) -> "dict[str, str]":
    """The name of a database with all tables, and a partner's key for it; made by the first test."""
    return {}


@pytest.fixture
async def lab(
    postgres_server: EmbeddedPostgres, prepared: dict[str, str], tmp_path: Path, mails: MoodyMailbox
) -> AsyncIterator[Lab]:
    """A small world of the test's own."""
    if not prepared:
        template = f"lab_{uuid.uuid4().hex}"
        await _as_superuser(postgres_server, f"create database {template}")
        prepared |= {"template": template, "key": await prepare(postgres_server.dsn(template))}
    name = f"lab_{uuid.uuid4().hex}"
    await _as_superuser(postgres_server, f"create database {name} template {prepared['template']}")
    async with Lab(postgres_server.dsn(name), prepared["key"], tmp_path, mails).opened() as lab:
        yield lab
    await _as_superuser(postgres_server, f"drop database {name} with (force)")


@pytest.fixture
def mails(free_port: int) -> Iterator[MoodyMailbox]:
    """A mail server with bad days."""
    server = MoodyMailServer(free_port)
    yield server.start()
    server.stop()


async def _as_superuser(server: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(server.dsn())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
