"""All SQL of the catalog service."""

from datetime import datetime
from typing import NamedTuple

from common.contracts.catalog import CompanyListed, ExchangeRatePublished, OfferingListed
from common.transaction import Transaction
from common.vocabulary import technologies
from common.web.addresses import Place


class Filter(NamedTuple):
    """What a list of offerings is narrowed to; None narrows nothing. `technology` is a code or a group; `country` is where it is
    delivered."""

    technology: str | None = None
    country: str | None = None
    status: str | None = None


class Listed(NamedTuple):
    """An offering in a list, with when it was first listed."""

    offering: OfferingListed
    listed_at: datetime


class Counts(NamedTuple):
    """How many offerings there are, how many pass the filter, and how many each choice of one filter would show beside the rest.

    An offering with several technologies or countries counts under each of them."""

    total: int
    found: int
    by_group: dict[str, int]
    by_country: dict[str, int]
    by_status: dict[str, int]


async def company(tx: Transaction, id_: str) -> CompanyListed | None:
    fact = await tx.fetchval("select fact from company where id = $1", id_)
    return CompanyListed.model_validate(fact) if fact else None


async def save_company(tx: Transaction, fact: CompanyListed, organisation: str, subject: str) -> None:
    await tx.execute(
        """
        insert into company (id, organisation, subject, country, fact, listed_at, changed_at)
        values ($1, $2, $3, $4, $5, $6, $6)
        on conflict (id) do update set
            country = excluded.country, fact = excluded.fact, changed_at = excluded.changed_at,
            version = company.version + 1
        """,
        fact.id, organisation, subject, fact.country, fact.model_dump(), tx.now,
    )  # fmt: skip


async def companies(tx: Transaction, *, country: str | None, after: str, limit: int) -> list[CompanyListed]:
    """In the order of their ids, from the one after `after` on."""
    rows = await tx.fetch(
        "select fact from company where id > $1 and ($2::text is null or country = $2) order by id limit $3",
        after, country, limit,
    )  # fmt: skip
    return [CompanyListed.model_validate(row["fact"]) for row in rows]


async def offering(tx: Transaction, id_: str) -> OfferingListed | None:
    fact = await tx.fetchval("select fact from offering where id = $1", id_)
    return OfferingListed.model_validate(fact) if fact else None


async def offering_with_dates(tx: Transaction, id_: str) -> tuple[OfferingListed, datetime, datetime] | None:
    """The offering, when it was first listed, when it last changed."""
    row = await tx.fetchrow("select fact, listed_at, changed_at from offering where id = $1", id_)
    return (OfferingListed.model_validate(row["fact"]), row["listed_at"], row["changed_at"]) if row else None


async def save_offering(tx: Transaction, fact: OfferingListed, organisation: str, subject: str) -> None:
    groups = sorted({technologies()[code].group for code in fact.technologies})
    await tx.execute(
        """
        insert into offering (id, organisation, subject, company_id, technologies, technology_groups, countries, status,
            fact, listed_at, changed_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
        on conflict (id) do update set
            company_id = excluded.company_id, technologies = excluded.technologies,
            technology_groups = excluded.technology_groups, countries = excluded.countries, status = excluded.status,
            fact = excluded.fact, changed_at = excluded.changed_at, version = offering.version + 1
        """,
        fact.id, organisation, subject, fact.company.id, fact.technologies, groups, fact.countries_served, fact.status,
        fact.model_dump(), tx.now,
    )  # fmt: skip


async def update_offering(tx: Transaction, fact: OfferingListed) -> None:
    """Saves what changed with its company."""
    await tx.execute(
        "update offering set fact = $2, changed_at = $3, version = version + 1 where id = $1",
        fact.id, fact.model_dump(), tx.now,
    )  # fmt: skip


async def listed_offerings_of(tx: Transaction, company_id: str) -> list[OfferingListed]:
    """Locked, so that none of them changes in between."""
    rows = await tx.fetch(
        "select fact from offering where company_id = $1 and status = 'listed' order by id for update", company_id
    )
    return [OfferingListed.model_validate(row["fact"]) for row in rows]


async def offerings(tx: Transaction, narrowed: Filter, *, limit: int, before: Place | None = None, skip: int = 0) -> list[Listed]:
    """Newest first: from the one after `before` on, or without the first `skip`."""
    rows = await tx.fetch(
        """
        select fact, listed_at from offering
        where ($1::text is null or technologies @> array[$1] or technology_groups @> array[$1])
            and ($2::text is null or countries @> array[$2])
            and ($3::text is null or status = $3)
            and ($4::timestamptz is null or (listed_at, id) < ($4, $5))
        order by listed_at desc, id desc offset $6 limit $7
        """,
        *narrowed, before and before.at, before and before.id, skip, limit,
    )  # fmt: skip
    return [Listed(OfferingListed.model_validate(row["fact"]), row["listed_at"]) for row in rows]


async def offerings_of(tx: Transaction, company_id: str, limit: int) -> list[OfferingListed]:
    """A company's offerings: the listed ones first, newest first."""
    rows = await tx.fetch(
        """
        select fact from offering where company_id = $1
        order by status <> 'listed', listed_at desc, id desc limit $2
        """,
        company_id, limit,
    )  # fmt: skip
    return [OfferingListed.model_validate(row["fact"]) for row in rows]


async def counts(tx: Transaction, narrowed: Filter) -> Counts:
    rows = await tx.fetch(
        """
        with judged as (
            select technology_groups, countries, status,
                ($1::text is null or technologies @> array[$1] or technology_groups @> array[$1]) as in_technology,
                ($2::text is null or countries @> array[$2]) as in_country,
                ($3::text is null or status = $3) as in_status
            from offering
        )
        select 'total' as what, '' as value, count(*) as number from judged
        union all
        select 'found', '', count(*) from judged where in_technology and in_country and in_status
        union all
        select 'group', value, count(*) from judged, unnest(technology_groups) as value
            where in_country and in_status group by value
        union all
        select 'country', value, count(*) from judged, unnest(countries) as value
            where in_technology and in_status group by value
        union all
        select 'status', status, count(*) from judged where in_technology and in_country group by status
        """,
        *narrowed,
    )
    of: dict[str, dict[str, int]] = {"total": {}, "found": {}, "group": {}, "country": {}, "status": {}}
    for row in rows:
        of[row["what"]][row["value"]] = row["number"]
    return Counts(of["total"][""], of["found"][""], of["group"], _largest_first(of["country"]), of["status"])


def _largest_first(counted: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counted.items(), key=lambda entry: (-entry[1], entry[0])))


async def exchange_rate(tx: Transaction, currency: str) -> ExchangeRatePublished | None:
    fact = await tx.fetchval("select fact from exchange_rate where currency = $1", currency)
    return ExchangeRatePublished.model_validate(fact) if fact else None


async def save_exchange_rate(tx: Transaction, fact: ExchangeRatePublished) -> None:
    await tx.execute(
        """
        insert into exchange_rate (currency, as_of, fact) values ($1, $2, $3)
        on conflict (currency) do update set as_of = excluded.as_of, fact = excluded.fact
        """,
        fact.currency, fact.as_of, fact.model_dump(),
    )  # fmt: skip


async def exchange_rates(tx: Transaction) -> list[ExchangeRatePublished]:
    """All of them, by currency."""
    rows = await tx.fetch("select fact from exchange_rate order by currency")
    return [ExchangeRatePublished.model_validate(row["fact"]) for row in rows]
