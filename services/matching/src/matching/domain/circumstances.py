"""What a match depends on besides its two sides: the day for which it is judged, and the exchange rates known then."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

OLDEST_RATE = timedelta(days=35)
"""A rate that is older on the day of judgement is not used."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One US dollar bought `per_usd` units of `currency` on `as_of`, says `source`."""

    currency: str
    per_usd: Decimal
    as_of: date
    source: str


Rates = Mapping[str, Rate]
"""The newest rate of each currency. The US dollar needs none."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """`today` is the calendar day at the municipality."""

    today: date
    rates: Rates


@dataclass(frozen=True, slots=True)
class NoRate:
    """Why an amount cannot be converted: the rate of `currency` is missing, or too old (then `rate` is it)."""

    currency: str
    rate: Rate | None = None


def rates_between(origin: str, target: str, circumstances: Circumstances) -> tuple[Rate, ...] | NoRate:
    """The rates by which an amount in `origin` becomes one in `target`, through the dollar; none for the same currency."""
    if origin == target:
        return ()
    used: list[Rate] = []
    for currency in (origin, target):
        if currency == "USD":
            continue
        rate = circumstances.rates.get(currency)
        if rate is None or circumstances.today - rate.as_of > OLDEST_RATE:
            return NoRate(currency, rate)
        used.append(rate)
    return tuple(used)


def converted(amount: Decimal, origin: str, used: tuple[Rate, ...]) -> Decimal:
    """The amount in the other currency; `used` comes from `rates_between(origin, …)`. Not rounded to the currency's places."""
    for rate in used:
        amount = amount / rate.per_usd if rate.currency == origin else amount * rate.per_usd
    return amount


def day_at(moment: datetime, timezone: str) -> date:
    """The calendar day there."""
    return moment.astimezone(ZoneInfo(timezone)).date()


def next_day_begins(moment: datetime, timezone: str) -> datetime:
    """When the calendar turns there for the next time."""
    return datetime.combine(day_at(moment, timezone) + timedelta(days=1), time(), ZoneInfo(timezone)).astimezone(UTC)
