"""Matching's handlers on a real database, as the consumer runs them: locks first, one transaction a batch."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import httpx
from fastapi import FastAPI

from common import migrate
from common.access import identity
from common.access.auth import COOKIE
from common.access.permissions import Role
from common.contracts.catalog import ExchangeRatePublished, OfferingListed
from common.contracts.matching import ShortlistChanged
from common.contracts.needs import NeedPosted
from common.contracts.registry import FACTS
from common.contracts.values import Fact
from common.due import DutyRunner
from common.exact_json import load
from common.messaging.consumer import Arrived, Handler
from common.messaging.message import Event
from common.postgres import Database
from common.settings import Settings
from common.telemetry import Telemetry
from common.transaction import Transaction
from matching import page_store, routing
from matching.app import create_app
from matching.domain.circumstances import Circumstances, Rate, day_at
from matching.domain.shortlist import LENGTH, Rank, judge
from matching.domain.sides import Need, Offering
from matching.engine import self_check
from matching.handlers import duties, handlers, take_locks
from matching.memory import Memory
from matching.page_store import Scope
from tests.facts import event_of
from tests.partner import NOBODY_LISTENS

ORIGIN = "http://127.0.0.1:8600"
KINDS: dict[Role, identity.OrganisationKind] = {
    Role.OFFICER: "municipality",
    Role.COMPANY: "company",
    Role.OFFICE: "office",
    Role.SECRETARIAT: "secretariat",
    Role.OPERATOR: "operator",
}


@dataclass
class Clock:
    """A clock that the test sets."""

    now: datetime = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


@dataclass
class Matching:
    """One process of matching, and what everybody knows of the world by the events that it was given."""

    database: Database
    clock: Clock
    memory: Memory = field(default_factory=Memory)
    needs: dict[str, NeedPosted] = field(default_factory=dict)
    offerings: dict[str, OfferingListed] = field(default_factory=dict)
    rates: dict[str, ExchangeRatePublished] = field(default_factory=dict)

    async def take(self, *facts: Fact) -> list[Event]:
        """These facts arrive in one batch; returns what was announced."""
        self.know(*facts)
        return await handle(self.database, self.memory, facts)

    def know(self, *facts: Fact) -> None:
        """The oracle learns what happened."""
        for fact in facts:
            known = {NeedPosted: self.needs, OfferingListed: self.offerings, ExchangeRatePublished: self.rates}[type(fact)]
            known[fact.subject] = fact  # pyright: ignore[reportArgumentType]

    async def take_for_lists(self, *facts: Fact) -> list[ShortlistChanged]:
        """The same; returns the lists announced, read by their contract."""
        return [load(ShortlistChanged, event.body) for event in await self.take(*facts)]

    async def run_duties(self) -> int:
        """Do everything that is due; returns how many duties there were."""
        runner = DutyRunner(self.database, duties(self.memory), Telemetry("matching", log_level="ERROR"))
        done = 0
        while await runner.step():
            done += 1
        return done

    async def announced(self) -> list[ShortlistChanged]:
        """Every list that was ever announced, in order."""
        async with self.database.reading() as tx:
            return [load(ShortlistChanged, row["body"]) for row in await tx.fetch("select body from outbox order by batch, n")]

    async def stored(self) -> dict[str, list[Rank]]:
        """The lists as they are kept, by need."""
        async with self.database.reading() as tx:
            found: dict[str, list[Rank]] = {need_id: [] for need_id in self.needs}
            rows = await tx.fetch("select need_id, score, offering_id from match order by need_id, score desc, offering_id")
            for need_id, score, offering_id in rows:
                found[need_id].append(Rank.of(score, offering_id))
            return found

    async def oracle(self) -> dict[str, list[Rank]]:
        """What the lists have to be: every pair judged, each need as of the moment that its list states."""
        offerings = [Offering.of(fact) for fact in self.offerings.values()]
        rates = {one.currency: Rate(one.currency, one.per_usd, one.as_of, one.source) for one in self.rates.values()}
        found = {}
        async with self.database.reading() as tx:
            for need_id, fact in self.needs.items():
                kept = await page_store.shortlist(tx, Scope(), need_id)
                assert kept is not None
                circumstances = Circumstances(day_at(kept.as_of, fact.municipality.timezone), rates)
                need = Need.of(fact)
                judged = (judge(need, offering, circumstances) for offering in offerings)
                found[need_id] = sorted(one.rank for one in judged if one)[:LENGTH]
        return found


async def work(tx: Transaction, memory: Memory, facts: Sequence[Fact]) -> None:
    """These facts arrive, are handed on, and handled by their groups, all in one transaction."""
    await work_in_groups(tx, memory, await routed(tx, [Arrived(event_of(fact), fact) for fact in facts]))


async def handed_on(database: Database, facts: Sequence[Fact]) -> list[Arrived[Any]]:
    """What the groups are sent for these facts, which is committed."""
    async with database.transaction() as tx:
        return await routed(tx, [Arrived(event_of(fact), fact) for fact in facts])


async def routed(tx: Transaction, arrived: Sequence[Arrived[Any]]) -> list[Arrived[Any]]:
    """What the groups are sent for these, taken back from what the transaction announces."""
    await routing.take_locks(arrived, tx)
    before = len(tx.emitted)
    await _in_turn(arrived, tx, routing.HANDLERS)
    sent = tx.emitted[before:]
    del tx.emitted[before:]
    return [Arrived(event, load(FACTS[event.type], event.body)) for event in sent]


async def work_in_groups(tx: Transaction, memory: Memory, arrived: Sequence[Arrived[Any]]) -> None:
    """As the consumer of the groups handles a batch."""
    await take_locks(arrived, tx, memory)
    await _in_turn(arrived, tx, handlers(memory))


async def _in_turn(arrived: Sequence[Arrived[Any]], tx: Transaction, by_kind: Mapping[type[Fact], Handler]) -> None:
    for kind, handler in by_kind.items():
        mine = [one for one in arrived if type(one.data) is kind]
        if mine:
            await handler(mine, tx)


async def handle(database: Database, memory: Memory, facts: Sequence[Fact]) -> list[Event]:
    """These facts are handed on, and handled by their groups in one batch; returns what these announced."""
    arrived = await handed_on(database, facts)
    async with database.transaction() as tx:
        await work_in_groups(tx, memory, arrived)
        return list(tx.emitted)


@asynccontextmanager
async def matching_on(dsn: str, clock: Clock) -> AsyncIterator[Matching]:
    """Matching with its tables on this database."""
    folders = {"messaging": files("common") / "migrations" / "messaging", "matching": files("matching") / "migrations"}
    await migrate.apply(dsn, "matching", folders)
    await asyncio.to_thread(self_check.check)  # as at the start of a process
    database = Database(dsn, "matching", clock=clock)
    await database.open()
    try:
        yield Matching(database, clock)
    finally:
        await database.close()


@dataclass
class Site:
    """The whole service: facts go in through its handlers, people read its pages."""

    app: FastAPI
    matching: Matching
    dsn: str

    async def reader(self, role: Role, organisation: str, language: str = "en") -> httpx.AsyncClient:
        """Somebody who has signed in."""
        now = self.matching.clock.now
        kind = KINDS[role]
        async with identity.writing(self.dsn) as tx:
            await identity.record_organisation(tx, organisation, kind, {"en": organisation}, now=now)
            account = await identity.create_account(tx, organisation, role, names={"en": "Staff"}, language=language, now=now)
            token = await identity.begin_session(tx, account, now=now)
        client = self.anyone(language)
        client.cookies.set(COOKIE, token)
        return client

    def anyone(self, language: str = "en") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"accept-language": language})


@asynccontextmanager
async def site_on(dsn: str, clock: Clock) -> AsyncIterator[Site]:
    """The service on this database, without a broker."""
    await identity.prepare(dsn)
    settings = Settings(postgres=dsn, kafka=NOBODY_LISTENS, local_sign_in=True, migrate=True, public_origin=ORIGIN)
    app = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app):
        yield Site(app, Matching(app.state.service.database, clock), dsn)


def words_of(html: str) -> str:
    """What a reader sees of a page: its text, with single spaces."""
    text = re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<head>.*?</head>", "", html))
    return " ".join(text.replace("\u00a0", " ").replace("&nbsp;", " ").split())
