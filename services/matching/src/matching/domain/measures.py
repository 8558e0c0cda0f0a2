"""What a company may do a little or much of for an offering: shorten its lead time, widen its order limits, lower its prices.

Going farther never loses a point in any facet, so a larger step keeps what a smaller one brings.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

from matching.domain.changes import says
from matching.domain.circumstances import Circumstances
from matching.domain.facet import Reason
from matching.domain.facets import FACETS, LATE, SPARES, TOO_FEW, TOO_MANY
from matching.domain.price_facet import ABOVE_BUDGET
from matching.domain.sides import Need, Offering

LEAD_TIME = says(
    "lead_time",
    "Deliver within {days:days} instead of {before:days}",
    "納期を{before:days}から{days:days}に縮める",
)
STATE_LEAD_TIME = says("state_lead_time", "State a lead time of {days:days} or less", "納期を記載する（{days:days}以内の場合）")
SMALLER_ORDERS = says(
    "smaller_orders",
    "Take orders from {limit:quantity unit} on instead of {before:number}",
    "最小注文を{before:number}から{limit:quantity unit}に下げる",
)
LARGER_ORDERS = says(
    "larger_orders",
    "Take orders of up to {limit:quantity unit} instead of {before:number}",
    "最大注文を{before:number}から{limit:quantity unit}に上げる",
)
LOWER_PRICE = says("lower_price", "Lower the prices by {percent:percent}", "価格を{percent:percent}下げる")

MOST_BELOW = 50
"""Percent. Nobody gives away more than half of a price."""

_FACETS = {facet.name: facet for facet in FACETS}


class Target(NamedTuple):
    """How far the measure has to go for one need: a larger `size` is farther. `mends`: what counts against it now would not."""

    size: Decimal
    mends: bool


@dataclass(frozen=True, slots=True)
class Measure:
    """`targets` are the sizes that may do for a need, the smallest first; `after` is the offering with the measure taken."""

    reason: Reason
    targets: Callable[[Need, Offering, Circumstances], Iterator[Target]]
    after: Callable[[Offering, Decimal], Offering]
    values: Callable[[Offering, Decimal], dict[str, Any]]


# Lead time: the size is minus the days ---------------------------------------------------------------------------------


def _days(need: Need, offering: Offering, circumstances: Circumstances) -> Iterator[Target]:
    """Just in time, and then as early as earns more."""
    before = offering.lead_time_days
    left = (need.deadline - circumstances.today).days
    late = _FACETS["lead_time"].earn(need, offering, circumstances).reason is LATE
    for spare in sorted(step.days for step in SPARES):
        days = left - spare
        if days >= 0 and (before is None or days < before):
            yield Target(Decimal(-days), mends=late)


def _within_days(offering: Offering, size: Decimal) -> Offering:
    return replace(offering, lead_time_days=int(-size))


def _shorter(need: Need, offering: Offering, circumstances: Circumstances) -> Iterator[Target]:
    return _days(need, offering, circumstances) if offering.lead_time_days is not None else iter(())


def _stated(need: Need, offering: Offering, circumstances: Circumstances) -> Iterator[Target]:
    return _days(need, offering, circumstances) if offering.lead_time_days is None else iter(())


# Order limits: the size is minus the smallest order, or the largest ----------------------------------------------------


def _fewer(need: Need, offering: Offering, circumstances: Circumstances) -> Iterator[Target]:
    if _FACETS["quantity"].earn(need, offering, circumstances).reason is TOO_FEW:
        yield Target(-need.quantity, mends=True)


def _more(need: Need, offering: Offering, circumstances: Circumstances) -> Iterator[Target]:
    if _FACETS["quantity"].earn(need, offering, circumstances).reason is TOO_MANY:
        yield Target(need.quantity, mends=True)


# Price: the size is the percent taken off ------------------------------------------------------------------------------


def _cheaper(need: Need, offering: Offering, circumstances: Circumstances) -> Iterator[Target]:
    """Down to the budget. What costs more than twice as much is out of reach."""
    earned = _FACETS["price"].earn(need, offering, circumstances)
    if earned.reason not in ABOVE_BUDGET.values():
        return
    price, budget = earned.values.get("compared", earned.values["unit_price"]), earned.values["unit_budget"]
    about = Decimal(int((price - budget) * 100 / price))  # of figures made to be said; the facet has the last word
    while about <= MOST_BELOW:
        if _FACETS["price"].earn(need, _with_prices_lowered(offering, about), circumstances).reason not in ABOVE_BUDGET.values():
            yield Target(about, mends=True)
            return
        about += 1


def _with_prices_lowered(offering: Offering, size: Decimal) -> Offering:
    prices = offering.prices
    if prices is None:
        raise ValueError("prices that are not stated cannot be lowered")
    return replace(offering, prices=replace(prices, unit_prices=tuple(one * (100 - size) / 100 for one in prices.unit_prices)))


MEASURES = (
    Measure(
        LEAD_TIME,
        _shorter,
        _within_days,
        lambda offering, size: {"days": int(-size), "before": offering.lead_time_days},
    ),
    Measure(STATE_LEAD_TIME, _stated, _within_days, lambda _, size: {"days": int(-size)}),
    Measure(
        SMALLER_ORDERS,
        _fewer,
        lambda offering, size: replace(offering, minimum_order=-size),
        lambda offering, size: {"limit": -size, "before": offering.minimum_order, "unit": offering.unit},
    ),
    Measure(
        LARGER_ORDERS,
        _more,
        lambda offering, size: replace(offering, maximum_order=size),
        lambda offering, size: {"limit": size, "before": offering.maximum_order, "unit": offering.unit},
    ),
    Measure(LOWER_PRICE, _cheaper, _with_prices_lowered, lambda _, size: {"percent": int(size)}),
)
