"""SQL of what keeps needs apart: the open needs of one technology, and how many there are of each."""

from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple

from common.contracts.matching import NeedSummary
from common.exact_json import load
from common.transaction import Transaction
from matching.domain.compromise import Asking
from matching.domain.sides import need_from


class AskingRead(NamedTuple):
    """An open need with its city, and what is told of it."""

    asking: Asking
    summary: NeedSummary


async def open_needs(tx: Transaction, technology: str, country: str | None, *, limit: int) -> list[AskingRead]:
    """The open needs of a technology, of one country if that is given; those of the largest quantity first."""
    rows = await tx.fetch(
        """select judged, municipality_id, summary from need
        where open and technology = $1 and ($2::text is null or country = $2)
        order by (judged ->> 'quantity')::numeric desc, id limit $3""",
        technology,
        country,
        limit,
    )
    return [AskingRead(Asking(need_from(judged), city), load(NeedSummary, summary)) for judged, city, summary in rows]


class TechnologyAsked(NamedTuple):
    """A technology that several open needs ask for: how many, of how many cities, for how much of its unit."""

    technology: str
    needs: int
    cities: int
    units: Decimal


async def technologies_asked(tx: Transaction) -> list[TechnologyAsked]:
    """Those that two open needs or more ask for, those that most ask for first."""
    rows = await tx.fetch(
        """select technology, count(*), count(distinct municipality_id), sum((judged ->> 'quantity')::numeric) from need
        where open group by 1 having count(*) > 1 order by 2 desc, 1"""
    )
    return [TechnologyAsked(*row) for row in rows]


async def needs_by_country(tx: Transaction, technology: str) -> dict[str, int]:
    """How many open needs of a technology each country has; the most first."""
    rows = await tx.fetch(
        "select country, count(*) from need where open and technology = $1 group by 1 order by 2 desc, 1", technology
    )
    return {row[0]: row[1] for row in rows}


async def needs_of_technologies(tx: Transaction, technologies: Collection[str]) -> dict[str, int]:
    """How many open needs there are of each of these technologies."""
    rows = await tx.fetch(
        "select technology, count(*) from need where open and technology = any($1::text[]) group by 1", sorted(technologies)
    )
    return {row[0]: row[1] for row in rows}
