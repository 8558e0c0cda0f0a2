"""Needs and offerings as nobody would like to meet them, on which the kernels are compared with the plain rules.

They stand on the edge of every step and have too many digits, tiers and words. Seeded, so that what fails once fails again.
Prices are shares of what needs have to spend, so that ties are as common as they are with the round numbers of people.
"""

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from matching.domain.circumstances import Rate
from matching.domain.sides import Attribute, Named, Need, Offering, Prices, Requirement, Stated

TODAY = date(2026, 11, 24)
TECHNOLOGIES = ("lighting.street_led", "lighting.indoor_led")
UNIT = "lamp"
COUNTRIES = ("VN", "JP", "TH", "ID", "PH")
LANGUAGES = ("vi", "ja", "en", "th")
STANDARDS = tuple(f"std {n}" for n in range(8))
KEYS = (("efficacy", "lm/w"), ("power", "w"), ("dimming", ""), ("colour", "k"))
TEXTS = ("dali", "zhaga", "0-10 v", "ｄａｌｉ"[:1] + "x")
RATES = {
    "VND": Rate("VND", Decimal(25_000), date(2026, 11, 20), "Example bank"),
    "JPY": Rate("JPY", Decimal("150.25"), date(2026, 11, 20), "Example bank"),
    "THB": Rate("THB", Decimal("0.3333333333333333333333"), date(2026, 11, 1), "Example bank"),
    "IDR": Rate("IDR", Decimal(15_000), date(2026, 10, 19), "Example bank"),
}
CURRENCIES = ("USD", "USD", "USD", "JPY", "VND", "THB", "IDR", "MYR")
SHARES = tuple(Decimal(share) / 100 for share in (50, 75, 80, 85, 90, 95, 99, 100, 101, 104, 112, 120, 150, 200, 201))


class Sides:
    """Makes needs and offerings; `plain` ones are always of a kind that fits the packed form."""

    def __init__(self, seed: int, *, plain: bool = False) -> None:
        self.chance = random.Random(seed)
        self.plain = plain

    def need(self, id_: str | None = None) -> Need:
        chance = self.chance
        quantity = chance.choice((Decimal(1), Decimal(1200), self._quantity(), self._quantity()))
        per_unit = Decimal(chance.choice((1, 10, 100, 120, 150, 333)))
        budget = chance.choice((None, per_unit * quantity, per_unit * quantity, per_unit * 1000, Decimal(0)))
        return Need(
            id=id_ or self._id(),
            technology=chance.choice(TECHNOLOGIES),
            unit=UNIT,
            country=chance.choice(COUNTRIES),
            quantity=quantity,
            budget=budget if budget is None or not self._is_odd() else budget + Decimal("0.000001") * 10**16,
            currency="" if budget is None else chance.choice(CURRENCIES),
            deadline=TODAY + timedelta(days=chance.choice((0, 1, 29, 30, 60, 100, 150, 400))),
            languages=tuple(chance.sample(LANGUAGES, chance.randint(1, 2))),
            requirements=tuple(self._requirement() for _ in range(chance.choice((0, 0, 1, 2, 3, 9 if self._is_odd() else 1)))),
            standards=tuple(Named(one, one) for one in chance.sample(STANDARDS, chance.randint(0, 4))),
            open=True,
        )

    def offering(self, id_: str | None = None) -> Offering:
        chance = self.chance
        served = frozenset(chance.sample(COUNTRIES, chance.randint(0, 3)))
        limits = (None, Decimal(1), Decimal(200), Decimal(1200), self._quantity())
        return Offering(
            id=id_ or self._id(),
            technologies=tuple(chance.sample(TECHNOLOGIES, chance.randint(1, 2))),
            unit=UNIT,
            serves=served,
            interested_in=frozenset(chance.sample(COUNTRIES, chance.randint(0, 3))),
            prices=self._prices(),
            minimum_order=chance.choice(limits),
            maximum_order=chance.choice(limits),
            lead_time_days=chance.choice((None, 0, 30, 60, 90, 100, 101, 105, 120, 200)),
            attributes=tuple(self._attribute() for _ in range(chance.choice((0, 1, 2, 3)))),
            standards=frozenset(chance.sample(STANDARDS, chance.randint(0, 4))),
            languages=tuple(chance.sample(LANGUAGES, chance.randint(0, 2))),
            listed=True,
        )

    def _is_odd(self) -> bool:
        return not self.plain and self.chance.random() < 0.03

    def _id(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128)))

    def _quantity(self) -> Decimal:
        number = Decimal(self.chance.randint(1, 5000))
        if self._is_odd():
            return number + Decimal("0.12345") + Decimal(10) ** 15
        return number if self.chance.random() < 0.8 else number / 8

    def _value(self, text: bool) -> Stated:
        if text:
            return Stated.of(self.chance.choice(TEXTS))
        return Stated.of(Decimal(self.chance.choice((3, 120, 150, 160, 4000))) + (Decimal("1e-17") if self._is_odd() else 0))

    def _requirement(self) -> Requirement:
        chance = self.chance
        key, unit = chance.choice(KEYS)
        op: Literal["=", ">=", "<=", "in"] = chance.choice(("=", ">=", "<=", "in"))
        is_text = op in ("=", "in") and (key == "dimming" if self.plain else chance.random() < 0.5)
        values = [self._value(is_text) for _ in range(chance.randint(1, 3) if op == "in" else 1)]
        return Requirement(key, key, unit, unit, op, tuple(values), chance.random() < 0.2)

    def _attribute(self) -> Attribute:
        key, unit = self.chance.choice(KEYS)
        if self.plain:  # one value an attribute
            return Attribute(key, key, unit, unit, Stated.of(Decimal(150)))
        unit = "other" if self.chance.random() < 0.05 else unit
        return Attribute(key, key, unit, unit, self._value(self.chance.random() < 0.4))

    def _prices(self) -> Prices | None:
        chance = self.chance
        if chance.random() < 0.1:
            return None
        tiers = chance.randint(1, 6 if self.plain else 8)
        begins = sorted(chance.sample((1, 2, 10, 100, 200, 1000, 1200, 2000, 5000, 10_000), tiers))
        per_unit = Decimal(chance.choice((1, 10, 100, 120, 150, 333)))
        prices = sorted((per_unit * chance.choice(SHARES) for _ in begins), reverse=True)
        if self._is_odd():
            prices[0] = Decimal(10) ** 17 / 3
            prices[0] = prices[0].quantize(Decimal("0.000001"))
        basis: Any = "all_units" if chance.random() < 0.7 else "incremental"
        return Prices(chance.choice(CURRENCIES), basis, tuple(map(Decimal, begins)), tuple(prices))
