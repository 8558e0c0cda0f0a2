"""Opens accounts for people who sign in at a provider, lists them and closes them: `musubi person`."""

import asyncio
import difflib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from common.access import identity, people
from common.access.permissions import Role
from common.clock import utc_now
from common.vocabulary import pick
from musubi import places
from musubi.advice import CannotGoOn
from musubi.partners import identity_address, writing_identity
from musubi.sign_in_links import DESKS, OPERATOR, Somebody, somebody_in_each_role
from musubi.tables import table
from notify import store
from notify.domain.recipients import language_for
from notify.offices import SECRETARIAT, offices

EXAMPLES_DOMAIN = "musubi.example"
PAGES = {"municipality": "/needs/municipalities/", "company": "/catalog/companies/"}
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def add(folder: Path, email: str, role: Role, organisation: str, *, names: Mapping[str, str], language: str) -> int:
    """The command `musubi person add`."""
    if not _ADDRESS.fullmatch(email.strip()):
        raise CannotGoOn(f"{email} is no e-mail address. It is the one by which the provider knows the person.")
    who = asyncio.run(_find(folder, role, organisation))
    who = who._replace(language=language or who.language)
    if not asyncio.run(_invite(identity_address(folder), email, who, {**DESKS[role], **names})):
        raise CannotGoOn(
            f"{email} has an account already; `musubi person list` shows it. To change it, `musubi person remove {email}` first."
        )
    print(f"{people.normalised(email)} may sign in as {role} of {pick(dict(who.names), 'en')} ({who.organisation_id}).")
    return 0


def show(folder: Path, *, as_json: bool) -> int:
    """The command `musubi person list`."""
    found = asyncio.run(_everybody(identity_address(folder)))
    if as_json:
        print(json.dumps([{name: getattr(one, name) for name in one.__slots__} for one in found], ensure_ascii=False))
    elif not found:
        print("Nobody may sign in by a provider yet. `musubi person add --help` says how to add somebody.")
    else:
        rows = [
            (
                one.email,
                one.role,
                one.organisation_id,
                pick(dict(one.organisation_names), "en"),
                one.language,
                "yes" if one.bound else "no",
            )
            for one in found
        ]
        print("\n".join(table(("E-MAIL", "ROLE", "ORGANISATION", "NAME", "LANGUAGE", "SIGNED IN ONCE"), rows)))
    return 0


def remove(folder: Path, email: str) -> int:
    """The command `musubi person remove`."""
    if not asyncio.run(_remove(identity_address(folder), email)):
        raise CannotGoOn(f"There is no account for {email}. `musubi person list` shows those that there are.")
    print(f"{people.normalised(email)} is signed out everywhere and cannot sign in any more.")
    return 0


def examples(folder: Path) -> int:
    """The command `musubi person examples`: somebody in each role, as the provider in docker-compose.yml knows them.

    Returns 1 where the city and the company are not known yet."""
    found = asyncio.run(somebody_in_each_role(places.databases(folder)["notify"]))
    for who in found:
        email = f"{who.role}@{EXAMPLES_DOMAIN}"
        added = asyncio.run(_invite(identity_address(folder), email, who, DESKS[who.role]))
        print(f"{email:<27} {pick(dict(who.names), 'en')}{'' if added else ' (was there already)'}")
    if lacking := {Role.OFFICER, Role.COMPANY} - {who.role for who in found}:
        later = "Load the examples (`musubi examples`) and run this again a little later."
        print(f"Not added yet: {', '.join(sorted(lacking))}. {later}", file=sys.stderr)
    return 1 if lacking else 0


async def _find(folder: Path, role: Role, wanted: str) -> Somebody:
    """The organisation with this id or name that people of this role are in. Raises `CannotGoOn`."""
    if role is Role.OPERATOR:
        return Somebody(role, "operator", "operator", OPERATOR, "en")
    if role is Role.SECRETARIAT:
        return Somebody(role, "secretariat", SECRETARIAT.id, SECRETARIAT.names, SECRETARIAT.language)
    if not wanted:
        raise CannotGoOn(f"Say of which organisation: --organisation ID, for a person with the role {role}.")
    if role is Role.OFFICE:
        known = offices().recipients
        named = known.get(wanted) or next((one for one in known.values() if wanted in one.names.values()), None)
        if named is None:
            near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4) or list(known)[:3]
            raise CannotGoOn(f"There is no office {wanted}. Perhaps {', '.join(near)}?")
        return Somebody(role, "office", named.id, named.names, named.language)
    kind = "municipality" if role is Role.OFFICER else "company"
    async with places.opened(places.databases(folder)["notify"], "notify") as database, database.reading() as tx:
        found = await store.organisations_called(tx, kind, wanted)
    if len(found) == 1:
        ((id_, body),) = found
        return Somebody(role, kind, id_, body["names"], language_for(body["languages"]))
    if found:
        listed = ", ".join(f"{id_} ({pick(body['names'], 'en')})" for id_, body in found)
        raise CannotGoOn(f"Several are called {wanted}. Say the id of one: {listed}.")
    raise CannotGoOn(
        f"No {kind} has the id or the name {wanted}. The id ends the address of its page, {PAGES[kind]}…; "
        f"a {kind} is known once an event about it was accepted."
    )


async def _invite(dsn: str, email: str, who: Somebody, names: Mapping[str, str]) -> bool:
    async with writing_identity(dsn) as tx:
        await identity.record_organisation(tx, who.organisation_id, who.kind, who.names, now=utc_now())
        return await people.invite(tx, email, who.organisation_id, who.role, names=names, language=who.language, now=utc_now())


async def _everybody(dsn: str) -> list[people.Person]:
    async with writing_identity(dsn) as tx:
        return await people.everybody(tx)


async def _remove(dsn: str, email: str) -> bool:
    async with writing_identity(dsn) as tx:
        return await people.remove(tx, email, now=utc_now())
