"""A judged pair as it is stored and announced: every facet with its points, its figures and its sentence in both languages.

The result is JSON that reads as `contracts.matching.Match`; it is made thousands of times, so without a model in between (a
test reads it back through the contract).
"""

import hashlib
from typing import Any, NamedTuple

import msgspec

from common.contracts.matching import NeedSummary
from common.contracts.needs import NeedPosted
from common.exact_json import to_json
from matching.domain.changes import Said
from matching.domain.facets import FACETS
from matching.domain.near_misses import NearMiss
from matching.domain.prices import price_at, six_places
from matching.domain.shortlist import Judged
from matching.domain.sides import Need, Offering
from matching.domain.words import as_stored, sentences

DAYS_THAT_GO_BY = frozenset({"left", "spare", "late"})
"""Figures that change by themselves every night; they are no news."""


class Explained(NamedTuple):
    """A match as JSON, and a fingerprint that tells whether it says something else than before, but for the days that went by."""

    said: str
    fingerprint: bytes


def explained(need: Need, judged: Judged, names: str, company: str) -> Explained:
    """The match with its reasons. `names` and `company` are JSON: what the offering is called and who offers it."""
    offering = judged.offering
    facets = [
        {
            "facet": facet.name,
            "earned": one.points,
            "possible": facet.possible,
            "reason": one.reason.code,
            "values": as_stored(one.values),
        }
        for facet, one in zip(FACETS, judged.earned, strict=True)
    ]
    match: dict[str, Any] = {
        "offering_id": offering.id,
        "offering": msgspec.Raw(names.encode()),
        "company": msgspec.Raw(company.encode()),
        "score": judged.rank.score,
        "price": price_of(need, offering),
        "lead_time_days": offering.lead_time_days,
    }
    still = [
        {**facet, "values": {name: value for name, value in facet["values"].items() if name not in DAYS_THAT_GO_BY}}
        for facet in facets
    ]
    said = [{**facet, "words": sentences(one.reason, one.values)} for facet, one in zip(facets, judged.earned, strict=True)]
    return Explained(
        to_json({**match, "facets": said}).decode(), hashlib.sha256(to_json({**match, "facets": still})).digest()[:16]
    )


def need_summary(fact: NeedPosted) -> NeedSummary:
    """The need as its list announces it."""
    unit_budget = fact.unit_budget
    return NeedSummary(
        **{name: getattr(fact, name) for name in NeedSummary.model_fields if name != "unit_budget"},
        unit_budget=None if unit_budget is None else six_places(unit_budget),
    )


def as_json(said: Said) -> dict[str, Any]:
    """A reason outside of the facets: its code, its figures and its sentence in both languages."""
    return {"reason": said.reason.code, "values": as_stored(said.values), "words": sentences(said.reason, said.values)}


def near_miss_as_json(miss: NearMiss, names: str, company: str) -> dict[str, Any]:
    """What nearly fits: each obstacle with the change that takes it away and who can make it, and the score after all."""
    return {
        "offering_id": miss.offering.id,
        "offering": msgspec.Raw(names.encode()),
        "company": msgspec.Raw(company.encode()),
        "changes": [{"obstacle": as_json(one.obstacle), "change": as_json(one.what), "who": one.who} for one in miss.changes],
        "score_after": miss.score_after,
    }


def price_of(need: Need, offering: Offering) -> dict[str, Any] | None:
    """The price at the need's quantity as `contracts.matching.PriceAtQuantity`, as far as one is stated for it."""
    prices = offering.prices
    at = prices and price_at(prices, need.quantity)
    if not prices or not at:
        return None
    return {
        "unit_price": {"amount": six_places(at.unit_price), "currency": prices.currency},
        "total": {"amount": six_places(at.total), "currency": prices.currency},
        "tier": at.tier,
        "tiers": len(prices.quantities),
        "basis": prices.basis,
    }
