"""The points of every outcome as arrays, taken from the facets. Kernels are given them, so a changed facet changes them too."""

from enum import IntEnum, auto
from functools import cache
from typing import NamedTuple

import numpy as np

from matching.domain import facets as f
from matching.domain import price_facet as p
from matching.domain.circumstances import OLDEST_RATE
from matching.domain.prices import LARGEST_TOTAL
from matching.engine.layout import Array


class E(IntEnum):
    """What is earned, by outcome; and the steps between."""

    SAME_TECHNOLOGY = 0
    SAME_GROUP = auto()
    SERVED = auto()
    OF_INTEREST = auto()
    WITHIN_ORDERS = auto()
    ABOVE_MINIMUM = auto()
    BELOW_MAXIMUM = auto()
    NO_LIMITS = auto()
    TOO_FEW = auto()
    TOO_MANY = auto()
    SPARE_1_DAYS = auto()
    SPARE_1 = auto()
    SPARE_2_DAYS = auto()
    SPARE_2 = auto()
    SPARE_3 = auto()
    LATE = auto()
    DAYS_LATE_PER_POINT = auto()
    NO_LEAD_TIME = auto()
    NOTHING_ASKED = auto()
    ALL_MET = auto()
    NO_STANDARD_ASKED = auto()
    ALL_HELD = auto()
    NONE_HELD = auto()
    SHARED_LANGUAGE = auto()
    NO_SHARED_LANGUAGE = auto()
    NO_LANGUAGE = auto()
    NO_BUDGET = auto()
    NO_RATE = auto()
    OLD_RATE = auto()
    NO_PRICE = auto()
    BELOW_FIRST_TIER = auto()
    TOTAL_TOO_LARGE = auto()
    FAR_ABOVE_BUDGET = auto()
    # sums and limits
    POSSIBLE = auto()
    MOST_TECHNOLOGY = auto()
    MOST_COUNTRY = auto()
    MOST_LEAD_TIME = auto()
    MOST_IN_COLD = auto()  # quantity, price and specification together
    MOST_QUANTITY = auto()
    MOST_PRICE = auto()
    MOST_SPECIFICATION = auto()
    OLDEST_RATE_DAYS = auto()


class Points(NamedTuple):
    """`earned[E.…]`; `price[n]`: what a price of more than n-1 and at most n 300ths of the budget earns, up to two budgets."""

    earned: Array
    price: Array
    largest_total: float


@cache
def points() -> Points:
    """From the facets as they are declared now."""
    most = {facet.name: facet.possible for facet in f.FACETS}
    first, second, third = f.SPARES
    if third.days != 0:
        raise ValueError("the last of SPARES is for whoever is just in time")
    earned = np.zeros(len(E), np.int64)
    for outcome, amount in {
        E.SAME_TECHNOLOGY: f.SAME_TECHNOLOGY.points,
        E.SAME_GROUP: f.SAME_GROUP.points,
        E.SERVED: f.SERVED.points,
        E.OF_INTEREST: f.OF_INTEREST.points,
        E.WITHIN_ORDERS: f.WITHIN_ORDERS.points,
        E.ABOVE_MINIMUM: f.ABOVE_MINIMUM.points,
        E.BELOW_MAXIMUM: f.BELOW_MAXIMUM.points,
        E.NO_LIMITS: f.NO_LIMITS.points,
        E.TOO_FEW: f.TOO_FEW.points,
        E.TOO_MANY: f.TOO_MANY.points,
        E.SPARE_1_DAYS: first.days,
        E.SPARE_1: first.points,
        E.SPARE_2_DAYS: second.days,
        E.SPARE_2: second.points,
        E.SPARE_3: third.points,
        E.LATE: f.LATE.points,
        E.DAYS_LATE_PER_POINT: f.DAYS_LATE_PER_POINT,
        E.NO_LEAD_TIME: f.LEAD_TIME_NOT_STATED.points,
        E.NOTHING_ASKED: f.NOTHING_ASKED.points,
        E.ALL_MET: f.ALL_MET.points,
        E.NO_STANDARD_ASKED: f.NO_STANDARD_ASKED.points,
        E.ALL_HELD: f.ALL_HELD.points,
        E.NONE_HELD: f.NONE_HELD.points,
        E.SHARED_LANGUAGE: f.SHARED.points,
        E.NO_SHARED_LANGUAGE: f.NONE_SHARED.points,
        E.NO_LANGUAGE: f.LANGUAGES_NOT_STATED.points,
        E.NO_BUDGET: p.NO_BUDGET[""].points,
        E.NO_RATE: p.NO_RATE[""].points,
        E.OLD_RATE: p.OLD_RATE[""].points,
        E.NO_PRICE: p.NO_PRICE.points,
        E.BELOW_FIRST_TIER: p.BELOW_FIRST_TIER.points,
        E.TOTAL_TOO_LARGE: p.TOTAL_TOO_LARGE.points,
        E.FAR_ABOVE_BUDGET: p.FAR_ABOVE_BUDGET[""].points,
        E.POSSIBLE: f.POSSIBLE,
        E.MOST_TECHNOLOGY: most["technology"],
        E.MOST_COUNTRY: most["country"],
        E.MOST_LEAD_TIME: most["lead_time"],
        E.MOST_IN_COLD: most["quantity"] + most["price"] + most["specification"],
        E.MOST_QUANTITY: most["quantity"],
        E.MOST_PRICE: most["price"],
        E.MOST_SPECIFICATION: most["specification"],
        E.OLDEST_RATE_DAYS: OLDEST_RATE.days,
    }.items():
        earned[outcome] = amount
    price = np.zeros(2 * p.PARTS_OF_BUDGET + 1, np.int64)
    for step in reversed(p.PRICE_STEPS):
        price[: step.at_most + 1] = step.points
    return Points(earned, price, float(LARGEST_TOTAL))
