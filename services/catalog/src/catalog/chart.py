"""The step chart of prices by quantity: where each step begins and ends in percent of the width, where it stands in pixels.

Quantity runs on a log scale, because tiers tend to grow by factors; price runs from the dearest on top to the cheapest.
"""

from decimal import Decimal
from itertools import pairwise
from math import log10
from typing import NamedTuple

from common.contracts.catalog import Prices, Tier

TOP, BOTTOM, AXIS = 34, 124, 156
"""Heights of the dearest step, of the cheapest, and of the axis."""

_NARROWEST = 9.0
"""Percent of the width that a step needs for the figure above it."""


class Step(NamedTuple):
    """One tier: from `left` to `right` percent at height `y`; `drop` is the height of the next one, None for the last."""

    tier: Tier
    left: float
    right: float
    y: float
    drop: float | None


class Band(NamedTuple):
    """From `first` on, up to but not including `until` (None: without end), one unit costs `price`."""

    first: Decimal
    until: Decimal | None
    price: Decimal


def steps(prices: Prices) -> list[Step]:
    """The steps from left to right; none where there is only one price, which needs no picture."""
    tiers = prices.tiers
    if len(tiers) < 2:
        return []
    edges = _edges([tier.quantity for tier in tiers])
    heights = _heights([tier.unit_price for tier in tiers])
    return [
        Step(tier, edges[n], edges[n + 1], heights[n], heights[n + 1] if n + 1 < len(tiers) else None)
        for n, tier in enumerate(tiers)
    ]


def bands(prices: Prices) -> list[Band]:
    """The same in figures, for the table."""
    until = [*(tier.quantity for tier in prices.tiers[1:]), None]
    return [Band(tier.quantity, end, tier.unit_price) for tier, end in zip(prices.tiers, until, strict=True)]


def _edges(quantities: list[Decimal]) -> list[float]:
    """Where the steps begin, and 100 for the end of the last; each step is wide enough for its figure."""
    logs = [log10(quantity) for quantity in quantities]
    widths = [high - low for low, high in pairwise(logs)]
    widths.append(sum(widths) / len(widths))  # the last step has no end; it is shown as wide as the others on average
    narrowest = min(_NARROWEST, 100 / len(widths))
    shares = [max(width / sum(widths) * 100, narrowest) for width in widths]
    scale = 100 / sum(shares)
    edges = [0.0]
    for share in shares:
        edges.append(edges[-1] + share * scale)
    return [*(round(edge, 2) for edge in edges[:-1]), 100.0]


def _heights(prices: list[Decimal]) -> list[float]:
    """Linear in price; a price that is the same everywhere stands in the middle."""
    low, high = min(prices), max(prices)
    if low == high:
        return [(TOP + BOTTOM) / 2] * len(prices)
    return [round(TOP + float((high - price) / (high - low)) * (BOTTOM - TOP), 1) for price in prices]
