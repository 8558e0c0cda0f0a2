"""What a quantity costs under price tiers."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact

from matching.domain.sides import Prices

LARGEST_TOTAL = Decimal(10) ** 18
"""Contracts carry amounts below this; a larger product of quantity and price is surely a slip of units."""
EXACT = Context(prec=200, traps=[Inexact])
"""For products of what contracts carry: nothing is rounded, and it raises rather than round."""
_SIX_PLACES = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class PriceAt:
    """The price at one quantity. `tier` counts from 1. With incremental tiers `unit_price` is the true average."""

    unit_price: Decimal
    total: Decimal
    tier: int


def price_at(prices: Prices, quantity: Decimal) -> PriceAt | None:
    """What `quantity` costs; None below the first tier, where no price is stated, and beyond `LARGEST_TOTAL`."""
    tier = tier_reached(prices, quantity)
    if tier == 0:
        return None
    if prices.basis == "all_units":
        unit_price = prices.unit_prices[tier - 1]
        total = EXACT.multiply(unit_price, quantity)
    else:
        total = _each_tier_prices_its_own(prices, quantity, tier)
        unit_price = total / quantity
    return None if total >= LARGEST_TOTAL else PriceAt(unit_price, total, tier)


def tier_reached(prices: Prices, quantity: Decimal) -> int:
    """The number of the tier that `quantity` reaches, from 1; 0 below the first."""
    tier = 0
    for threshold in prices.quantities:
        if threshold > quantity:
            break
        tier += 1
    return tier


def _each_tier_prices_its_own(prices: Prices, quantity: Decimal, tier: int) -> Decimal:
    """What is below a tier's threshold costs the tier before; what is below the second threshold costs the first tier."""
    begins = (Decimal(0), *prices.quantities[1:tier])
    ends = (*prices.quantities[1:tier], quantity)
    total = Decimal(0)
    for begin, end, price in zip(begins, ends, prices.unit_prices, strict=False):
        total = EXACT.add(total, EXACT.multiply(EXACT.subtract(end, begin), price))
    return total


def six_places(amount: Decimal) -> Decimal:
    """As contracts carry amounts; half goes up."""
    return amount.quantize(_SIX_PLACES, ROUND_HALF_UP).normalize() + Decimal(0)
