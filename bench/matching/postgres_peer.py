"""PostgreSQL as a peer: an index of the GIN kind finds the place, and the points are counted in SQL.

Done for it: rows lie in the order of their field and are all in its memory; no parallel workers, no compiler; a plan for each
need, which was quicker than one for all; what is used twice is computed once (`offset 0` keeps steps apart; to price only
what could still come among the ten was slower, as all has to be kept in between); prices are compared in floating point, and
in `numeric` only where that is too close to say. It asks itself in a loop in PL/pgSQL and takes the time there, so that nothing
is counted for the way to it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import numpy as np

from bench.matching.engines import Found, Lists
from bench.matching.numpy_peer import PARTS, PRICE_POINTS, TOO_CLOSE, TOO_LARGE
from bench.matching.records import LOWEST, NOT_STATED, QUANTITY, Market, Records
from matching.domain import facets, price_facet
from matching.domain.shortlist import LENGTH
from musubi import embedded_postgres

SETTINGS = {
    "shared_buffers": "2GB",
    "work_mem": "256MB",
    "maintenance_work_mem": "512MB",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "random_page_cost": "1.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
}
COUNTRIES = 64


@contextmanager
def opened(market: Market) -> Iterator["PostgresPeer"]:
    with embedded_postgres.temporary(settings=SETTINGS) as server:
        peer = PostgresPeer(market, server.dsn())
        asyncio.run(peer.load())
        yield peer


class PostgresPeer:
    name = "PostgreSQL, GIN"

    def __init__(self, market: Market, dsn: str) -> None:
        self._market, self._dsn = market, dsn

    def new_needs(self, number: int) -> Found:
        return asyncio.run(self._ask(number))

    async def _ask(self, number: int) -> Found:
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.fetch("select * from ask($1)", min(number, 100))  # to get warm
            rows = await connection.fetch("select * from ask($1)", number)
        finally:
            await connection.close()
        lists = Lists.empty(number)
        for row in rows:
            lists.put(row["number"], list(zip(row["scores"] or (), row["ranks"] or (), strict=True)))
        return Found(np.array([row["microseconds"] for row in rows]) * 1000, lists)

    async def load(self) -> None:
        market = self._market
        offerings = market.offerings[np.lexsort((market.offerings["technologies"][:, 0], market.offerings["fields"][:, 0]))]
        connection = await asyncpg.connect(self._dsn)
        try:
            await _copy(connection, "offering", offerings, {"places integer[]": _places(offerings)})
            places = (market.needs["field"] * COUNTRIES + market.needs["country"]).tolist()
            await _copy(connection, "need", market.needs, {"place integer": places, "number integer": range(len(places))})
            await connection.execute("create index on offering using gin (places) with (fastupdate = off)")
            await connection.execute("vacuum analyze")
            await connection.execute(_ask_function(market))
        finally:
            await connection.close()


async def _copy(connection: Any, table: str, records: Records, added: dict[str, Any]) -> None:
    """A table with a column for each field of the records; `attribute_3` is the third of several."""
    columns: dict[str, Any] = dict(added)
    for name, (kind, *_) in (records.dtype.fields or {}).items():
        sql = "integer" if kind.base == np.dtype("<i4") else "bigint"
        signed = np.ascontiguousarray(records[name]).view(f"<i{kind.base.itemsize}")
        if name == "wanted":
            for at in range(signed.shape[1]):
                columns[f"wanted_{at + 1} bigint[]"] = [[one for one in row if one != LOWEST] for row in signed[:, at].tolist()]
        elif kind.shape:
            columns.update({f"{name}_{at + 1} {sql}": signed[:, at].tolist() for at in range(kind.shape[0])})
        else:
            columns[f"{name} {sql}"] = signed.tolist()
    await connection.execute(f"create table {table} ({', '.join(columns)})")
    await connection.copy_records_to_table(table, records=zip(*columns.values(), strict=True))


def _places(offerings: Records) -> list[list[int]]:
    """Where it may be proposed: each of its fields with each country of its reach."""
    reach = (offerings["serves"] | offerings["interested_in"]).tolist()
    fields = [sorted({at for at in row if at != NOT_STATED}) for row in offerings["fields"].tolist()]
    countries = {bits: [at for at in range(COUNTRIES) if bits >> at & 1] for bits in set(reach)}
    return [
        [field * COUNTRIES + country for field in own for country in countries[bits]]
        for own, bits in zip(fields, reach, strict=True)
    ]


# The question in SQL -------------------------------------------------------------------------------------------------


def _ask_function(market: Market) -> str:
    tiers = market.offerings.dtype["tier_price"].shape[0]
    attributes = market.offerings.dtype["attribute"].shape[0]
    requirements = market.needs.dtype["attribute"].shape[0]
    met = [_is_met(at, attributes) for at in range(1, requirements + 1)]
    mandatory = "".join(
        f"\n and (n.requirements < {at} or n.mandatory_{at} = 0 or {suits})" for at, suits in enumerate(met, start=1)
    )
    counted = " + ".join(f"(n.requirements >= {at} and {suits})::integer" for at, suits in enumerate(met, start=1))
    return f"""
create function ask(asked integer) returns table (number integer, microseconds bigint, scores integer[], ranks integer[])
language plpgsql as $ask$
declare
  n need;
  begun timestamptz;
begin
  for n in select * from need where need.number < asked order by need.number loop
    begun := clock_timestamp();
    with cheap as (
      select o.rank, o.currency, o.incremental, o.tiers, {_tier_columns(tiers)},
        {_reached("o", tiers)} as reached, {_total("o", tiers, "double precision")} as total,
        {_technology()} + {_country()} + {_quantity()} + {_lead_time()}
        + {_specification(counted)} + {_standards()} + {_language()} as points
      from offering o
      where o.places @> array[n.place]{mandatory}
      offset 0
    ),
    priced as (
      select c.*, {_parts(market, "c.total", "double precision")} as parts from cheap c offset 0
    ),
    best as (
      select c.points + {_price(tiers, market)} as score, c.rank
      from priced c order by 1 desc, 2 limit {LENGTH}
    )
    select array_agg(b.score order by b.score desc, b.rank), array_agg(b.rank order by b.score desc, b.rank)
      into scores, ranks from best b;
    microseconds := extract(epoch from clock_timestamp() - begun) * 1000000;
    number := n.number;
    return next;
  end loop;
end $ask$"""


def _tier_columns(tiers: int) -> str:
    return ", ".join(f"o.tier_quantity_{tier}, o.tier_price_{tier}" for tier in range(1, tiers + 1))


def _is_met(at: int, attributes: int) -> str:
    suits = "(o.attribute_value_{slot} between n.low_{at} and n.high_{at} or o.attribute_value_{slot} = any(n.wanted_{at}))"
    ways = (f"o.attribute_{slot} = n.attribute_{at} and {suits.format(slot=slot, at=at)}" for slot in range(1, attributes + 1))
    return f"({' or '.join(ways)})"


def _technology() -> str:
    same = "n.technology in (o.technologies_1, o.technologies_2)"
    return f"case when {same} then {facets.SAME_TECHNOLOGY.points} else {facets.SAME_GROUP.points} end"


def _country() -> str:
    return f"case when o.serves >> n.country & 1 = 1 then {facets.SERVED.points} else {facets.OF_INTEREST.points} end"


def _quantity() -> str:
    return f"""case when o.minimum >= 0 and n.quantity < o.minimum then {facets.TOO_FEW.points} * n.quantity / o.minimum
 when o.maximum >= 0 and n.quantity > o.maximum then {facets.TOO_MANY.points} * o.maximum / n.quantity
 when o.minimum >= 0 and o.maximum >= 0 then {facets.WITHIN_ORDERS.points}
 when o.minimum >= 0 then {facets.ABOVE_MINIMUM.points}
 when o.maximum >= 0 then {facets.BELOW_MAXIMUM.points} else {facets.NO_LIMITS.points} end::integer"""


def _lead_time() -> str:
    in_time = " ".join(f"when n.days - o.lead_time >= {step.days} then {step.points}" for step in facets.SPARES)
    late = f"greatest(0, {facets.LATE.points} - (o.lead_time - n.days) / {facets.DAYS_LATE_PER_POINT})"
    return f"case when o.lead_time < 0 then {facets.LEAD_TIME_NOT_STATED.points} {in_time} else {late} end"


def _specification(counted: str) -> str:
    nothing = f"when n.requirements = 0 then {facets.NOTHING_ASKED.points}"
    return f"case {nothing} else {facets.ALL_MET.points} * ({counted}) / n.requirements end"


def _standards() -> str:
    held = "bit_count((o.standards & n.standards)::bit(64))"
    share = f"{facets.ALL_HELD.points} * {held} / bit_count(n.standards::bit(64))"
    return f"case when n.standards = 0 then {facets.NO_STANDARD_ASKED.points} else {share} end::integer"


def _language() -> str:
    return f"""case when o.languages = 0 then {facets.LANGUAGES_NOT_STATED.points}
 when o.languages & n.languages <> 0 then {facets.SHARED.points} else {facets.NONE_SHARED.points} end"""


def _reached(row: str, tiers: int) -> str:
    return " + ".join(f"({row}.tier_quantity_{tier} <= n.quantity)::integer" for tier in range(1, tiers + 1))


def _total(row: str, tiers: int, kind: str) -> str:
    """What the quantity costs; the last tier reached, or each tier for its own units. Tiers beyond the last begin at infinity."""
    begin, price = f"{row}.tier_quantity", f"{row}.tier_price"
    all_units = " ".join(f"when {begin}_{tier} <= n.quantity then {price}_{tier}" for tier in range(tiers, 0, -1))
    edges = ["0", *(f"least(n.quantity, {begin}_{tier})" for tier in range(2, tiers + 1)), "n.quantity"]
    each = " + ".join(f"({edges[tier]} - {edges[tier - 1]})::{kind} * {price}_{tier}" for tier in range(1, tiers + 1))
    return f"(case when {row}.incremental = 1 then {each} else n.quantity::{kind} * (case {all_units} end) end)"


def _parts(market: Market, total: str, kind: str) -> str:
    """300ths of the budget; null without a budget or a rate."""
    rates = f"'{{{','.join(map(str, market.lexicon.usable_rates.tolist()))}}}'::bigint[]"
    other, rate = f"nullif(({rates})[n.currency + 1], 0)", f"nullif(({rates})[c.currency + 1], 0)"
    plain = f"{PARTS} * {total} / (n.budget::{kind} * {QUANTITY})"
    exact = f"{PARTS} * {total} * {other} / (n.budget::{kind} * {QUANTITY} * {rate})"
    return f"(case when n.budget < 0 then null when c.currency = n.currency then {plain} else {exact} end)"


def _price(tiers: int, market: Market) -> str:
    table = f"'{{{','.join(map(str, PRICE_POINTS.tolist()))}}}'::integer[]"
    last = len(PRICE_POINTS) - 1
    exact = f"least({last}, {_rounded_up(tiers, market)})"
    return f"""case when c.tiers = 0 then {price_facet.NO_PRICE.points}
 when c.reached = 0 then {price_facet.BELOW_FIRST_TIER.points}
 when c.total >= {TOO_LARGE}::double precision * (1 - {TOO_CLOSE}) and {_total("c", tiers, "numeric")} >= {TOO_LARGE}
   then {price_facet.TOTAL_TOO_LARGE.points}
 when n.budget < 0 then {price_facet.NO_BUDGET[""].points}
 when c.parts is null then {price_facet.NO_RATE[""].points}
 when c.parts > {last} then {PRICE_POINTS[-1]}
 when abs(c.parts - round(c.parts)) <= {TOO_CLOSE} * greatest(1, c.parts) then ({table})[{exact} + 1]
 else ({table})[ceil(c.parts)::integer + 1] end"""


def _rounded_up(tiers: int, market: Market) -> str:
    """The same in whole numbers: `div` of what `numeric` holds without rounding."""
    rates = f"'{{{','.join(map(str, market.lexicon.usable_rates.tolist()))}}}'::bigint[]"
    same = "c.currency = n.currency"
    other = f"(case when {same} then 1 else ({rates})[n.currency + 1] end)"
    rate = f"(case when {same} then 1 else ({rates})[c.currency + 1] end)"
    cost = f"{PARTS} * {_total('c', tiers, 'numeric')} * {other}"
    most = f"(n.budget::numeric * {QUANTITY} * {rate})"
    return f"div({cost} + {most} - 1, {most})::integer"
