"""numpy as a peer: all offerings of a need's field at once, column by column.

Done for it: columns lie contiguous by field; gates come first, and only what passes is looked at further; prices, the dearest
part, are compared only where they could still bring an offering among the ten. Prices are compared in floating point, and
again in whole numbers where that is too close to say.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import numpy as np

from bench.matching.engines import Found, Numbers, asked
from bench.matching.records import MONEY, NOT_STATED, QUANTITY, Market
from matching.domain import facets, price_facet
from matching.domain.prices import LARGEST_TOTAL
from matching.domain.shortlist import LENGTH

PARTS = price_facet.PARTS_OF_BUDGET
PRICE_POINTS = np.array(
    [price_facet.price_points(Decimal(parts), Decimal(PARTS)) for parts in range(price_facet.PRICE_STEPS[-1].at_most + 2)],
    np.int64,
)
"""By 300ths of the budget, rounded up; the last is for everything beyond."""
TOO_LARGE = int(LARGEST_TOTAL) * QUANTITY * MONEY
TOO_CLOSE = 1e-9


@contextmanager
def opened(market: Market) -> Iterator["NumpyPeer"]:
    yield NumpyPeer(market)


class NumpyPeer:
    name = "numpy"

    def __init__(self, market: Market) -> None:
        self._market = market
        self._rates = market.lexicon.usable_rates
        offerings = market.offerings
        columns = [name for name in offerings.dtype.names or () if name not in ("id", "fields")]
        self._fields: list[dict[str, Numbers]] = []
        for field in range(len(market.lexicon.fields)):
            rows = offerings[(offerings["fields"] == field).any(axis=1)]
            self._fields.append({name: np.ascontiguousarray(rows[name]) for name in columns})

    def new_needs(self, number: int) -> Found:
        return asked(lambda need: self._best(self._market.needs[need]), number)

    def _best(self, need: Any) -> list[tuple[int, int]]:
        offerings = self._fields[need["field"]]
        country = np.uint64(need["country"])
        served = (offerings["serves"] >> country & np.uint64(1)).astype(bool)
        passes = served | (offerings["interested_in"] >> country & np.uint64(1)).astype(bool)
        met = np.zeros(len(passes), np.int64)
        for at in range(need["requirements"]):
            suits = self._suits(need, offerings, at)
            met += suits
            if need["mandatory"][at]:
                passes &= suits
        rows = np.flatnonzero(passes)
        if not len(rows):
            return []
        points = np.where(served[rows], facets.SERVED.points, facets.OF_INTEREST.points)
        points += np.where(
            (offerings["technologies"][rows] == need["technology"]).any(axis=1),
            facets.SAME_TECHNOLOGY.points,
            facets.SAME_GROUP.points,
        )
        asked_for = int(need["requirements"])
        points += facets.ALL_MET.points * met[rows] // asked_for if asked_for else facets.NOTHING_ASKED.points
        points += self._quantity(need, offerings, rows) + self._lead_time(need, offerings, rows)
        points += self._standards(need, offerings, rows) + self._language(need, offerings, rows)
        if len(rows) > LENGTH:
            least = np.partition(points, -LENGTH)[-LENGTH]
            could = points + price_facet.PRICE.possible >= least
            rows, points = rows[could], points[could]
        points += self._price(need, offerings, rows)
        best = np.lexsort((offerings["rank"][rows], -points))[:LENGTH]
        return list(zip(points[best].tolist(), offerings["rank"][rows[best]].tolist(), strict=True))

    @staticmethod
    def _suits(need: Any, offerings: dict[str, Numbers], at: int) -> Numbers:
        value = offerings["attribute_value"]
        suits = (value >= need["low"][at]) & (value <= need["high"][at])
        if need["low"][at] > need["high"][at]:
            suits = np.isin(value, need["wanted"][at])
        return (suits & (offerings["attribute"] == need["attribute"][at])).any(axis=1)

    @staticmethod
    def _quantity(need: Any, offerings: dict[str, Numbers], rows: Numbers) -> Numbers:
        quantity, minimum, maximum = need["quantity"], offerings["minimum"][rows], offerings["maximum"][rows]
        has_minimum, has_maximum = minimum != NOT_STATED, maximum != NOT_STATED
        return np.select(
            [
                has_minimum & (quantity < minimum),
                has_maximum & (quantity > maximum),
                has_minimum & has_maximum,
                has_minimum,
                has_maximum,
            ],
            [
                facets.TOO_FEW.points * quantity // np.maximum(minimum, 1),
                facets.TOO_MANY.points * maximum // quantity,
                facets.WITHIN_ORDERS.points,
                facets.ABOVE_MINIMUM.points,
                facets.BELOW_MAXIMUM.points,
            ],
            facets.NO_LIMITS.points,
        )

    @staticmethod
    def _lead_time(need: Any, offerings: dict[str, Numbers], rows: Numbers) -> Numbers:
        lead_time = offerings["lead_time"][rows]
        spare = need["days"] - lead_time
        late = np.maximum(0, facets.LATE.points - -spare // facets.DAYS_LATE_PER_POINT)
        in_time = [spare >= step.days for step in facets.SPARES]
        return np.select(
            [lead_time == NOT_STATED, *in_time],
            [facets.LEAD_TIME_NOT_STATED.points, *(step.points for step in facets.SPARES)],
            late,
        )

    @staticmethod
    def _standards(need: Any, offerings: dict[str, Numbers], rows: Numbers) -> Numbers | int:
        asked_for = need["standards"]
        if not asked_for:
            return facets.NO_STANDARD_ASKED.points
        held = np.bitwise_count(offerings["standards"][rows] & asked_for).astype(np.int64)
        return facets.ALL_HELD.points * held // int(asked_for).bit_count()

    @staticmethod
    def _language(need: Any, offerings: dict[str, Numbers], rows: Numbers) -> Numbers:
        offered = offerings["languages"][rows]
        shared = np.where(offered & need["languages"], facets.SHARED.points, facets.NONE_SHARED.points)
        return np.where(offered == 0, facets.LANGUAGES_NOT_STATED.points, shared)

    def _price(self, need: Any, offerings: dict[str, Numbers], rows: Numbers) -> Numbers:
        quantity, budget = int(need["quantity"]), int(need["budget"])
        begins, prices = offerings["tier_quantity"][rows], offerings["tier_price"][rows]
        reached = (begins <= quantity).sum(axis=1)
        all_units = prices[np.arange(len(rows)), np.maximum(reached, 1) - 1].astype(float) * quantity
        total = np.where(offerings["incremental"][rows] == 1, _incremental(begins, prices, reached, quantity), all_units)
        none = np.where(offerings["tiers"][rows] == 0, price_facet.NO_PRICE.points, price_facet.BELOW_FIRST_TIER.points)
        unsure = np.abs(total / TOO_LARGE - 1) < TOO_CLOSE
        too_large = total >= TOO_LARGE
        if budget == NOT_STATED:
            points = np.where(too_large, price_facet.TOTAL_TOO_LARGE.points, price_facet.NO_BUDGET[""].points)
        else:
            origin, target = offerings["currency"][rows], int(need["currency"])
            rate = np.where(origin == target, 1, self._rates[origin])
            other = np.where(origin == target, 1, self._rates[target])
            known = (rate > 0) & (other > 0)
            parts = PARTS * total * other / (float(budget) * QUANTITY * np.maximum(rate, 1))
            unsure |= np.abs(parts - np.round(parts)) <= TOO_CLOSE * np.maximum(parts, 1)
            table = PRICE_POINTS[np.minimum(np.ceil(parts), len(PRICE_POINTS) - 1).astype(np.int64)]
            points = np.where(known & ~too_large, table, price_facet.NO_RATE[""].points)
        points = np.where(reached == 0, none, points)
        for at in np.flatnonzero(unsure & (reached > 0)).tolist():
            points[at] = self._exact(need, offerings, int(rows[at]), int(reached[at]))
        return points

    def _exact(self, need: Any, offerings: dict[str, Numbers], row: int, reached: int) -> int:
        """The same for one offering in whole numbers."""
        quantity = int(need["quantity"])
        prices = offerings["tier_price"][row].tolist()
        if offerings["incremental"][row]:
            begins = [0, *offerings["tier_quantity"][row].tolist()[1:reached], quantity]
            total = sum((begins[at + 1] - begins[at]) * prices[at] for at in range(reached))
        else:
            total = quantity * prices[reached - 1]
        if total >= TOO_LARGE:
            return price_facet.TOTAL_TOO_LARGE.points
        if need["budget"] == NOT_STATED:
            return price_facet.NO_BUDGET[""].points
        origin, target = int(offerings["currency"][row]), int(need["currency"])
        rate, other = (1, 1) if origin == target else (int(self._rates[origin]), int(self._rates[target]))
        if not rate or not other:
            return price_facet.NO_RATE[""].points
        parts = -(-PARTS * total * other // (int(need["budget"]) * QUANTITY * rate))
        return int(PRICE_POINTS[min(parts, len(PRICE_POINTS) - 1)])


def _incremental(begins: Numbers, prices: Numbers, reached: Numbers, quantity: int) -> Numbers:
    """Each tier prices its own units; the first tier also what is below the second's threshold."""
    begins = np.minimum(
        np.concatenate([np.zeros((len(begins), 1)), begins[:, 1:], np.full((len(begins), 1), quantity)], 1), quantity
    )
    return (np.diff(begins, axis=1) * np.where(np.arange(prices.shape[1]) < reached[:, None], prices, 0)).sum(axis=1)
