"""The price facet: what the quantity costs under the offering's tiers, against the need's budget.

A price in another currency is compared only through rates that are fresh enough, and the sentence shows rate, day and source.
Points are decided without rounding anything, so that whoever computes them anew comes to the same.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from matching.domain.circumstances import Circumstances, NoRate, Rate, converted, rates_between
from matching.domain.facet import Earned, Facet, Reason
from matching.domain.prices import EXACT, PriceAt, price_at, tier_reached
from matching.domain.sides import Need, Offering, Prices

WITHIN_BUDGET = 15


class PriceStep(NamedTuple):
    """A price of up to so many 300ths of the budget earns so many points."""

    at_most: int
    points: int


PARTS_OF_BUDGET = 300
PRICE_STEPS = (
    *(PriceStep(225 + 15 * lost, 20 - lost) for lost in range(5)),  # a point for every 5 % below the budget
    PriceStep(PARTS_OF_BUDGET, WITHIN_BUDGET),
    *(PriceStep(4 * (90 - points), points) for points in range(WITHIN_BUDGET - 1, 0, -1)),  # down to none at 1.2 budgets
)

# Three ways to say a price; each reason about a price begins with one of them.
_PLAIN_EN = "{unit_price:money currency} per {unit:one} at {quantity:quantity unit} (price tier {tier:number})"
_PLAIN_JA = "{quantity:quantity unit}の単価は{unit_price:money currency}（価格の段階{tier:number}）"
_AVERAGE_EN = (
    "{unit_price:money currency} per {unit:one} on average for {quantity:quantity unit}"
    " (price tier {tier:number}; each tier prices its own units)"
)
_AVERAGE_JA = "{quantity:quantity unit}の平均単価は{unit_price:money currency}（価格の段階{tier:number}まで、段階ごとに計算）"
_RATES_EN = ", about {compared:money budget_currency} ({rates:rates})"
_RATES_JA = "、およそ{compared:money budget_currency}（{rates:rates}）"

_SAYINGS = {
    "": (_PLAIN_EN, _PLAIN_JA),
    "_average": (_AVERAGE_EN, _AVERAGE_JA),
    "_converted": (_PLAIN_EN + _RATES_EN, _PLAIN_JA + _RATES_JA),
    "_average_converted": (_AVERAGE_EN + _RATES_EN, _AVERAGE_JA + _RATES_JA),
}

_Family = dict[str, Reason]
"""One outcome in all the ways in which its price can be said."""


def _family(code: str, points: int, en: str, ja: str, sayings: Callable[[str], bool] = lambda _: True) -> _Family:
    return {
        suffix: Reason(code + suffix, points, said_en + en, said_ja + ja)
        for suffix, (said_en, said_ja) in _SAYINGS.items()
        if sayings(suffix)
    }


def _not_converted(suffix: str) -> bool:
    return "converted" not in suffix


_BUDGET_EN, _BUDGET_JA = "{unit_budget:money budget_currency} per {unit:one}", "予算単価{unit_budget:money budget_currency}"

BELOW_BUDGET = _family(
    "below_budget",
    20,
    f"; the budget is {_BUDGET_EN}, so {{percent:percent}} below.",
    f"。{_BUDGET_JA}より{{percent:percent}}低くなります。",
)
ON_BUDGET = _family(
    "on_budget", WITHIN_BUDGET, f"; just within the budget of {_BUDGET_EN}.", f"。{_BUDGET_JA}にちょうど収まります。"
)
ABOVE_BUDGET = _family(
    "above_budget",
    14,
    f"; the budget is {_BUDGET_EN}, so {{percent:percent}} above.",
    f"。{_BUDGET_JA}より{{percent:percent}}高くなります。",
)
FAR_ABOVE_BUDGET = _family(
    "far_above_budget",
    0,
    f"; more than twice the budget of {_BUDGET_EN}.",
    f"。{_BUDGET_JA}の2倍を超えます。",
)
NO_BUDGET = _family(
    "no_budget",
    10,
    "; the need states no budget to compare it with.",
    "。ニーズに予算の記載がないため、比べていません。",
    _not_converted,
)
NO_RATE = _family(
    "no_rate",
    0,
    "; not compared with the budget in {budget_currency}: no exchange rate for {lacking} is known.",
    "。{lacking}の為替レートがないため、{budget_currency}の予算とは比べていません。",
    _not_converted,
)
OLD_RATE = _family(
    "old_rate",
    0,
    "; not compared with the budget in {budget_currency}: the newest rate for {lacking} is of {rate_day:day}, over 35 days old.",
    "。{lacking}の最新の為替レートは{rate_day:day}のもので35日を過ぎているため、{budget_currency}の予算とは比べていません。",
    _not_converted,
)
NO_PRICE = Reason("no_price", 5, "No price is stated.", "価格の記載がありません。")
BELOW_FIRST_TIER = Reason(
    "below_first_tier",
    5,
    "Its prices begin at {first:quantity unit}; for {quantity:quantity unit} none is stated.",
    "価格の記載は{first:quantity unit}からで、{quantity:quantity unit}の価格はわかりません。",
)
TOTAL_TOO_LARGE = Reason(
    "total_too_large",
    0,
    "Not compared: quantity times price is too large to be meant.",
    "数量と単価の積が大きすぎるため、比べていません。",
)


def _price(need: Need, offering: Offering, circumstances: Circumstances) -> Earned:
    prices = offering.prices
    if prices is None:
        return Earned(NO_PRICE.points, NO_PRICE, {})
    at = price_at(prices, need.quantity)
    if at is None:
        return _no_price_at(need, prices)
    values = {
        "unit_price": at.unit_price,
        "currency": prices.currency,
        "quantity": need.quantity,
        "unit": need.unit,
        "tier": at.tier,
    }
    saying = "_average" if prices.basis == "incremental" else ""
    if need.budget is None:
        reason = NO_BUDGET[saying]
        return Earned(reason.points, reason, values)
    values |= {"unit_budget": need.unit_budget, "budget_currency": need.currency}
    return _against_budget(need.budget, need.currency, prices, at, circumstances, saying, values)


def _no_price_at(need: Need, prices: Prices) -> Earned:
    if tier_reached(prices, need.quantity):
        return Earned(TOTAL_TOO_LARGE.points, TOTAL_TOO_LARGE, {})
    return Earned(
        BELOW_FIRST_TIER.points,
        BELOW_FIRST_TIER,
        {"first": prices.quantities[0], "quantity": need.quantity, "unit": need.unit},
    )


def _against_budget(
    budget: Decimal,
    currency: str,
    prices: Prices,
    at: PriceAt,
    circumstances: Circumstances,
    saying: str,
    values: dict[str, Any],
) -> Earned:
    rates = rates_between(prices.currency, currency, circumstances)
    if isinstance(rates, NoRate):
        reason = (NO_RATE if rates.rate is None else OLD_RATE)[saying]
        day = rates.rate.as_of if rates.rate else None
        return Earned(reason.points, reason, {**values, "lacking": rates.currency, "rate_day": day})
    if rates:
        saying += "_converted"
        values |= {"compared": converted(at.unit_price, prices.currency, rates), "rates": rates}
    cost, budget = _side_by_side(at.total, budget, prices.currency, rates)
    if cost > EXACT.multiply(2, budget):
        reason = FAR_ABOVE_BUDGET[saying]
        return Earned(reason.points, reason, values)
    if cost > budget:
        return Earned(price_points(cost, budget), ABOVE_BUDGET[saying], {**values, "percent": _percent(cost, budget)})
    percent = _percent(cost, budget)
    if percent == 0:
        return Earned(WITHIN_BUDGET, ON_BUDGET[saying], values)
    return Earned(price_points(cost, budget), BELOW_BUDGET[saying], {**values, "percent": percent})


def _side_by_side(total: Decimal, budget: Decimal, origin: str, rates: tuple[Rate, ...]) -> tuple[Decimal, Decimal]:
    """Both in one measure that needs no division: whatever would divide the one multiplies the other."""
    for rate in rates:
        if rate.currency == origin:
            budget = EXACT.multiply(budget, rate.per_usd)
        else:
            total = EXACT.multiply(total, rate.per_usd)
    return total, budget


def price_points(cost: Decimal, budget: Decimal) -> int:
    """The points of a price, both in one measure; none beyond the last step."""
    parts = EXACT.multiply(PARTS_OF_BUDGET, cost)
    return next((step.points for step in PRICE_STEPS if parts <= EXACT.multiply(step.at_most, budget)), 0)


def _percent(cost: Decimal, budget: Decimal) -> int:
    """By how many whole percent of the budget the price is off."""
    off = EXACT.multiply(100, EXACT.subtract(max(cost, budget), min(cost, budget)))
    return int(EXACT.divide_int(off, budget)) if off else 0


PRICE = Facet(
    "price",
    {"en": "Price", "ja": "価格"},
    (
        *BELOW_BUDGET.values(),
        *ON_BUDGET.values(),
        *ABOVE_BUDGET.values(),
        *FAR_ABOVE_BUDGET.values(),
        *NO_BUDGET.values(),
        *NO_RATE.values(),
        *OLD_RATE.values(),
        NO_PRICE,
        BELOW_FIRST_TIER,
        TOTAL_TOO_LARGE,
    ),
    _price,
    ((PARTS_OF_BUDGET,), *PRICE_STEPS),
)
