"""The running Musubi that browser tests look at: its database, who is signed in, an address of each kind of page."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from common.access import identity
from common.access.permissions import Role
from musubi.embedded_postgres import EmbeddedPostgres
from notify.offices import SECRETARIAT, offices
from tests.chain import Chain, rows
from tests.oracle import announced


@dataclass
class Site:
    """A Musubi to look at. `sessions` are tokens for the cookie by role; `paths` an address of each kind of page."""

    chain: Chain
    sessions: Mapping[Role, str]
    paths: Mapping[str, str]

    @property
    def origin(self) -> str:
        return self.chain.origin


@asynccontextmanager
async def fresh_database(server: EmbeddedPostgres) -> AsyncIterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(server.dsn())
    try:
        await connection.execute(f'create database "{name}"')
        yield server.dsn(name)
        await connection.execute(f'drop database "{name}" with (force)')
    finally:
        await connection.close()


async def mails_unwritten(dsn: str) -> int:
    """How many mails are still to be composed or written; none before anybody was told."""
    (row,) = await rows(
        dsn, "notify", "select count(*) as all_, count(*) filter (where finished_at is null) as open from delivery"
    )
    return row["open"] if row["all_"] else -1


async def signed_in(dsn: str) -> dict[Role, str]:
    """A session for somebody in each role, in the organisations that were told of most."""
    people = {
        Role.OFFICE: (await most_told(dsn, "office"), "office"),
        Role.OFFICER: (await most_told(dsn, "municipality"), "municipality"),
        Role.COMPANY: (await most_told(dsn, "company"), "company"),
        Role.SECRETARIAT: (SECRETARIAT.id, "secretariat"),
        Role.OPERATOR: ("operator", "operator"),
    }
    sessions = {}
    now = datetime.now(UTC)
    async with identity.writing(dsn) as tx:
        for role, (organisation, kind) in people.items():
            known = offices().by_id(organisation)
            names = known.names if known else {"en": f"Organisation of the {role}", "ja": f"組織（{role}）"}
            await identity.record_organisation(tx, organisation, kind, names, now=now)  # pyright: ignore[reportArgumentType]
            account = await identity.create_account(tx, organisation, role, names=names, language="ja", now=now)
            sessions[role] = await identity.begin_session(tx, account, now=now)
    return sessions


async def most_told(dsn: str, kind: str) -> str:
    sql = "select recipient_id from notification where recipient_kind = $1 group by 1 order by count(*) desc, 1 limit 1"
    (row,) = await rows(dsn, "notify", sql, kind)
    return row["recipient_id"]


async def addresses(dsn: str) -> dict[str, str]:
    """One address of each kind of page."""
    office = await most_told(dsn, "office")
    (told,) = await rows(
        dsn,
        "notify",
        """select n.id, n.need_id, n.offering_id, d.id as mail from notification n join delivery d on d.notification_id = n.id
        where recipient_id = $1 order by issued_at, n.id limit 1""",
        office,
    )
    seen = await announced(dsn)
    need, offering = seen.needs[told["need_id"]], seen.offerings[told["offering_id"]]
    return {
        "home": "/",
        "needs": "/needs",
        "need": f"/needs/{need.id}",
        "municipality": f"/needs/municipalities/{need.municipality.id}",
        "catalog": "/catalog",
        "offering": f"/catalog/{offering.id}",
        "company": f"/catalog/companies/{offering.company.id}",
        "proposals": "/matching",
        "shortlist": f"/matching/needs/{need.id}",
        "proposal": f"/matching/needs/{need.id}/offerings/{offering.id}",
        "feedback": f"/matching/needs/{need.id}/offerings/{offering.id}/feedback",
        "outcomes": "/matching/outcomes",
        "compared": "/matching/compromises",
        "compromises": "/matching/compromises/lighting.street_led",
        "reach": f"/matching/companies/{offering.company.id}/reach",
        "technologies": "/matching/technologies?text=LED",
        "inbox": "/notify/inbox",
        "message": f"/notify/inbox/{told['id']}",
        "mails": "/notify/mail",
        "mail": f"/notify/mail/{told['mail']}",
        "sign-in": "/sign-in",
        "nothing": "/needs/nothing-is-here",
    }
