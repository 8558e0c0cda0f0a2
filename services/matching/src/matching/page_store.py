"""SQL of what people and machines read: shortlists and proposals, narrowed to what the reader may see.

`Scope` is part of every query: a city's officer sees the city's own needs, a company its own offerings, the others all.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from common.access.auth import Principal
from common.access.permissions import Action, Role
from common.contracts.matching import Match, NeedSummary
from common.exact_json import from_json, load
from common.transaction import Transaction
from matching.domain.sides import Need, Offering, need_from, offering_from


class Scope(NamedTuple):
    """Whose proposals: of all, of one municipality's needs, or of one company's offerings."""

    municipality: str | None = None
    company: str | None = None

    @classmethod
    def of(cls, reader: Principal) -> "Scope":
        if reader.sees_all(Action.SEE_PROPOSALS):
            return cls()
        if reader.role == Role.COMPANY:
            return cls(company=reader.organisation_id or "")
        return cls(municipality=reader.organisation_id or "")


class Filter(NamedTuple):
    """What a list is narrowed to; `technology` may be a group; `found` is "with" or "without" proposals."""

    technology: str | None = None
    country: str | None = None
    found: str | None = None


class Counts(NamedTuple):
    """`proposals`: needs with at least one match, among all that the reader may see; `listed`: needs on the narrowed list."""

    open: int
    proposals: int
    listed: int
    by_group: dict[str, int]
    by_country: dict[str, int]


async def counts(tx: Transaction, scope: Scope, narrowed: Filter) -> Counts:
    """A company sees a need only through its own offerings on the list (`mine`)."""
    rows = await tx.fetch(
        """with seen as (
            select need.*, mine.matches, mine.best from need
            left join lateral (
                select count(*) as matches, max(score) as best from match
                where need_id = need.id and ($2::text is null or company_id = $2)
            ) as mine on true
            where need.open and ($1::text is null or municipality_id = $1) and ($2::text is null or mine.matches > 0)
        )
        select technology_group, country, count(*) as open, count(*) filter (where matches > 0) as proposals,
            count(*) filter (
                where ($3::text is null or technology = $3 or technology_group = $3) and ($4::text is null or country = $4)
                    and ($5::text is null or (matches > 0) = ($5 = 'with'))
            ) as listed
        from seen group by 1, 2""",
        *scope,
        *narrowed,
    )
    by_group: dict[str, int] = {}
    by_country: dict[str, int] = {}
    for row in rows:
        by_group[row["technology_group"]] = by_group.get(row["technology_group"], 0) + row["open"]
        by_country[row["country"]] = by_country.get(row["country"], 0) + row["open"]
    return Counts(
        sum(row["open"] for row in rows),
        sum(row["proposals"] for row in rows),
        sum(row["listed"] for row in rows),
        dict(sorted(by_group.items())),
        dict(sorted(by_country.items(), key=lambda item: (-item[1], item[0]))),
    )


class ListedNeed(NamedTuple):
    """A need on the list of proposals: how many matches the reader sees of it, and the best of them."""

    summary: NeedSummary
    need: Need
    matches: int
    best: Match | None


async def needs(tx: Transaction, scope: Scope, narrowed: Filter, *, skip: int, limit: int) -> list[ListedNeed]:
    """Needs with the best proposals first, those without any last."""
    rows = await tx.fetch(
        """with seen as (
            select need.*, mine.matches, mine.best from need
            left join lateral (
                select count(*) as matches, max(score) as best from match
                where need_id = need.id and ($2::text is null or company_id = $2)
            ) as mine on true
            where need.open and ($1::text is null or municipality_id = $1) and ($2::text is null or mine.matches > 0)
        )
        select summary, judged, matches, (
            select explained from match where need_id = seen.id and ($2::text is null or company_id = $2)
            order by score desc, offering_id limit 1
        ) from seen where ($3::text is null or technology = $3 or technology_group = $3) and ($4::text is null or country = $4)
            and ($5::text is null or (matches > 0) = ($5 = 'with'))
        order by best desc nulls last, id offset $6 limit $7""",
        *scope,
        *narrowed,
        skip,
        limit,
    )
    return [
        ListedNeed(load(NeedSummary, summary), need_from(judged), matches, best and load(Match, best))
        for summary, judged, matches, best in rows
    ]


class Place(NamedTuple):
    """A match and its rank on the need's list, from 1."""

    rank: int
    match: Match


class Shortlist(NamedTuple):
    """A need with the part of its list that the reader sees; `length` counts the whole list."""

    summary: NeedSummary
    need: Need
    open: bool
    as_of: datetime
    places: list[Place]
    length: int


async def shortlist(tx: Transaction, scope: Scope, need_id: str) -> Shortlist | None:
    """None where there is no such need, or it is another municipality's. A company's part of the list may be empty."""
    row = await tx.fetchrow(
        "select summary, judged, open, as_of from need where id = $1 and ($2::text is null or municipality_id = $2)",
        need_id,
        scope.municipality,
    )
    if row is None:
        return None
    rows = await tx.fetch("select company_id, explained from match where need_id = $1 order by score desc, offering_id", need_id)
    places = [
        Place(rank, load(Match, explained))
        for rank, (company_id, explained) in enumerate(rows, start=1)
        if scope.company in (None, company_id)
    ]
    return Shortlist(load(NeedSummary, row["summary"]), need_from(row["judged"]), row["open"], row["as_of"], places, len(rows))


class ShownOffering(NamedTuple):
    """An offering with what it is called and who offers it."""

    offering: Offering
    names: dict[str, str]
    company: dict[str, Any]


async def offering(tx: Transaction, scope: Scope, offering_id: str) -> ShownOffering | None:
    """None where there is none, or it is not the reader's."""
    row = await tx.fetchrow(
        """select judged, names, company from offering
        where id = $1 and ($2::text is null or company ->> 'id' = $2)""",
        offering_id,
        scope.company,
    )
    return None if row is None else _shown(row)


async def offerings_in(tx: Transaction, scope: Scope, field: str) -> list[Offering]:
    """The listed offerings of a field, such as "lighting/lamp", as far as the reader sees them."""
    rows = await tx.fetch(
        """select judged from offering
        where fields @> array[$1::text] and ($2::text is null or company ->> 'id' = $2)""",
        field,
        scope.company,
    )
    return [offering_from(row[0]) for row in rows]


async def shown(tx: Transaction, offering_ids: Sequence[str]) -> dict[str, ShownOffering]:
    """Names and companies of these offerings, by id."""
    rows = await tx.fetch(
        "select judged, names, company from offering join unnest($1::text[]) as asked(id) using (id)", list(offering_ids)
    )
    return {one.offering.id: one for one in map(_shown, rows)}


def _shown(row: Any) -> ShownOffering:
    return ShownOffering(offering_from(row["judged"]), from_json(row["names"]), from_json(row["company"]))


class StoredList(NamedTuple):
    """A shortlist as JSON, as it is announced; the matches narrowed to the reader's."""

    need_id: str
    summary: str
    as_of: datetime
    matches: list[str]


async def stored_lists(tx: Transaction, scope: Scope, *, after: str, limit: int) -> list[StoredList]:
    """Shortlists in the order of their needs' ids, closed needs' empty ones too."""
    rows = await tx.fetch(
        """select id, summary, as_of, array(
            select explained::text from match where need_id = need.id and ($2::text is null or company_id = $2)
            order by score desc, offering_id
        ) from need
        where id > $3 and ($1::text is null or municipality_id = $1) and ($2::text is null or exists (
            select from match where need_id = need.id and company_id = $2
        )) order by id limit $4""",
        *scope,
        after,
        limit,
    )
    return [StoredList(*row) for row in rows]


async def stored_list(tx: Transaction, scope: Scope, need_id: str) -> StoredList | None:
    """One of them."""
    row = await tx.fetchrow(
        """select id, summary, as_of, array(
            select explained::text from match where need_id = need.id and ($2::text is null or company_id = $2)
            order by score desc, offering_id
        ) from need
        where id = $3 and ($1::text is null or municipality_id = $1) and ($2::text is null or exists (
            select from match where need_id = need.id and company_id = $2
        ))""",
        *scope,
        need_id,
    )
    return None if row is None else StoredList(*row)
