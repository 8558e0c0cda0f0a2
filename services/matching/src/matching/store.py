"""All SQL of what matching knows: locks, needs, offerings and exchange rates.

Everything is read and written for many rows at once. The lists are in `list_store`, what pages read in `page_store`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from common.transaction import Transaction
from matching.domain.circumstances import Rate, Rates
from matching.domain.places import fields_of
from matching.domain.sides import Need, Offering, as_json, offering_from

MATCHING_LOCK = 0x6D617463
"""Advisory locks of matching: this number, and the hash of the technology group."""


# Locks -----------------------------------------------------------------------------------------------------------------


async def lock_groups(tx: Transaction, groups: Iterable[str]) -> None:
    """Wait until nobody else works on these technology groups, until the end of the transaction.

    In one order for everybody, so that two never wait for each other. What is read afterwards is what the others committed.
    """
    await tx.execute(
        """select pg_advisory_xact_lock($1, hash) from (
            select distinct hashtext(name) as hash from unnest($2::text[]) as asked(name) order by hash
        ) as sorted""",
        MATCHING_LOCK,
        list(groups),
    )


# Needs -----------------------------------------------------------------------------------------------------------------


class NeedRow(NamedTuple):
    """A need as it is kept. `summary` is the JSON that is announced with its list."""

    need: Need
    municipality_id: str
    open: bool
    summary: str
    trace: bytes
    as_of: datetime
    today: date


async def save_needs(tx: Transaction, rows: Sequence[NeedRow]) -> None:
    """Keep these needs, new or changed; each id once. As of when their lists are is left to whoever searches them."""
    rows = sorted(rows, key=lambda row: row.need.id)
    await tx.execute(
        """insert into need (id, technology, technology_group, unit, country, currency, municipality_id, open, judged, summary,
            trace, as_of, today)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[],
            $9::json[], $10::json[], $11::bytea[], $12::timestamptz[], $13::date[])
        on conflict (id) do update set technology = excluded.technology, technology_group = excluded.technology_group,
            unit = excluded.unit, country = excluded.country, currency = excluded.currency,
            municipality_id = excluded.municipality_id, open = excluded.open, judged = excluded.judged,
            summary = excluded.summary, trace = excluded.trace""",
        [row.need.id for row in rows],
        [row.need.technology for row in rows],
        [row.need.group for row in rows],
        [row.need.unit for row in rows],
        [row.need.country for row in rows],
        [row.need.currency for row in rows],
        [row.municipality_id for row in rows],
        [row.open for row in rows],
        [as_json(row.need) for row in rows],
        [row.summary for row in rows],
        [row.trace for row in rows],
        [row.as_of for row in rows],
        [row.today for row in rows],
    )


async def groups_of_needs(tx: Transaction, need_ids: Collection[str]) -> dict[str, str]:
    """The technology group of each of these that is known."""
    rows = await tx.fetch("select id, technology_group from need where id = any($1::text[])", list(need_ids))
    return {row[0]: row[1] for row in rows}


async def needs_belonging(tx: Transaction, places: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these (group, need) belong together now, until the end of the transaction: only then is the list the group's to
    change. A need that went to another group has its list from there."""
    rows = await tx.fetch(
        """select technology_group, id from need where id = any($1::text[]) order by id for no key update""",
        [need_id for _, need_id in places],
    )
    return {(group, need_id) for group, need_id in rows}.intersection(places)


class Day(NamedTuple):
    """A need of a group is judged for that day there, and still open then or not."""

    group: str
    need_id: str
    today: date
    open: bool


async def set_as_of(tx: Transaction, as_of: datetime, days: Collection[Day]) -> None:
    """These are searched anew as of this moment, where they still belong to the group."""
    rows = sorted(days, key=lambda day: day.need_id)
    await tx.execute(
        """update need set as_of = $1, today = x.today, open = x.open
        from unnest($2::text[], $3::text[], $4::date[], $5::bool[]) as x(technology_group, id, today, open)
        where (need.technology_group, need.id) = (x.technology_group, x.id)""",
        as_of,
        [row.group for row in rows],
        [row.need_id for row in rows],
        [row.today for row in rows],
        [row.open for row in rows],
    )


async def timezones(tx: Transaction, need_ids: Collection[str]) -> dict[str, str]:
    """The time zone of the deadline of each of these needs."""
    rows = await tx.fetch("select id, summary #>> '{municipality,timezone}' from need where id = any($1::text[])", list(need_ids))
    return {row[0]: row[1] for row in rows}


async def needs_comparing(tx: Transaction, currencies: Collection[str]) -> list[tuple[str, str]]:
    """The open needs whose prices may be compared through a rate of these currencies: their groups and ids."""
    rows = await tx.fetch(
        """select technology_group, id from need where open and currency = any($1::text[])
        union
        select need.technology_group, need.id from offering
        join need on need.open and need.currency <> '' and need.currency <> offering.currency
            and offering.fields @> array[need.technology_group || '/' || need.unit || '/' || need.country]
        where offering.currency = any($1::text[])""",
        list(currencies),
    )
    return [(group, need_id) for group, need_id in rows]


# Offerings -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfferingRow:
    """An offering as it is kept; `names` and `company` are JSON, as they are announced."""

    offering: Offering
    names: str
    company: str
    trace: bytes

    def says_the_same_as(self, other: "OfferingRow | None") -> bool:
        """Whether no list can look different for it."""
        return other is not None and (self.offering, self.names, self.company) == (
            other.offering,
            other.names,
            other.company,
        )


async def offerings(tx: Transaction, offering_ids: Collection[str]) -> dict[str, OfferingRow]:
    """These offerings as they are kept, by id."""
    rows = await tx.fetch(
        "select id, judged, names, company, trace from offering join unnest($1::text[]) as asked(id) using (id)",
        list(offering_ids),
    )
    return {id_: OfferingRow(offering_from(judged), names, company, trace) for id_, judged, names, company, trace in rows}


async def save_offerings(tx: Transaction, rows: Sequence[OfferingRow]) -> None:
    """Keep these offerings, new or changed; each id once."""
    rows = sorted(rows, key=lambda row: row.offering.id)
    await tx.execute(
        """insert into offering (id, groups, fields, currency, judged, names, company, trace)
        select id, string_to_array(groups, ','), coalesce(string_to_array(nullif(fields, ''), ','), '{}'), currency, judged,
            names, company, trace
        from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::json[], $6::json[], $7::json[], $8::bytea[])
            as x(id, groups, fields, currency, judged, names, company, trace)
        on conflict (id) do update set groups = excluded.groups, fields = excluded.fields, currency = excluded.currency,
            judged = excluded.judged, names = excluded.names, company = excluded.company, trace = excluded.trace""",
        [row.offering.id for row in rows],
        [",".join(sorted(row.offering.groups)) for row in rows],
        [",".join(fields_of(row.offering)) for row in rows],
        [row.offering.prices.currency if row.offering.prices else "" for row in rows],
        [as_json(row.offering) for row in rows],
        [row.names for row in rows],
        [row.company for row in rows],
        [row.trace for row in rows],
    )


class Label(NamedTuple):
    """What an offering is called and who offers it; `names` and `company` are JSON."""

    names: str
    company: str
    company_id: str


async def labels(tx: Transaction, offering_ids: Collection[str]) -> dict[str, Label]:
    """The labels of these offerings, by id."""
    rows = await tx.fetch(
        "select id, names, company, company ->> 'id' from offering join unnest($1::text[]) as asked(id) using (id)",
        list(offering_ids),
    )
    return {id_: Label(*label) for id_, *label in rows}


async def traces_of_listed(tx: Transaction, need_id: str) -> list[bytes]:
    """The traceparents of the events that brought the offerings on this need's list."""
    rows = await tx.fetch(
        "select trace from match join offering on offering.id = offering_id where need_id = $1 order by offering_id", need_id
    )
    return [row[0] for row in rows]


# Rates -----------------------------------------------------------------------------------------------------------------


async def rates(tx: Transaction) -> Rates:
    """The newest rate of each currency."""
    rows = await tx.fetch("select currency, per_usd, as_of, source from rate")
    return {row["currency"]: Rate(*row) for row in rows}


async def save_rates(tx: Transaction, newest: Sequence[Rate]) -> list[str]:
    """Keep these rates; returns the currencies whose rate is another than before."""
    newest = sorted(newest, key=lambda rate: rate.currency)
    rows = await tx.fetch(
        """insert into rate (currency, per_usd, as_of, source)
        select * from unnest($1::text[], $2::numeric[], $3::date[], $4::text[])
        on conflict (currency) do update set per_usd = excluded.per_usd, as_of = excluded.as_of, source = excluded.source
            where (rate.per_usd, rate.as_of, rate.source) <> (excluded.per_usd, excluded.as_of, excluded.source)
        returning currency""",
        [rate.currency for rate in newest],
        [rate.per_usd for rate in newest],
        [rate.as_of for rate in newest],
        [rate.source for rate in newest],
    )
    return [row[0] for row in rows]
