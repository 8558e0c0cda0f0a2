"""A seeded market of up to millions of offerings and needs, as records, and what comes later: new offerings, one after the other.

Technologies are the real taxonomy's. An offering can only meet needs of its own group and unit, and the taxonomy has 39 such
fields ("energy/kW"), so there is no call for invented codes: the plain rules judge every pair as they do in the product.
Values are as people write them: round thresholds and quantities, prices of four digits, budgets of three.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.matching.records import (
    HIGHEST,
    LOWEST,
    MONEY,
    NOT_STATED,
    QUANTITY,
    TEXT,
    VALUE,
    Lexicon,
    Market,
    Records,
    need_type,
    offering_type,
    ranked,
)
from bench.workload import COUNTRIES, Country
from common.vocabulary import technologies
from matching.domain.circumstances import Rate

Numbers = npt.NDArray[Any]

TODAY = date(2026, 11, 24)
PLACES = (
    *COUNTRIES,
    *(
        Country(*row.split())
        for row in """DE EUR 0.92 de Europe/Berlin
FR EUR 0.92 fr Europe/Paris
GB GBP 0.78 en Europe/London
US USD 1 en America/New_York
BR BRL 5.75 pt America/Sao_Paulo
MX MXN 20.3 es America/Mexico_City
ZA ZAR 18.1 en Africa/Johannesburg
KE KES 129 sw Africa/Nairobi
EG EGP 49.6 ar Africa/Cairo
NZ NZD 1.7 en Pacific/Auckland""".splitlines()
    ),
)
OLD_RATE, UNKNOWN_RATE = "MMK", "LAK"
"""A currency whose rate is too old to be used, and one of which none is known."""


class Measured(NamedTuple):
    """An attribute with a number. Needs ask for round numbers, multiples of `step`; offerings state finer ones."""

    name: str
    unit: str
    usual: float
    spread: float
    step: float
    more_is_better: bool


MEASURED = (
    Measured("efficacy", "lm/W", 140, 0.15, 10, True),
    Measured("life", "h", 60_000, 0.2, 5_000, True),
    Measured("efficiency", "percent", 90, 0.06, 1, True),
    Measured("power", "W", 80, 0.3, 10, False),
    Measured("noise", "dB", 55, 0.1, 5, False),
    Measured("warranty", "year", 6, 0.35, 1, True),
    Measured("weight", "kg", 40, 0.4, 5, False),
    Measured("output", "kW", 12, 0.5, 1, True),
)
CHOSEN = (
    ("control", ("DALI", "0-10 V", "Zhaga", "none")),
    ("connection", ("Modbus", "BACnet", "KNX", "LoRaWAN")),
    ("mounting", ("pole", "wall", "roof", "ground")),
)
"""Attributes with a text."""
TEXTS = tuple(text for _, texts in CHOSEN for text in texts)
OTHER_UNIT = ("power", "kW")
"""Some state the power in another unit than needs ask for it; then it is not compared."""
ATTRIBUTES = (*((one.name, one.unit) for one in MEASURED), *((name, "") for name, _ in CHOSEN), OTHER_UNIT)
SLOTS = 6
"""So many attributes matter in a technology group: five measured ones, one chosen. More is not stated of any offering."""
STANDARDS = tuple(f"ISO {9000 + number}" for number in range(24))
TIERS = 6
REQUIREMENTS = 3
WANTED = 2


class Skew(NamedTuple):
    """How steeply demand falls from the first field or country to the next; 0: all alike (Zipf's exponent)."""

    fields: float
    countries: float


SKEWS = {"even": Skew(0.0, 0.0), "skewed": Skew(1.0, 0.8)}


@dataclass(frozen=True)
class Sizes:
    offerings: int
    needs: int
    events: int


def lexicon() -> Lexicon:
    def as_of(currency: str) -> date:
        return TODAY - timedelta(days=60 if currency == OLD_RATE else 3)

    rates = {
        one.currency: Rate(one.currency, Decimal(one.per_usd), as_of(one.currency), "Example bank")
        for one in PLACES
        if one.currency not in (UNKNOWN_RATE, "USD")
    }
    return Lexicon(
        today=TODAY,
        countries=tuple(one.code for one in PLACES),
        currencies=tuple(dict.fromkeys(one.currency for one in PLACES)),
        rates=rates,
        attributes=ATTRIBUTES,
        texts=tuple(text.casefold() for text in TEXTS),
        standards=STANDARDS,
        languages=tuple(dict.fromkeys(one.language for one in PLACES)),
    )


def market(skew: str, sizes: Sizes, seed: int = 7) -> Market:
    """The same seed makes the same market."""
    maker = Maker(SKEWS[skew], seed)
    offerings = maker.offerings(sizes.offerings)
    events = maker.offerings(sizes.events)
    needs = maker.needs(sizes.needs)
    ranked(offerings, events)
    return Market(f"{skew}, seed {seed}", maker.lexicon, offerings, needs, events)


class Maker:
    """Makes offerings and needs, each call further ones."""

    def __init__(self, skew: Skew, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._skew = skew
        self.lexicon = lexicon()
        currencies, languages = self.lexicon.currencies, self.lexicon.languages
        self._currency = np.array([currencies.index(one.currency) for one in PLACES], np.int32)
        self._dollar, self._english = currencies.index("USD"), languages.index("en")
        self._language = np.array([1 << languages.index(one.language) for one in PLACES], np.uint64)
        rates = {one.currency: float(one.per_usd) for one in PLACES}
        self._per_usd = np.array([rates[currency] for currency in currencies])
        number = len(self.lexicon.technologies)
        self._usual_price = np.exp(3 + 6 * self._random.random(number))
        self._usual_quantity = self._random.normal(5, 1.2, number)
        self._measured_in_parts = np.array(
            [technologies()[code].unit in ("kW", "km", "ha", "t", "t/day", "kWh") for code in self.lexicon.technologies]
        )
        self._attributes = self._attributes_by_field()
        self._order = self._random.permutation(len(self.lexicon.fields))

    def _attributes_by_field(self) -> Numbers:
        """Which attributes matter, by field; the same in all fields of a group."""
        groups = [name.split("/")[0] for name in self.lexicon.fields]
        slots = {
            group: [
                *self._random.choice(len(MEASURED), SLOTS - 1, replace=False),
                len(MEASURED) + self._random.integers(len(CHOSEN)),
            ]
            for group in dict.fromkeys(groups)
        }
        return np.array([slots[group] for group in groups], np.int32)

    # Offerings -------------------------------------------------------------------------------------------------------

    def offerings(self, size: int) -> Records:
        r, made = self._random, np.zeros(size, offering_type(TIERS, SLOTS))
        made["id"] = r.integers(0, 1 << 64, (size, 2), np.uint64)
        technology = self._technology(size)
        made["technologies"][:, 0] = technology
        made["technologies"][:, 1] = self._technology_beside(technology)
        made["fields"] = np.where(
            made["technologies"] >= 0, self.lexicon.field_of_technology[made["technologies"]], np.int32(NOT_STATED)
        )
        home = self._country(size)
        many = r.random(size) < 0.1
        served = np.where(many, self._countries(size, 12, 24), self._countries(size, 1, 8)) | np.uint64(1) << home.astype(
            np.uint64
        )
        made["serves"] = served
        made["interested_in"] = self._countries(size, 0, 6) & ~served
        made["standards"] = self._some(size, len(STANDARDS), 0, 7, 0.7)
        languages = self._language[home] | np.where(r.random(size) < 0.8, np.uint64(1 << self._english), np.uint64(0))
        made["languages"] = np.where(r.random(size) < 0.15, np.uint64(0), languages)
        made["lead_time"] = self._or_not(0.15, np.clip(np.exp(r.normal(4, 0.6, size)), 5, 720).astype(np.int64))
        smallest = self._quantity(technology, -2, 1.3)
        made["minimum"] = self._or_not(0.3, smallest)
        made["maximum"] = self._or_not(0.5, smallest * np.exp(r.normal(5, 1, size)).astype(np.int64) + smallest)
        self._state_attributes(made)
        self._price(made, technology, home, smallest)
        return made

    def _price(self, made: Records, technology: Numbers, home: Numbers, smallest: Numbers) -> None:
        """One to six tiers that get cheaper; a fifth of all price each tier's own units."""
        r, size = self._random, len(made)
        currency = np.where(r.random(size) < 0.5, self._dollar, self._currency[home])
        price = self._usual_price[technology] * self._per_usd[currency] * np.exp(r.normal(0, 0.25, size))
        begins = np.where(r.random(size) < 0.5, QUANTITY, smallest)
        tiers = np.where(r.random(size) < 0.12, 0, r.integers(1, TIERS + 1, size))
        for tier in range(TIERS):
            there = tier < tiers
            made["tier_quantity"][:, tier] = np.where(there, begins, HIGHEST)
            made["tier_price"][:, tier] = np.where(there, np.maximum(MONEY // 100, _cents(price)), 0)
            begins = np.maximum(begins + QUANTITY, _digits(begins * r.uniform(2, 4, size), 2) // QUANTITY * QUANTITY)
            price = price * r.uniform(0.86, 0.97, size)
        made["tiers"] = tiers
        made["currency"] = np.where(tiers > 0, currency, NOT_STATED)
        made["incremental"] = (r.random(size) < 0.2) & (tiers > 0)

    def _state_attributes(self, made: Records) -> None:
        r, size = self._random, len(made)
        slots = self._attributes[made["fields"][:, 0]]
        for slot in range(SLOTS):
            attribute = slots[:, slot]
            made["attribute"][:, slot] = np.where(r.random(size) < 0.78, attribute, NOT_STATED)
            made["attribute_value"][:, slot] = self._stated(attribute)
        again = r.random(size) < 0.05  # the chosen one stated twice, as for two kinds of control
        made["attribute"][again, 0] = slots[again, SLOTS - 1]
        made["attribute_value"][again, 0] = self._stated(slots[:, SLOTS - 1])[again]
        power = (made["attribute"] == ATTRIBUTES.index(("power", "W"))) & (r.random((size, 1)) < 0.05)
        made["attribute"][power] = ATTRIBUTES.index(OTHER_UNIT)
        made["attribute_value"][power] //= 1000

    def _stated(self, attribute: Numbers) -> Numbers:
        r, size = self._random, len(attribute)
        numbers = np.array([(one.usual, one.spread, one.step / 5) for one in MEASURED])
        usual, spread, step = numbers[np.minimum(attribute, len(MEASURED) - 1)].T
        value = np.maximum(step, np.round(usual * (1 + r.normal(0, 1, size) * spread) / step) * step)
        return np.where(attribute < len(MEASURED), np.round(value * VALUE).astype(np.int64), self._text(attribute))

    def _text(self, attribute: Numbers) -> Numbers:
        kind = np.maximum(0, attribute.astype(np.int64) - len(MEASURED))
        return TEXT + 4 * kind + self._zipf(len(attribute), 4, 0.7)

    # Needs -----------------------------------------------------------------------------------------------------------

    def needs(self, size: int) -> Records:
        r, made = self._random, np.zeros(size, need_type(REQUIREMENTS, WANTED))
        made["id"] = r.integers(0, 1 << 64, (size, 2), np.uint64)
        technology, country = self._technology(size), self._country(size)
        made["technology"], made["country"] = technology, country
        made["field"] = self.lexicon.field_of_technology[technology]
        made["quantity"] = self._quantity(technology, 0, 1.2)
        made["days"] = np.clip(np.exp(r.normal(4.6, 0.6, size)), 10, 900)
        made["standards"] = self._some(size, len(STANDARDS), 0, 3, 0.7)
        english = np.where(r.random(size) < 0.4, np.uint64(1 << self._english), np.uint64(0))
        made["languages"] = self._language[country] | english
        currency = np.where(r.random(size) < 0.5, self._dollar, self._currency[country])
        budget = self._usual_price[technology] * (made["quantity"] / QUANTITY) * self._per_usd[currency]
        budget = _digits(budget * np.exp(r.normal(-0.05, 0.2, size)), 3)
        none = r.random(size) < 0.15
        made["budget"] = np.where(none, NOT_STATED, np.clip(budget, 1, HIGHEST // MONEY // 2) * MONEY)
        made["currency"] = np.where(none, NOT_STATED, currency)
        self._ask(made)
        return made

    def _ask(self, made: Records) -> None:
        """Up to three requirements on different attributes, half of them mandatory."""
        r, size = self._random, len(made)
        number = r.choice(REQUIREMENTS + 1, size, p=[0.3, 0.3, 0.25, 0.15])
        slots = np.argsort(r.random((size, SLOTS)), axis=1)[:, :REQUIREMENTS]
        attributes = np.take_along_axis(self._attributes[made["field"]], slots, axis=1)
        made["requirements"] = number
        made["attribute"], made["low"], made["wanted"] = NOT_STATED, 1, LOWEST
        for at in range(REQUIREMENTS):
            asked, attribute = at < number, attributes[:, at]
            made["attribute"][:, at] = np.where(asked, attribute, NOT_STATED)
            made["mandatory"][:, at] = asked & (r.random(size) < 0.5)
            measured = attribute < len(MEASURED)
            number_of = np.array([(one.usual, one.spread, one.step, one.more_is_better) for one in MEASURED])
            usual, spread, step, more = number_of[np.minimum(attribute, len(MEASURED) - 1)].T
            modest = r.normal(-0.5, 0.5, size) * spread * np.where(more > 0, 1, -1)
            value = np.round(np.maximum(step, np.round(usual * (1 + modest) / step) * step) * VALUE).astype(np.int64)
            one, other = self._text(attribute), self._text(attribute)
            single = r.random(size) < 0.3
            low = np.where(measured, np.where(more > 0, value, LOWEST), np.where(single, one, 1))
            high = np.where(measured, np.where(more > 0, HIGHEST, value), np.where(single, one, 0))
            made["low"][:, at], made["high"][:, at] = np.where(asked, low, 1), np.where(asked, high, 0)
            listed = asked & ~measured & ~single
            made["wanted"][listed, at, 0] = one[listed]
            made["wanted"][listed & (one != other), at, 1] = other[listed & (one != other)]

    # Chances ---------------------------------------------------------------------------------------------------------

    def _technology(self, size: int) -> Numbers:
        """A field by the skew, and one of its technologies."""
        fields = self._order[self._zipf(size, len(self.lexicon.fields), self._skew.fields)]
        by_field = [np.flatnonzero(self.lexicon.field_of_technology == at) for at in range(len(self.lexicon.fields))]
        number = np.array([len(one) for one in by_field])
        table = np.array([np.resize(one, number.max()) for one in by_field])
        return table[fields, (self._random.random(size) * number[fields]).astype(np.int64)].astype(np.int32)

    def _technology_beside(self, technology: Numbers) -> Numbers:
        """A second technology counted in the same unit for some; for a few of them in another group."""
        known, chosen = technologies(), np.full(len(technology), NOT_STATED, np.int32)
        throw = self._random.random(len(technology))
        for at, code in enumerate(self.lexicon.technologies):
            same_unit = [n for n, one in enumerate(self.lexicon.technologies) if n != at and known[one].unit == known[code].unit]
            same_group = [n for n in same_unit if known[self.lexicon.technologies[n]].group == known[code].group]
            for others, least, most in ((same_group, 0.0, 0.2), (same_unit, 0.2, 0.25)):
                rows = np.flatnonzero((technology == at) & (throw >= least) & (throw < most))
                if others:
                    chosen[rows] = self._random.choice(others, len(rows))
        return chosen

    def _country(self, size: int) -> Numbers:
        return self._zipf(size, len(PLACES), self._skew.countries)

    def _countries(self, size: int, least: int, most: int) -> Numbers:
        return self._some(size, len(PLACES), least, most, self._skew.countries)

    def _some(self, size: int, of: int, least: int, most: int, steepness: float) -> Numbers:
        """Sets as bits: up to so many each, fewer where the same is drawn twice."""
        number, sets = self._random.integers(least, most + 1, size), np.zeros(size, np.uint64)
        for at in range(most):
            drawn = np.uint64(1) << self._zipf(size, of, steepness).astype(np.uint64)
            sets |= np.where(at < number, drawn, np.uint64(0))
        return sets

    def _zipf(self, size: int, of: int, steepness: float) -> Numbers:
        weights = 1 / np.arange(1, of + 1) ** steepness
        return self._random.choice(of, size, p=weights / weights.sum())

    def _quantity(self, technology: Numbers, smaller: float, spread: float) -> Numbers:
        """Two digits; what is measured rather than counted may end in a half."""
        quantity = np.exp(self._random.normal(self._usual_quantity[technology] + smaller, spread))
        half = self._measured_in_parts[technology] & (quantity < 100) & (self._random.random(len(technology)) < 0.3)
        return np.clip(_digits(quantity, 2), 1, 5_000_000) * QUANTITY + np.where(half, QUANTITY // 2, 0)

    def _or_not(self, chance: float, values: Numbers) -> Numbers:
        return np.where(self._random.random(len(values)) < chance, NOT_STATED, values)


def _digits(numbers: Numbers, digits: int) -> Numbers:
    """Rounded to so many digits, to whole numbers at least."""
    size = 10.0 ** np.maximum(0, np.floor(np.log10(np.maximum(numbers, 1))) - digits + 1)
    return (np.round(numbers / size) * size).astype(np.int64)


def _cents(prices: Numbers) -> Numbers:
    """Prices of four digits, to the cent at least, in the records' units."""
    return _digits(prices * 100, 4) * (MONEY // 100)
