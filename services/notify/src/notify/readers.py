"""Whoever looks at notify's pages: the time zone in which its dates are said, and how many unread items it has."""

from dataclasses import dataclass

from common.access.auth import Principal
from common.access.permissions import Action, Role
from common.transaction import Transaction
from notify import store
from notify.offices import SECRETARIAT, offices
from notify.store import Folder

ELSEWHERE = "Asia/Tokyo"
"""For those who belong to no place that we know: the network has its seat in Japan."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Zone and folder counts of a reader; no counts for those without an inbox."""

    zone: str
    folders: dict[Folder, int]

    @property
    def unread(self) -> int:
        return self.folders.get("unread", 0)


async def reader_of(tx: Transaction, principal: Principal) -> Reader:
    """What the pages have to know of whoever looks."""
    organisation = principal.organisation_id
    if organisation is None or not principal.may(Action.SEE_INBOX):
        return Reader(ELSEWHERE, {})
    return Reader(await _zone_of(tx, principal.role, organisation), await store.folder_counts(tx, organisation))


async def _zone_of(tx: Transaction, role: Role, organisation: str) -> str:
    match role:
        case Role.OFFICE:
            office = offices().by_id(organisation)
            return office.timezone if office else ELSEWHERE
        case Role.OFFICER:
            return await store.timezone_of(tx, organisation) or ELSEWHERE
        case Role.COMPANY:
            country = await store.country_of_company(tx, organisation)
            return offices().zone_of(country) if country else ELSEWHERE
        case _:
            return SECRETARIAT.timezone
