"""One-time sign-in links for somebody in each role, so that a newcomer can look at Musubi with the eyes of all."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from common.access import identity
from common.access.identity import OrganisationKind
from common.access.permissions import Role
from common.clock import utc_now
from common.postgres import Database
from musubi import roles, run_file
from musubi.advice import CannotGoOn
from notify import store
from notify.domain.recipients import language_for
from notify.offices import SECRETARIAT, offices

OPERATOR = {"en": "Operator", "ja": "運用担当"}
DESKS = {
    Role.OFFICER: {"en": "Environment Division", "ja": "環境担当課"},
    Role.COMPANY: {"en": "Sales", "ja": "営業担当"},
    Role.OFFICE: {"en": "Trade desk", "ja": "貿易担当"},
    Role.SECRETARIAT: {"en": "Secretariat desk", "ja": "事務局窓口"},
    Role.OPERATOR: OPERATOR,
}


class Somebody(NamedTuple):
    """A role in an organisation."""

    role: Role
    kind: OrganisationKind
    organisation_id: str
    names: Mapping[str, str]
    language: str


class Link(NamedTuple):
    """A link that makes you `role` in the organisation with these names; good once, for 24 hours."""

    role: str
    names: Mapping[str, str]
    url: str


async def issue(address: str, postgres: Mapping[str, str]) -> list[Link]:
    """New links: for the city, the company and the office that were told of most, the secretariat and the operator."""
    links = []
    for who in await somebody_in_each_role(postgres["notify"]):
        async with identity.writing(postgres[roles.IDENTITY]) as tx:
            now = utc_now()
            await identity.record_organisation(tx, who.organisation_id, who.kind, who.names, now=now)
            account = await identity.account_of(
                tx, who.organisation_id, who.role, names=DESKS[who.role], language=who.language, now=now
            )
            token = await identity.issue_sign_in_link(tx, account, now=now)
        links.append(Link(who.role, who.names, f"{address}/sign-in/{token}"))
    return links


def print_links(links: list[Link]) -> None:
    """For people: a line for the role and the organisation, a line for the link."""
    print("Sign in as somebody (each link works once):")
    for link in links:
        name = link.names.get("en") or next(iter(link.names.values()))
        print(f"  {link.role:<11} {name}\n              {link.url}")


def show(folder: Path, *, as_json: bool) -> int:
    """The command `musubi links`."""
    running = run_file.find(folder)
    if not running:
        raise CannotGoOn(f"Nothing runs in {folder}. Start it with `musubi up`.")
    links = asyncio.run(issue(running.address, running.postgres))
    if as_json:
        print(json.dumps([link._asdict() for link in links], ensure_ascii=False))
    else:
        print_links(links)
    return 0


async def somebody_in_each_role(notify_dsn: str) -> list[Somebody]:
    """The city, the company and the office that were told of most (the first two only where some were), the secretariat, the
    operator."""
    database = Database(notify_dsn, "notify", connections=1)
    await database.open()
    try:
        async with database.reading() as tx:
            told = await store.most_told(tx)
    finally:
        await database.close()
    people = []
    if "municipality" in told:
        id_, city = told["municipality"]
        people.append(Somebody(Role.OFFICER, "municipality", id_, city["names"], language_for(city["languages"])))
    if "company" in told:
        id_, company = told["company"]
        people.append(Somebody(Role.COMPANY, "company", id_, company["names"], language_for(company["languages"])))
    known = offices().recipients
    office = known[told["office"][0]] if "office" in told else next(iter(known.values()))
    people.append(Somebody(Role.OFFICE, "office", office.id, office.names, office.language))
    people.append(Somebody(Role.SECRETARIAT, "secretariat", SECRETARIAT.id, SECRETARIAT.names, SECRETARIAT.language))
    people.append(Somebody(Role.OPERATOR, "operator", "operator", OPERATOR, "en"))
    return people
