"""A judged pair as it is stored and announced: every facet with its points, its figures and its sentence in both languages."""

from common.contracts.catalog import Supplier
from common.contracts.matching import FacetScore, Match, PriceAtQuantity
from common.contracts.values import Money
from matching.domain.facets import FACETS
from matching.domain.prices import price_at, six_places
from matching.domain.shortlist import Judged
from matching.domain.sides import Need, Offering
from matching.domain.words import as_stored, sentences


def explained(need: Need, judged: Judged, names: dict[str, str], company: Supplier) -> Match:
    """The match with its reasons. `names` and `company` are what the offering is called and who offers it."""
    offering = judged.offering
    return Match(
        offering_id=offering.id,
        offering=names,
        company=company,
        score=judged.rank.score,
        facets=[
            FacetScore(
                facet=facet.name,
                earned=one.points,
                possible=facet.possible,
                reason=one.reason.code,
                values=as_stored(one.values),
                words=sentences(one.reason, one.values),
            )
            for facet, one in zip(FACETS, judged.earned, strict=True)
        ],
        price=price_of(need, offering),
        lead_time_days=offering.lead_time_days,
    )


def price_of(need: Need, offering: Offering) -> PriceAtQuantity | None:
    """The price at the need's quantity, as far as one is stated for it."""
    prices = offering.prices
    at = prices and price_at(prices, need.quantity)
    if not prices or not at:
        return None
    return PriceAtQuantity(
        unit_price=Money(amount=six_places(at.unit_price), currency=prices.currency),
        total=Money(amount=six_places(at.total), currency=prices.currency),
        tier=at.tier,
        tiers=len(prices.quantities),
        basis=prices.basis,
    )
