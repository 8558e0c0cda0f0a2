"""Published needs and offerings as a market: what cities asked for and what was offered to them, from two JSON files.

The files say what was read, so some things are set here: needs without a quantity are left out; every need is judged 180 days
before its deadline, as the published ones have passed; requirements are welcome, not mandatory, and comparisons that the contract
does not know are left out; every offering is of interest to sell in all countries of the needs. Published prices become tiers.
"""

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.matching.records import Market, packed
from bench.matching.workload import PLACES, TODAY, lexicon
from common.vocabulary import technologies
from matching.domain.sides import Attribute, Named, Need, Offering, Prices, Requirement, Stated, plain

DAYS = 180
COMPARISONS = ("=", ">=", "<=")
LANGUAGES = {one.code: one.language for one in PLACES}


def market(folder: Path, copies: int = 1) -> Market:
    """`real_needs.json` and `real_offerings.json` of the folder; each offering so many times, with ids of their own."""
    needs = [_need(one) for one in _read(folder / "real_needs.json", "needs") if one["quantity"]]
    countries = frozenset(need.country for need in needs)
    published = [_offering(one, countries) for one in _read(folder / "real_offerings.json", "offerings")]
    offerings = [replace(one, id=_id(one.id, copy)) for copy in range(copies) for one in published]
    name = "real" if copies == 1 else f"real, each offering {copies:,} times"
    return packed(name, TODAY, lexicon().rates, needs, offerings)


def _read(path: Path, what: str) -> Sequence[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)[what]


def _id(name: str, copy: int = 0) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/{copy}"))


def _need(read: dict[str, Any]) -> Need:
    budget = read["budget"]
    return Need(
        id=_id(read["id"]),
        technology=read["technology"],
        unit=technologies()[read["technology"]].unit,
        country=read["country"],
        quantity=Decimal(read["quantity"]),
        budget=Decimal(budget["amount"]) if budget else None,
        currency=budget["currency"] if budget else "",
        deadline=TODAY + timedelta(days=DAYS),
        languages=tuple(filter(None, [LANGUAGES.get(read["country"])])),
        requirements=tuple(_requirement(one) for one in read["requirements"] if _is_comparison(one)),
        standards=(),
        open=True,
    )


def _is_comparison(read: dict[str, Any]) -> bool:
    if read["value"] is None or read["op"] not in COMPARISONS:
        return False
    return read["op"] == "=" or not isinstance(read["value"], str)


def _requirement(read: dict[str, Any]) -> Requirement:
    name, unit = read["attribute"], read["unit"] or ""
    return Requirement(plain(name), name, plain(unit), unit, read["op"], (_stated(read["value"]),), mandatory=False)


def _stated(value: Any) -> Stated:
    return Stated.of(value if isinstance(value, str) else Decimal(value))


def _offering(read: dict[str, Any], countries: frozenset[str]) -> Offering:
    serves = frozenset(read["countries_served"])
    return Offering(
        id=read["id"],
        technologies=(read["technology"],),
        unit=technologies()[read["technology"]].unit,
        serves=serves,
        interested_in=countries - serves,
        prices=_prices(read["prices"]),
        minimum_order=None,
        maximum_order=None,
        lead_time_days=None,
        attributes=tuple(_attribute(one) for one in read["attributes"] if one["value"] is not None),
        standards=frozenset(one.key for one in map(_named, (*read["standards"], *read["certificates"]))),
        languages=tuple(sorted({LANGUAGES[country] for country in serves if country in LANGUAGES})),
        listed=True,
    )


def _named(name: str) -> Named:
    return Named(name, plain(name))


def _attribute(read: dict[str, Any]) -> Attribute:
    name, unit = read["name"], read["unit"] or ""
    return Attribute(plain(name), name, plain(unit), unit, _stated(read["value"]))


def _prices(read: Sequence[dict[str, Any]]) -> Prices | None:
    """The prices in the currency and for the thing that most are for; one without a quantity begins at one."""
    usual = Counter((one["currency"], one["per"]) for one in read).most_common(1)
    if not usual:
        return None
    (currency, per), _ = usual[0]
    alike = [one for one in read if (one["currency"], one["per"]) == (currency, per)]
    tiers = {Decimal(one["quantity"] or 1): Decimal(one["amount"]) for one in alike}
    quantities = tuple(sorted(tiers))
    return Prices(currency, "all_units", quantities, tuple(tiers[one] for one in quantities))
