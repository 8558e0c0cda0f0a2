"""What keeps the open needs of a technology apart, for whoever looks at proposals from the cities' side.

It is made from published needs alone (what is asked, how many, by whom), so a city reads other cities' needs here as everybody
may. Companies do not: what a city might concede is for the cities to say first (see decision 84).
"""

import asyncio
from decimal import Decimal
from typing import NamedTuple

from common.access.auth import Principal
from common.contracts.matching import NeedSummary
from common.errors import NotFound
from common.service import Service
from common.vocabulary import technologies
from matching import compromise_store
from matching.compromise_store import TechnologyAsked
from matching.domain.compromise import Asking, Compromise, Pool, cities_of, compromise, quantity_of
from matching.page_store import Scope

MOST_NEEDS = 200
"""Looked at in one go, those of the largest quantity; a country can be asked for by itself."""


class Compromises(NamedTuple):
    """What was found among `asking`, the needs that were looked at. `left_out`: how many were not. `summaries` are by need."""

    technology: str
    unit: str
    country: str | None
    by_country: dict[str, int]
    asking: list[Asking]
    left_out: int
    found: Compromise
    summaries: dict[str, NeedSummary]

    @property
    def start(self) -> Pool:
        """From where the steps go on."""
        return self.found.start

    @property
    def cities(self) -> int:
        return cities_of(self.asking)

    @property
    def units(self) -> Decimal:
        return quantity_of(self.asking)


def may_read(reader: Principal) -> bool:
    """Everybody who sees proposals, but for companies."""
    return Scope.of(reader).company is None


async def technologies_to_compare(service: Service, reader: Principal) -> list[TechnologyAsked]:
    """Technologies of which there is something to compare. Raises `NotFound` for companies."""
    if not may_read(reader):
        raise NotFound
    async with service.database.reading() as tx:
        return await compromise_store.technologies_asked(tx)


async def compromises_of(service: Service, reader: Principal, technology: str, country: str | None = None) -> Compromises:
    """Raises `NotFound` for companies, and where there is no such technology (a group is none)."""
    country = country.upper() if country else None
    known = technologies().get(technology)
    if known is None or not known.unit or not may_read(reader):
        raise NotFound
    async with service.database.reading() as tx:
        by_country = await compromise_store.needs_by_country(tx, technology)
        read = await compromise_store.open_needs(tx, technology, country, limit=MOST_NEEDS)
    of_all = by_country.get(country, 0) if country else sum(by_country.values())
    asking = [one.asking for one in read]
    # It may take a second: others have their turn meanwhile.
    found = await asyncio.to_thread(compromise, asking)
    summaries = {one.asking.need.id: one.summary for one in read}
    return Compromises(technology, known.unit, country, by_country, asking, of_all - len(read), found, summaries)
