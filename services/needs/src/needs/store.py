"""All SQL of the needs service."""

from datetime import datetime
from typing import NamedTuple

from common.contracts.needs import MunicipalityListed, NeedPosted
from common.transaction import Transaction
from common.vocabulary import technologies
from common.web.addresses import Place


class Filter(NamedTuple):
    """What a list of needs is narrowed to; None narrows nothing. `technology` is a code or a group."""

    technology: str | None = None
    country: str | None = None
    status: str | None = None


class Listed(NamedTuple):
    """A need in a list, with when it was first posted."""

    need: NeedPosted
    posted_at: datetime


class Counts(NamedTuple):
    """How many needs there are, how many pass the filter, and how many each choice of one filter would show beside the others."""

    total: int
    found: int
    by_group: dict[str, int]
    by_country: dict[str, int]
    by_status: dict[str, int]


async def municipality(tx: Transaction, id_: str) -> MunicipalityListed | None:
    fact = await tx.fetchval("select fact from municipality where id = $1", id_)
    return MunicipalityListed.model_validate(fact) if fact else None


async def save_municipality(tx: Transaction, fact: MunicipalityListed, organisation: str, subject: str) -> None:
    await tx.execute(
        """
        insert into municipality (id, organisation, subject, country, fact, listed_at, changed_at)
        values ($1, $2, $3, $4, $5, $6, $6)
        on conflict (id) do update set
            country = excluded.country, fact = excluded.fact, changed_at = excluded.changed_at,
            version = municipality.version + 1
        """,
        fact.id, organisation, subject, fact.country, fact.model_dump(), tx.now,
    )  # fmt: skip


async def municipalities(tx: Transaction, *, country: str | None, after: str, limit: int) -> list[MunicipalityListed]:
    """In the order of their ids, from the one after `after` on."""
    rows = await tx.fetch(
        "select fact from municipality where id > $1 and ($2::text is null or country = $2) order by id limit $3",
        after, country, limit,
    )  # fmt: skip
    return [MunicipalityListed.model_validate(row["fact"]) for row in rows]


async def need(tx: Transaction, id_: str) -> NeedPosted | None:
    fact = await tx.fetchval("select fact from need where id = $1", id_)
    return NeedPosted.model_validate(fact) if fact else None


async def need_with_dates(tx: Transaction, id_: str) -> tuple[NeedPosted, datetime, datetime] | None:
    """The need, when it was first posted, when it last changed."""
    row = await tx.fetchrow("select fact, posted_at, changed_at from need where id = $1", id_)
    return (NeedPosted.model_validate(row["fact"]), row["posted_at"], row["changed_at"]) if row else None


async def save_need(tx: Transaction, fact: NeedPosted, organisation: str, subject: str) -> None:
    await tx.execute(
        """
        insert into need (id, organisation, subject, municipality_id, technology, technology_group, country, deadline,
            status, joint_purchase, fact, posted_at, changed_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
        on conflict (id) do update set
            municipality_id = excluded.municipality_id, technology = excluded.technology,
            technology_group = excluded.technology_group, country = excluded.country, deadline = excluded.deadline,
            status = excluded.status, joint_purchase = excluded.joint_purchase, fact = excluded.fact,
            changed_at = excluded.changed_at, version = need.version + 1
        """,
        fact.id, organisation, subject, fact.municipality.id, fact.technology, technologies()[fact.technology].group,
        fact.municipality.country, fact.deadline, fact.status, fact.joint_purchase, fact.model_dump(), tx.now,
    )  # fmt: skip


async def update_need(tx: Transaction, fact: NeedPosted) -> None:
    """Saves what changed without its partner: its municipality's facts, or its status."""
    await tx.execute(
        """
        update need set country = $2, status = $3, fact = $4, changed_at = $5, version = version + 1
        where id = $1
        """,
        fact.id, fact.municipality.country, fact.status, fact.model_dump(), tx.now,
    )  # fmt: skip


async def open_needs_of(tx: Transaction, municipality_id: str) -> list[NeedPosted]:
    """Locked, so that none of them closes in between."""
    rows = await tx.fetch(
        "select fact from need where municipality_id = $1 and status = 'open' order by id for update", municipality_id
    )
    return [NeedPosted.model_validate(row["fact"]) for row in rows]


async def lock_need(tx: Transaction, id_: str) -> NeedPosted | None:
    fact = await tx.fetchval("select fact from need where id = $1 for update", id_)
    return NeedPosted.model_validate(fact) if fact else None


async def needs(tx: Transaction, narrowed: Filter, *, limit: int, before: Place | None = None, skip: int = 0) -> list[Listed]:
    """Newest first: from the one after `before` on, or without the first `skip`."""
    rows = await tx.fetch(
        """
        select fact, posted_at from need
        where ($1::text is null or technology = $1 or technology_group = $1)
            and ($2::text is null or country = $2)
            and ($3::text is null or status = $3)
            and ($4::timestamptz is null or (posted_at, id) < ($4, $5))
        order by posted_at desc, id desc offset $6 limit $7
        """,
        *narrowed, before and before.at, before and before.id, skip, limit,
    )  # fmt: skip
    return [Listed(NeedPosted.model_validate(row["fact"]), row["posted_at"]) for row in rows]


async def needs_of(tx: Transaction, municipality_id: str, limit: int) -> list[Listed]:
    """A municipality's needs: the open ones first, by deadline."""
    rows = await tx.fetch(
        """
        select fact, posted_at from need where municipality_id = $1
        order by status <> 'open', deadline, id limit $2
        """,
        municipality_id, limit,
    )  # fmt: skip
    return [Listed(NeedPosted.model_validate(row["fact"]), row["posted_at"]) for row in rows]


async def counts(tx: Transaction, narrowed: Filter) -> Counts:
    rows = await tx.fetch(
        """
        select technology_group, country, status, count(*) as needs,
            ($1::text is null or technology_group = $1 or technology = $1) as in_technology,
            ($2::text is null or country = $2) as in_country,
            ($3::text is null or status = $3) as in_status
        from need group by 1, 2, 3, 5, 6, 7
        """,
        *narrowed,
    )
    counted = Counts(0, 0, {}, {}, {})
    total = found = 0
    for row in rows:
        in_technology, in_country, in_status = row["in_technology"], row["in_country"], row["in_status"]
        total += row["needs"]
        found += row["needs"] * (in_technology and in_country and in_status)
        for by, value, shown in (
            (counted.by_group, row["technology_group"], in_country and in_status),
            (counted.by_country, row["country"], in_technology and in_status),
            (counted.by_status, row["status"], in_technology and in_country),
        ):
            by[value] = by.get(value, 0) + row["needs"] * shown
    largest_first = dict(sorted(counted.by_country.items(), key=lambda entry: (-entry[1], entry[0])))
    return counted._replace(total=total, found=found, by_country=largest_first)
