"""Puts needs and offerings into their packed form, and reads them back.

What is read back judges as the original does; what cannot be read back so is kept whole. `wide` offerings and `loose` needs
are those about which the kernels only know a bound.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from math import isnan
from struct import Struct
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from matching.domain.sides import Attribute, Named, Need, Offering, Prices, Requirement, Stated
from matching.engine.layout import (
    ASKS,
    BLOCK,
    LANGUAGES_SPOKEN,
    LEAD_TIME,
    NEED,
    NEED_COLUMNS,
    NEED_MAPS,
    NOT_STATED,
    OFFERING,
    OFFERING_MAPS,
    SLOTS,
    STANDARDS_ASKED,
    TIERS,
    Array,
    Map,
    Words,
    id_from,
    ids_of,
)
from matching.engine.lexicon import NO_LANGUAGE, Lexicon, Slot

_CERTAIN_DIGITS, _CERTAIN_DIGITS_OF_VALUES = 15, 6
"""Decimals of so many digits are told apart by the binary numbers nearest to them, and read back from those: numbers of 64
bits, and of 32 for the values of attributes."""


T = TypeVar("T")


class PackedOfferings(NamedTuple):
    """Offerings for one field: a row of words for the ids and for the bitmaps, a row of hot numbers and a record
    for each, and who is whole."""

    ids: Words
    sets: Words
    hot: Array
    cold: Array
    whole: dict[int, Offering]


class PackedNeeds(NamedTuple):
    """Needs for their field, likewise; whole are those that are loose."""

    ids: Words
    sets: Words
    hot: Array
    cold: Array
    whole: dict[int, Need]


_OFFERING = Struct(f"<{TIERS}f{TIERS}iffbBB??3x{SLOTS}fQ")
_NEED = Struct(f"<dd{STANDARDS_ASKED}H7BxHxxii{ASKS}B4x{ASKS}f{ASKS}f{LANGUAGES_SPOKEN}HB43x")
"""The cold records, field by field: many times faster to write than through numpy."""


def _rows(parts: Sequence[bytes], record: DTypeLike) -> Array:
    """An array of what these bytes are."""
    return np.frombuffer(bytearray().join(parts), record) if parts else np.empty(0, record)


def _sets(maps: Sequence[Sequence[int]], width: Sequence[int]) -> Words:
    """Sets as bits, a row for each side: one after the other, each in its words."""
    parts = [bits.to_bytes(words * BLOCK // 8, "little") for row in maps for bits, words in zip(row, width, strict=True)]
    return _rows(parts, np.uint64).reshape(-1, sum(width))


def _filled(some: Sequence[T], room: int, rest: T) -> Sequence[T]:
    return (*some, *(rest,) * (room - len(some)))


def _number(amount: Decimal, certain_digits: int = _CERTAIN_DIGITS) -> float | None:
    """As a binary number; None where that might not tell it from its neighbours."""
    if len(str(amount)) > certain_digits and len(amount.normalize().as_tuple().digits) > certain_digits:
        return None
    found = float(amount)
    return found if found == 0 or 1e-30 < abs(found) < 1e30 else None


def _short_number(amount: Decimal) -> float | None:
    """The same for 32 bits: only what these hold exactly, such as whole numbers below 16,777,216."""
    found = _number(amount)
    return found if found is not None and _rounded(found) == found else None


def _rounded(number: float) -> float:
    """To 32 bits."""
    return number if number.is_integer() and -(2**24) < number < 2**24 else float(np.float32(number))


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


# Offerings -------------------------------------------------------------------------------------------------------------


def pack_offerings(offerings: Sequence[Offering], lexicon: Lexicon) -> PackedOfferings:
    """Raises ValueError where an id is too long."""
    ids = ids_of([one.id for one in offerings])
    maps: list[Sequence[int]] = []
    cold: list[bytes] = []
    whole: dict[int, Offering] = {}
    for n, (offering, id_begins) in enumerate(zip(offerings, ids[:, 0].tolist(), strict=True)):
        bits, sets_complete = _sets_of(offering, lexicon)
        record, complete = _record_of(offering, id_begins, lexicon)
        maps.append(bits)
        cold.append(record)
        if not (sets_complete and complete):
            whole[n] = offering
    hot = np.array([-1 if one.lead_time_days is None else one.lead_time_days for one in offerings], np.int64)
    return PackedOfferings(ids, _sets(maps, OFFERING_MAPS), hot.reshape(-1, 1), _rows(cold, OFFERING), whole)


def _sets_of(offering: Offering, lexicon: Lexicon) -> tuple[Sequence[int], bool]:
    """The bits of its sets, and whether nothing is missing from them."""
    technologies = lexicon.technologies.bits_of_known(offering.technologies)
    served, all_served = lexicon.countries.bits(offering.serves)
    interesting, all_interesting = lexicon.countries.bits(offering.interested_in)
    standards, all_standards = lexicon.standards.bits(offering.standards)
    languages, all_languages = lexicon.languages.bits(offering.languages or (NO_LANGUAGE,))
    bits = technologies, served, served | interesting, standards, languages
    return bits, all_served and all_interesting and all_standards and all_languages


def _record_of(offering: Offering, id_begins: int, lexicon: Lexicon) -> tuple[bytes, bool]:
    """Its cold record, and False where it has to be kept whole."""
    minimum = NOT_STATED if offering.minimum_order is None else _short_number(offering.minimum_order)
    maximum = NOT_STATED if offering.maximum_order is None else _short_number(offering.maximum_order)
    values, fits, complete = _values_of(offering.attributes, lexicon)
    tiers = _tiers_of(offering.prices, lexicon)
    wide = minimum is None or maximum is None or not fits or tiers is None
    quantities, unit_prices, power, currency, incremental = tiers or _NO_TIERS
    record = _OFFERING.pack(
        *_filled(quantities, TIERS, np.inf),
        *_filled(unit_prices, TIERS, 0),
        NOT_STATED if minimum is None else minimum,
        NOT_STATED if maximum is None else maximum,
        power,
        currency,
        len(quantities),
        incremental,
        wide,
        *values,
        id_begins,
    )
    return record, complete and not wide


def _values_of(attributes: Iterable[Attribute], lexicon: Lexicon) -> tuple[list[float], bool, bool]:
    """By slot; whether all fit their slots, and whether all have one."""
    values = [NOT_STATED] * SLOTS
    fits = complete = True
    for attribute in attributes:
        value = _value(attribute.value, lexicon)
        if value is None:
            fits = False
            continue
        slot = _slot_for(attribute, value, values, lexicon)
        if slot is None:
            complete = False
            fits &= lexicon.slots.number(_slot_of(attribute)) is None  # no slot at all: nobody asks for it in this form
        else:
            values[slot] = value
    return values, fits, complete


def _slot_of(attribute: Attribute, nth: int = 0) -> Slot:
    return Slot(attribute.key, attribute.unit_key, attribute.value.number is None, nth)


def _slot_for(attribute: Attribute, value: float, values: list[float], lexicon: Lexicon) -> int | None:
    """The first of the attribute's slots that is free, or holds the same; None where there is none."""
    nth = 0
    while True:
        slot = lexicon.slots.number(_slot_of(attribute, nth))
        if slot is None or isnan(values[slot]) or values[slot] == value:
            return slot
        nth += 1


def _value(stated: Stated, lexicon: Lexicon) -> float | None:
    if stated.number is not None:
        number = _number(stated.number, _CERTAIN_DIGITS_OF_VALUES)
        return None if number is None else _rounded(number)
    text = lexicon.texts.number(stated.plain)
    return None if text is None else float(text)


class _Tiers(NamedTuple):
    quantities: Sequence[float]
    unit_prices: Sequence[int]
    power: int
    currency: int
    incremental: bool


_NO_TIERS = _Tiers((), (), 0, 0, False)


def _tiers_of(prices: Prices | None, lexicon: Lexicon) -> _Tiers | None:
    """None where they do not fit."""
    if prices is None:
        return _NO_TIERS
    currency = lexicon.currencies.number(prices.currency)
    if currency is None or len(prices.quantities) > TIERS:
        return None
    quantities = [number for one in prices.quantities if (number := _short_number(one)) is not None]
    power = min((int(one.normalize().as_tuple().exponent) for one in prices.unit_prices if one), default=0)
    if len(quantities) < len(prices.quantities) or not -128 <= power <= 22:
        return None
    unit_prices = [int(one.scaleb(-power)) for one in prices.unit_prices]
    if max(unit_prices) >= 2**31:
        return None
    return _Tiers(quantities, unit_prices, power, currency, prices.basis == "incremental")


def unpack_offering(id_: Words, sets: Words, hot: Array, cold: Array, lexicon: Lexicon) -> Offering:
    """An offering that the plain rules judge as the one that was packed."""
    lead_time = int(hot[LEAD_TIME])
    bits = _maps(sets, OFFERING_MAPS)
    served = frozenset(lexicon.countries.named(bits[Map.SERVED]))
    return Offering(
        id=id_from(id_),
        technologies=tuple(lexicon.technologies.named(bits[Map.TECHNOLOGIES])),
        unit=lexicon.unit,
        serves=served,
        interested_in=frozenset(lexicon.countries.named(bits[Map.REACHED])) - served,
        prices=_prices(cold, lexicon),
        minimum_order=_limit(float(cold["minimum"])),
        maximum_order=_limit(float(cold["maximum"])),
        lead_time_days=None if lead_time < 0 else lead_time,
        attributes=tuple(_attributes(cold["values"], lexicon)),
        standards=frozenset(lexicon.standards.named(bits[Map.STANDARDS])),
        languages=tuple(one for one in lexicon.languages.named(bits[Map.LANGUAGES]) if one != NO_LANGUAGE),
        listed=True,
    )


def _maps(sets: Words, widths: Sequence[int]) -> list[int]:
    begins = np.cumsum((0, *widths)).tolist()
    return [sum(int(word) << BLOCK * n for n, word in enumerate(sets[begin:end])) for begin, end in pairwise(begins)]


def _limit(number: float) -> Decimal | None:
    return None if np.isnan(number) else _decimal(number)


def _attributes(values: Array, lexicon: Lexicon) -> Iterable[Attribute]:
    for slot, value in zip(lexicon.slots.known, values, strict=False):
        if not np.isnan(value):
            yield Attribute(slot.key, slot.key, slot.unit_key, slot.unit_key, _stated(slot, float(value), lexicon))


def _stated(slot: Slot, value: float, lexicon: Lexicon) -> Stated:
    if not slot.is_text:
        return Stated(number=Decimal(str(np.float32(value))))
    text = lexicon.texts.known[int(value)]
    return Stated(text=text, plain=text)


def _prices(cold: Array, lexicon: Lexicon) -> Prices | None:
    tiers = int(cold["tiers"])
    if not tiers:
        return None
    return Prices(
        lexicon.currencies.known[int(cold["currency"])],
        "incremental" if cold["incremental"] else "all_units",
        tuple(_decimal(float(one)) for one in cold["from_quantity"][:tiers]),
        tuple(Decimal(int(one)).scaleb(int(cold["price_power"])) for one in cold["unit_price"][:tiers]),
    )


# Needs -----------------------------------------------------------------------------------------------------------------


def pack_needs(needs: Sequence[tuple[Need, date]], lexicon: Lexicon) -> PackedNeeds:
    """Each with the day at the municipality for which it is judged."""
    maps: list[Sequence[int]] = []
    hot: list[Sequence[int]] = []
    cold: list[bytes] = []
    whole: dict[int, Need] = {}
    for n, (need, today) in enumerate(needs):
        technology = lexicon.technologies.known.index(need.technology)
        country = lexicon.countries.number(need.country)
        languages, _ = lexicon.languages.bits(need.languages)
        if country is None:
            raise ValueError(f"the need {need.id} is in {need.country!r}, one country more than there are")
        record, fits = _record_of_need(need, today, technology, country, lexicon)
        maps.append((1 << technology, 1 << country, languages))
        hot.append(((need.deadline - today).days, 0, not fits))
        cold.append(record)
        if not fits:
            whole[n] = need
    columns = np.array(hot, np.int64).reshape(-1, NEED_COLUMNS)
    return PackedNeeds(ids_of([need.id for need, _ in needs]), _sets(maps, NEED_MAPS), columns, _rows(cold, NEED), whole)


class _Wanted(NamedTuple):
    """What a need asks for, in numbers."""

    quantity: float = 0
    budget: float = 0
    currency: int = 0
    standards: Sequence[int] = ()
    languages: Sequence[int] = ()
    asks: Sequence["_Ask"] = ()


def _record_of_need(need: Need, today: date, technology: int, country: int, lexicon: Lexicon) -> tuple[bytes, bool]:
    """Its cold record, and whether it fits in there."""
    wanted = _wanted(need, lexicon)
    quantity, budget, currency, standards, languages, asks = wanted or _Wanted()
    rest = ASKS - len(asks)
    slots, lows, highs, or_next, mandatory = zip(*asks, *(_NOTHING,) * rest, strict=True)
    record = _NEED.pack(
        quantity,
        budget,
        *_filled(standards, STANDARDS_ASKED, 0),
        len(standards),
        len(asks),
        len(need.requirements) if wanted else 0,
        sum(is_so << n for n, is_so in enumerate(or_next)),
        sum(is_so << n for n, is_so in enumerate(mandatory)),
        currency,
        technology,
        country,
        today.toordinal(),
        need.deadline.toordinal(),
        *slots,
        *lows,
        *highs,
        *_filled(languages, LANGUAGES_SPOKEN, 0),
        len(languages),
    )
    return record, wanted is not None


def _wanted(need: Need, lexicon: Lexicon) -> _Wanted | None:
    """None where it does not fit."""
    standards = [number for one in need.standards if (number := lexicon.standards.number(one.key)) is not None]
    languages = [number for one in need.languages if (number := lexicon.languages.number(one)) is not None]
    quantity, budget = _number(need.quantity), NOT_STATED if need.budget is None else _number(need.budget)
    currency = lexicon.currencies.number(need.currency) if need.budget is not None else 0
    asks = _all_asks(need.requirements, lexicon)
    if quantity is None or budget is None or currency is None or asks is None:
        return None
    if len(standards) < len(need.standards) or len(languages) < len(need.languages):
        return None
    if len(standards) > STANDARDS_ASKED or len(languages) > LANGUAGES_SPOKEN:
        return None
    return _Wanted(quantity, budget, currency, standards, languages, asks)


class _Ask(NamedTuple):
    slot: int
    low: float
    high: float
    or_next: bool = False
    mandatory: bool = False


_NOTHING = _Ask(0, 0, 0)


def _all_asks(requirements: tuple[Requirement, ...], lexicon: Lexicon) -> list[_Ask] | None:
    """Of all requirements; None where one cannot be said in numbers, or there are too many."""
    found: list[_Ask] = []
    for requirement in requirements:
        asks = _asks(requirement, lexicon)
        if asks is None or len(found) + len(asks) > ASKS:
            return None
        found += asks
    return found


def _asks(requirement: Requirement, lexicon: Lexicon) -> list[_Ask] | None:
    """What the requirement comes to: any of them has to hold. None where that cannot be said in numbers."""
    found: list[_Ask] = []
    for value in requirement.values:
        number = _value(value, lexicon)
        slots = lexicon.slots_of(Slot(requirement.key, requirement.unit_key, value.number is None))
        if not slots or number is None or (requirement.op in (">=", "<=") and value.number is None):
            return None
        low = -np.inf if requirement.op == "<=" else number
        high = np.inf if requirement.op == ">=" else number
        found += [_Ask(slot, low, high, True, requirement.mandatory) for slot in slots]
    if not found:
        return None
    found[-1] = found[-1]._replace(or_next=False)
    return found


def unpack_need(id_: Words, cold: Array, lexicon: Lexicon) -> Need:
    """A need that the plain rules judge as the one that was packed."""
    budget = _limit(float(cold["budget"]))
    standards = [lexicon.standards.known[number] for number in cold["standard"][: int(cold["standards"])].tolist()]
    return Need(
        id=id_from(id_),
        technology=lexicon.technologies.known[int(cold["technology"])],
        unit=lexicon.unit,
        country=lexicon.countries.known[int(cold["country"])],
        quantity=_decimal(float(cold["quantity"])),
        budget=budget,
        currency="" if budget is None else lexicon.currencies.known[int(cold["currency"])],
        deadline=date.fromordinal(int(cold["deadline"])),
        languages=tuple(lexicon.languages.known[n] for n in cold["language"][: int(cold["languages"])].tolist()),
        requirements=tuple(_requirements(cold, lexicon)),
        standards=tuple(Named(key, key) for key in standards),
        open=True,
    )


def _requirements(cold: Array, lexicon: Lexicon) -> Iterable[Requirement]:
    values: list[Stated] = []
    for n in range(int(cold["asks"])):
        slot = lexicon.slots.known[int(cold["slot"][n])]
        low, high = float(cold["low"][n]), float(cold["high"][n])
        values.append(_stated(slot, high if low == -np.inf else low, lexicon))
        if cold["or_next"] >> n & 1:
            continue
        op = "<=" if low == -np.inf else ">=" if high == np.inf else "in"
        wanted = tuple(dict.fromkeys(values))  # once for each slot of the attribute
        yield Requirement(slot.key, slot.key, slot.unit_key, slot.unit_key, op, wanted, bool(cold["mandatory"] >> n & 1))
        values = []
