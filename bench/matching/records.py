"""Needs and offerings as fixed records of whole numbers: small enough for a million of them, the same bytes for every engine.

Nothing is lost on the way: `Lexicon.need` and `Lexicon.offering` make the domain's objects from a record, `packed` makes the
records of objects, and what does not fit is refused. Money, quantities and stated values are multiples of small fractions.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from common import vocabulary
from matching.domain.circumstances import OLDEST_RATE, Circumstances, Rate
from matching.domain.sides import Attribute, Named, Need, Offering, Prices, Requirement, Stated, plain

Records = npt.NDArray[Any]

QUANTITY = 1_000
MONEY = 10_000
VALUE = 1_000_000
RATE = 1_000_000
"""How many of a record's units are one lamp, one yen, one watt, one yen for a dollar."""
TEXT = 1 << 62
"""Stated texts are numbered from here; a stated number is below."""
NOT_STATED = -1
LOWEST, HIGHEST = -(1 << 61), 1 << 61
"""Requirements become ranges; no number lies beyond these. `LOWEST` also fills what is left free of a list of values."""


def offering_type(tiers: int, attributes: int) -> np.dtype[Any]:
    """An offering with up to so many price tiers and stated attributes. Sets are bits. `rank` is its place by id."""
    return np.dtype(
        [
            ("id", "<u8", (2,)),
            ("serves", "<u8"),
            ("interested_in", "<u8"),
            ("standards", "<u8"),
            ("languages", "<u8"),
            ("minimum", "<i8"),
            ("maximum", "<i8"),
            ("tier_quantity", "<i8", (tiers,)),
            ("tier_price", "<i8", (tiers,)),
            ("attribute_value", "<i8", (attributes,)),
            ("attribute", "<i4", (attributes,)),
            ("rank", "<i4"),
            ("lead_time", "<i4"),
            ("technologies", "<i4", (2,)),
            ("fields", "<i4", (2,)),
            ("currency", "<i4"),
            ("tiers", "<i4"),
            ("incremental", "<i4"),
        ]
    )


def need_type(requirements: int, wanted: int) -> np.dtype[Any]:
    """A need with up to so many requirements. Each is a range, or a list of up to `wanted` values that suit."""
    return np.dtype(
        [
            ("id", "<u8", (2,)),
            ("standards", "<u8"),
            ("languages", "<u8"),
            ("quantity", "<i8"),
            ("budget", "<i8"),
            ("low", "<i8", (requirements,)),
            ("high", "<i8", (requirements,)),
            ("wanted", "<i8", (requirements, wanted)),
            ("attribute", "<i4", (requirements,)),
            ("mandatory", "<i4", (requirements,)),
            ("requirements", "<i4"),
            ("technology", "<i4"),
            ("field", "<i4"),
            ("country", "<i4"),
            ("currency", "<i4"),
            ("days", "<i4"),
        ]
    )


@dataclass(frozen=True)
class Lexicon:
    """What the numbers and bits of records stand for. A field is a technology group with a unit: "energy/kW"."""

    today: date
    countries: tuple[str, ...]
    currencies: tuple[str, ...]
    rates: dict[str, Rate]
    attributes: tuple[tuple[str, str], ...]
    texts: tuple[str, ...]
    standards: tuple[str, ...]
    languages: tuple[str, ...]
    technologies: tuple[str, ...] = field(
        default_factory=lambda: tuple(one.code for one in vocabulary.technologies().values() if one.unit)
    )

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.field_of(code) for code in self.technologies))

    @cached_property
    def field_of_technology(self) -> npt.NDArray[np.int32]:
        return np.array([self.fields.index(self.field_of(code)) for code in self.technologies], np.int32)

    @staticmethod
    def field_of(code: str) -> str:
        technology = vocabulary.technologies()[code]
        return f"{technology.group}/{technology.unit}"

    @cached_property
    def circumstances(self) -> Circumstances:
        return Circumstances(self.today, self.rates)

    @cached_property
    def usable_rates(self) -> npt.NDArray[np.int64]:
        """For each currency, how many `RATE`ths of its units a dollar buys; 0 where no rate is known, or none fresh enough."""
        return np.array([self._usable_rate(currency) for currency in self.currencies], np.int64)

    def _usable_rate(self, currency: str) -> int:
        if currency == "USD":
            return RATE
        rate = self.rates.get(currency)
        return whole(rate.per_usd, RATE) if rate and self.today - rate.as_of <= OLDEST_RATE else 0

    # From records to objects -----------------------------------------------------------------------------------------

    def offering(self, record: Any) -> Offering:
        """The domain's object."""
        technologies = tuple(self.technologies[at] for at in record["technologies"].tolist() if at >= 0)
        tiers = int(record["tiers"])
        return Offering(
            id=identifier(record["id"]),
            technologies=technologies,
            unit=vocabulary.technologies()[technologies[0]].unit,
            serves=frozenset(_chosen(self.countries, record["serves"])),
            interested_in=frozenset(_chosen(self.countries, record["interested_in"])),
            prices=Prices(
                self.currencies[record["currency"]],
                "incremental" if record["incremental"] else "all_units",
                tuple(_parts(at, QUANTITY) for at in record["tier_quantity"][:tiers].tolist()),
                tuple(_parts(at, MONEY) for at in record["tier_price"][:tiers].tolist()),
            )
            if tiers
            else None,
            minimum_order=_stated(record["minimum"], QUANTITY),
            maximum_order=_stated(record["maximum"], QUANTITY),
            lead_time_days=int(record["lead_time"]) if record["lead_time"] >= 0 else None,
            attributes=tuple(
                self._attribute(at, value)
                for at, value in zip(record["attribute"].tolist(), record["attribute_value"].tolist(), strict=True)
                if at >= 0
            ),
            standards=frozenset(_plain(name) for name in _chosen(self.standards, record["standards"])),
            languages=tuple(_chosen(self.languages, record["languages"])),
            listed=True,
        )

    def _attribute(self, at: int, value: int) -> Attribute:
        name, unit = self.attributes[at]
        return _attribute(name, unit, self._value(value))

    def _value(self, value: int) -> Stated:
        return _stated_value(self.texts[value - TEXT] if value >= TEXT else _parts(value, VALUE))

    def need(self, record: Any) -> Need:
        """The domain's object, open."""
        technology = self.technologies[record["technology"]]
        budget = _stated(record["budget"], MONEY)
        return Need(
            id=identifier(record["id"]),
            technology=technology,
            unit=vocabulary.technologies()[technology].unit,
            country=self.countries[record["country"]],
            quantity=_parts(record["quantity"], QUANTITY),
            budget=budget,
            currency="" if budget is None else self.currencies[record["currency"]],
            deadline=self.today + timedelta(days=int(record["days"])),
            languages=tuple(_chosen(self.languages, record["languages"])),
            requirements=tuple(self._requirement(record, at) for at in range(record["requirements"])),
            standards=tuple(Named(name, plain(name)) for name in _chosen(self.standards, record["standards"])),
            open=True,
        )

    def _requirement(self, record: Any, at: int) -> Requirement:
        name, unit = self.attributes[record["attribute"][at]]
        low, high = int(record["low"][at]), int(record["high"][at])
        if low > high:
            op, values = "in", tuple(int(one) for one in record["wanted"][at] if one != LOWEST)
        elif low == high:
            op, values = "=", (low,)
        else:
            op, values = (">=", (low,)) if high == HIGHEST else ("<=", (high,))
        stated = tuple(self._value(value) for value in values)
        return Requirement(plain(name), name, plain(unit), unit, op, stated, bool(record["mandatory"][at]))


@dataclass(frozen=True)
class Market:
    """Needs and offerings in one lexicon; `events` are offerings that come later, one after the other."""

    name: str
    lexicon: Lexicon
    offerings: Records
    needs: Records
    events: Records

    def offering_objects(self, rows: Iterable[int]) -> list[Offering]:
        return [self.lexicon.offering(self.offerings[row]) for row in rows]


def ranked(*parts: Records) -> None:
    """Number the offerings of all parts together by id, so that engines can compare a small number for equal scores."""
    ids = np.concatenate([part["id"] for part in parts])
    order = np.lexsort((ids[:, 1], ids[:, 0]))
    rank = np.empty(len(ids), np.int32)
    rank[order] = np.arange(len(ids), dtype=np.int32)
    begin = 0
    for part in parts:
        part["rank"] = rank[begin : begin + len(part)]
        begin += len(part)


def identifier(halves: Any) -> str:
    """The UUID in its usual spelling, whose order is that of the two numbers."""
    return str(uuid.UUID(int=int(halves[0]) << 64 | int(halves[1])))


def halves(identifier: str) -> tuple[int, int]:
    number = uuid.UUID(identifier).int
    return number >> 64, number & (1 << 64) - 1


def whole(amount: Decimal, parts: int) -> int:
    """So many parts of one; refuses what is no multiple, and what an engine could not add up safely."""
    scaled = amount * parts
    if scaled != int(scaled) or abs(scaled) >= HIGHEST:
        raise ValueError(f"{amount} is not a multiple of 1/{parts}, or too large for the benchmark's records")
    return int(scaled)


# The same few names and numbers come again and again; they are made once.


@lru_cache(1 << 16)
def _parts(number: int, parts: int) -> Decimal:
    return Decimal(int(number)) / parts


@lru_cache(1 << 16)
def _stated_value(value: Decimal | str) -> Stated:
    return Stated.of(value)


@lru_cache(1 << 16)
def _attribute(name: str, unit: str, value: Stated) -> Attribute:
    return Attribute(_plain(name), name, _plain(unit), unit, value)


_plain = lru_cache(1 << 10)(plain)


def _stated(number: int, parts: int) -> Decimal | None:
    return None if number == NOT_STATED else _parts(number, parts)


def _chosen(names: Sequence[str], bits: int) -> Iterable[str]:
    return (name for at, name in enumerate(names) if int(bits) >> at & 1)


# From objects to records ---------------------------------------------------------------------------------------------


def packed(name: str, today: date, rates: dict[str, Rate], needs: Sequence[Need], offerings: Sequence[Offering]) -> Market:
    """The records of any needs and offerings, with a lexicon of just what they name.

    Standards that no need names are left out: they earn nothing. Raises `ValueError` where something does not fit.
    """
    stated = [(one.key, one.unit_key) for offering in offerings for one in offering.attributes]
    asked = [(one.key, one.unit_key) for need in needs for one in need.requirements]
    values = [one.value for offering in offerings for one in offering.attributes]
    values += [value for need in needs for one in need.requirements for value in one.values]
    lexicon = Lexicon(
        today=today,
        countries=_at_most_64({need.country for need in needs} | {one for o in offerings for one in o.reach}, "countries"),
        currencies=_sorted(
            {n.currency for n in needs if n.currency} | {o.prices.currency for o in offerings if o.prices} | {"USD"}
        ),
        rates=rates,
        attributes=tuple(dict.fromkeys(stated + asked)),
        texts=_sorted({one.plain for one in values if one.number is None}),
        standards=_at_most_64({one.key for need in needs for one in need.standards}, "standards"),
        languages=_at_most_64({one for side in (*needs, *offerings) for one in side.languages}, "languages"),
    )
    tiers = max((len(one.prices.quantities) for one in offerings if one.prices), default=1)
    attributes = max((len(one.attributes) for one in offerings), default=1)
    offering_rows = np.zeros(len(offerings), offering_type(tiers, max(1, attributes)))
    for row, offering in zip(offering_rows, offerings, strict=True):
        _pack_offering(lexicon, row, offering)
    requirements = max((len(need.requirements) for need in needs), default=1)
    wanted = max((len(one.values) for need in needs for one in need.requirements), default=1)
    need_rows = np.zeros(len(needs), need_type(max(1, requirements), wanted))
    for row, need in zip(need_rows, needs, strict=True):
        _pack_need(lexicon, row, need)
    events = offering_rows[:0].copy()
    ranked(offering_rows, events)
    return Market(name, lexicon, offering_rows, need_rows, events)


def _pack_offering(lexicon: Lexicon, row: Any, offering: Offering) -> None:
    row["id"] = halves(offering.id)
    row["serves"] = _bits(lexicon.countries, offering.serves)
    row["interested_in"] = _bits(lexicon.countries, offering.interested_in)
    row["standards"] = _bits(lexicon.standards, offering.standards)
    row["languages"] = _bits(lexicon.languages, offering.languages)
    row["minimum"] = NOT_STATED if offering.minimum_order is None else whole(offering.minimum_order, QUANTITY)
    row["maximum"] = NOT_STATED if offering.maximum_order is None else whole(offering.maximum_order, QUANTITY)
    row["lead_time"] = NOT_STATED if offering.lead_time_days is None else offering.lead_time_days
    if len(offering.technologies) > len(row["technologies"]):
        raise ValueError(f"offering {offering.id}: more than {len(row['technologies'])} technologies")
    row["technologies"] = row["fields"] = NOT_STATED
    for at, code in enumerate(offering.technologies):
        row["technologies"][at] = lexicon.technologies.index(code)
        row["fields"][at] = lexicon.fields.index(lexicon.field_of(code))
    row["tier_quantity"] = HIGHEST
    row["currency"] = NOT_STATED
    if offering.prices:
        prices = offering.prices
        row["tiers"] = tiers = len(prices.quantities)
        row["currency"] = lexicon.currencies.index(prices.currency)
        row["incremental"] = prices.basis == "incremental"
        row["tier_quantity"][:tiers] = [whole(one, QUANTITY) for one in prices.quantities]
        row["tier_price"][:tiers] = [whole(one, MONEY) for one in prices.unit_prices]
    row["attribute"] = NOT_STATED
    for at, one in enumerate(offering.attributes):
        row["attribute"][at] = lexicon.attributes.index((one.key, one.unit_key))
        row["attribute_value"][at] = _number(lexicon, one.value)


def _pack_need(lexicon: Lexicon, row: Any, need: Need) -> None:
    row["id"] = halves(need.id)
    row["standards"] = _bits(lexicon.standards, [one.key for one in need.standards])
    row["languages"] = _bits(lexicon.languages, need.languages)
    row["quantity"] = whole(need.quantity, QUANTITY)
    row["budget"] = NOT_STATED if need.budget is None else whole(need.budget, MONEY)
    row["currency"] = NOT_STATED if need.budget is None else lexicon.currencies.index(need.currency)
    row["technology"] = lexicon.technologies.index(need.technology)
    row["field"] = lexicon.fields.index(lexicon.field_of(need.technology))
    row["country"] = lexicon.countries.index(need.country)
    row["days"] = (need.deadline - lexicon.today).days
    row["requirements"] = len(need.requirements)
    row["attribute"], row["low"], row["wanted"] = NOT_STATED, 1, LOWEST
    for at, one in enumerate(need.requirements):
        values = [_number(lexicon, value) for value in one.values]
        row["attribute"][at] = lexicon.attributes.index((one.key, one.unit_key))
        row["mandatory"][at] = one.mandatory
        low, high = {">=": (values[0], HIGHEST), "<=": (LOWEST, values[0]), "=": (values[0], values[0]), "in": (1, 0)}[one.op]
        row["low"][at], row["high"][at] = low, high
        if one.op == "in":
            row["wanted"][at][: len(values)] = values


def _number(lexicon: Lexicon, value: Stated) -> int:
    return TEXT + lexicon.texts.index(value.plain) if value.number is None else whole(value.number, VALUE)


def _bits(names: Sequence[str], chosen: Iterable[str]) -> int:
    return sum(1 << names.index(one) for one in set(chosen) if one in names)


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _at_most_64(names: Iterable[str], what: str) -> tuple[str, ...]:
    found = _sorted(names)
    if len(found) > 64:
        raise ValueError(f"{len(found)} {what}; the benchmark's records hold 64")
    return found
