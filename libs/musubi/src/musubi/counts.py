"""How much there is of everything: as the databases hold it, and as the pages show it. The two must agree."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import asyncpg
import httpx

from common.access import identity
from common.access.auth import COOKIE
from common.access.permissions import Role
from common.clock import utc_now
from common.postgres import server_settings
from musubi import roles
from musubi.sign_in_links import OPERATOR

STORED = {
    "needs": ("needs", "select count(*) from need"),
    "offerings": ("catalog", "select count(*) from offering"),
    "proposals": ("matching", "select count(distinct need_id) from match"),
    "notifications": ("notify", "select count(*) from notification"),
    "mails": ("notify", "select count(*) from delivery where state in ('sent', 'in_folder')"),
}
"""Asked of the tables themselves, not of the code that the pages use. A proposal is a need's shortlist that is not empty."""

PAGES = ("/", "/needs", "/catalog", "/matching")
_SHOWN = re.compile(r'<[^>]*\bdata-count="([a-z]+)"[^>]*>([^<]*)<')


class Counts(NamedTuple):
    """One number for each thing that a newcomer wants to have seen."""

    needs: int = 0
    offerings: int = 0
    proposals: int = 0
    notifications: int = 0
    mails: int = 0


async def stored(postgres: Mapping[str, str]) -> Counts:
    """As the databases hold it."""
    found = {}
    for name, (service, sql) in STORED.items():
        connection = await asyncpg.connect(postgres[service], server_settings=server_settings(service))
        try:
            found[name] = await connection.fetchval(sql)
        finally:
            await connection.close()
    return Counts(**found)


async def shown(address: str, postgres: Mapping[str, str]) -> dict[str, set[int]]:
    """As the pages show it to the operator: each element that says what it counts, from every page. More than one number
    for a name means that pages disagree."""
    found: dict[str, set[int]] = {name: set() for name in Counts._fields}
    async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as http:
        http.cookies.set(COOKIE, await _operator_session(postgres[roles.IDENTITY]))
        for path in PAGES:
            page = await http.get(path, params={"lang": "en"})
            page.raise_for_status()
            for name, text in numbers_on(page.text):
                found.setdefault(name, set()).add(text)
    return found


def numbers_on(page: str) -> list[tuple[str, int]]:
    """What a page counts: `<b data-count="needs">1,204</b>` is ("needs", 1204)."""
    return [(name, int(digits)) for name, text in _SHOWN.findall(page) if (digits := re.sub(r"\D", "", text))]


def differences(stored: Counts, shown: Mapping[str, set[int]]) -> list[str]:
    """What is wrong, in words; nothing if every count is above 0 and is what the pages show."""
    wrong = []
    for name, number in stored._asdict().items():
        if number == 0:
            wrong.append(f"there are no {name}")
        if shown[name] != {number}:
            said = " and ".join(map(str, sorted(shown[name]))) or "nothing"
            wrong.append(f"{number} {name} are stored, and the pages show {said}")
    return wrong


async def _operator_session(identity_dsn: str) -> str:
    now = utc_now()
    async with identity.writing(identity_dsn) as tx:
        await identity.record_organisation(tx, "operator", "operator", OPERATOR, now=now)
        account = await identity.account_of(tx, "operator", Role.OPERATOR, names=OPERATOR, language="en", now=now)
        return await identity.begin_session(tx, account, now=now)
