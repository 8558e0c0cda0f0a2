"""Puts needs and offerings into their packed form, and reads them back.

What is read back judges as the original does; what cannot be read back so is kept whole. `wide` offerings and `loose` needs
are those about which the kernels only know a bound.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import numpy as np

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
    OFFERING_COLUMNS,
    OFFERING_MAPS,
    STANDARDS_ASKED,
    TIERS,
    Array,
    Map,
    N,
    Words,
    id_from,
    ids_of,
    zeros,
)
from matching.engine.lexicon import NO_LANGUAGE, Lexicon, Slot

_CERTAIN_DIGITS, _CERTAIN_DIGITS_OF_VALUES = 15, 6
"""Decimals of so many digits are told apart by the binary numbers nearest to them, and read back from those: numbers of 64
bits, and of 32 for the values of attributes."""


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


def _words(maps: Sequence[int], width: Sequence[int]) -> list[int]:
    """Sets as bits, one after the other, each in its words."""
    return [bits >> BLOCK * word & 2**BLOCK - 1 for bits, words in zip(maps, width, strict=True) for word in range(words)]


def _number(amount: Decimal, certain_digits: int = _CERTAIN_DIGITS) -> float | None:
    """As a binary number; None where that might not tell it from its neighbours."""
    if len(str(amount)) > certain_digits and len(amount.normalize().as_tuple().digits) > certain_digits:
        return None
    found = float(amount)
    return found if found == 0 or 1e-30 < abs(found) < 1e30 else None


def _short_number(amount: Decimal) -> float | None:
    """The same for 32 bits: only what these hold exactly, such as whole numbers below 16,777,216."""
    found = _number(amount)
    return found if found is not None and np.float32(found) == found else None


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


# Offerings -------------------------------------------------------------------------------------------------------------


def pack_offerings(offerings: Sequence[Offering], lexicon: Lexicon) -> PackedOfferings:
    """Raises ValueError where an id is too long."""
    sets = np.zeros((len(offerings), sum(OFFERING_MAPS)), np.uint64)
    hot, cold = np.zeros((len(offerings), OFFERING_COLUMNS), np.int64), zeros(len(offerings), OFFERING)
    whole = {}
    for n, offering in enumerate(offerings):
        sets[n], complete = _sets_of(offering, lexicon)
        hot[n, LEAD_TIME] = -1 if offering.lead_time_days is None else offering.lead_time_days
        if not (_put_offering(offering, lexicon, cold[n]) and complete):
            whole[n] = offering
    ids = ids_of(one.id for one in offerings)
    cold["id_begins"] = ids[:, 0]
    return PackedOfferings(ids, sets, hot, cold, whole)


def _sets_of(offering: Offering, lexicon: Lexicon) -> tuple[list[int], bool]:
    """Its sets in words, and whether nothing is missing from them."""
    group = (code for code in offering.technologies if code in lexicon.technologies.known)
    technologies, _ = lexicon.technologies.bits(group)
    served, all_served = lexicon.countries.bits(offering.serves)
    interesting, all_interesting = lexicon.countries.bits(offering.interested_in)
    standards, all_standards = lexicon.standards.bits(offering.standards)
    languages, all_languages = lexicon.languages.bits(offering.languages or (NO_LANGUAGE,))
    words = _words((technologies, served, served | interesting, standards, languages), OFFERING_MAPS)
    return words, all_served and all_interesting and all_standards and all_languages


def _put_offering(offering: Offering, lexicon: Lexicon, cold: Array) -> bool:
    """False where it has to be kept whole."""
    wide = False
    for name, limit in (("minimum", offering.minimum_order), ("maximum", offering.maximum_order)):
        number = NOT_STATED if limit is None else _short_number(limit)
        wide |= number is None
        cold[name] = NOT_STATED if number is None else number
    fits, slotted = _put_attributes(offering.attributes, lexicon, cold)
    wide |= not fits
    wide |= not _put_prices(offering.prices, lexicon, cold)
    cold["wide"] = wide
    return slotted and not wide


def _put_attributes(attributes: Iterable[Attribute], lexicon: Lexicon, cold: Array) -> tuple[bool, bool]:
    """Whether all fit their slots, and whether all have one."""
    values = [NOT_STATED] * len(cold["values"])
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
    cold["values"] = values
    return fits, complete


def _slot_of(attribute: Attribute, nth: int = 0) -> Slot:
    return Slot(attribute.key, attribute.unit_key, attribute.value.number is None, nth)


def _slot_for(attribute: Attribute, value: float, values: list[float], lexicon: Lexicon) -> int | None:
    """The first of the attribute's slots that is free, or holds the same; None where there is none."""
    nth = 0
    while True:
        slot = lexicon.slots.number(_slot_of(attribute, nth))
        if slot is None or np.isnan(values[slot]) or values[slot] == value:
            return slot
        nth += 1


def _value(stated: Stated, lexicon: Lexicon) -> float | None:
    if stated.number is not None:
        number = _number(stated.number, _CERTAIN_DIGITS_OF_VALUES)
        return None if number is None else float(np.float32(number))
    text = lexicon.texts.number(stated.plain)
    return None if text is None else float(text)


def _put_prices(prices: Prices | None, lexicon: Lexicon, cold: Array) -> bool:
    cold["from_quantity"] = np.inf
    if prices is None:
        return True
    currency = lexicon.currencies.number(prices.currency)
    tiers = len(prices.quantities)
    if currency is None or tiers > TIERS:
        return False
    quantities = [_short_number(one) for one in prices.quantities]
    power = min((int(one.normalize().as_tuple().exponent) for one in prices.unit_prices if one), default=0)
    unit_prices = [int(one.scaleb(-power)) for one in prices.unit_prices]
    if None in quantities or not -128 <= power <= 22 or max(unit_prices) >= 2**31 or max(map(len, map(str, unit_prices))) > 15:
        return False
    cold["from_quantity"][:tiers], cold["unit_price"][:tiers] = quantities, unit_prices
    cold["price_power"] = power
    cold["tiers"], cold["currency"], cold["incremental"] = tiers, currency, prices.basis == "incremental"
    return True


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
    sets = np.zeros((len(needs), sum(NEED_MAPS)), np.uint64)
    hot, cold = np.zeros((len(needs), NEED_COLUMNS), np.int64), zeros(len(needs), NEED)
    whole = {}
    for n, (need, today) in enumerate(needs):
        hot[n, N.DAYS_LEFT] = (need.deadline - today).days
        technology = lexicon.technologies.known.index(need.technology)
        country = lexicon.countries.number(need.country)
        languages, _ = lexicon.languages.bits(need.languages)
        if country is None:
            raise ValueError(f"the need {need.id} is in {need.country!r}, one country more than there are")
        sets[n] = _words((1 << technology, 1 << country, languages), NEED_MAPS)
        record = cold[n]
        record["technology"], record["country"] = technology, country
        record["today"], record["deadline"] = today.toordinal(), need.deadline.toordinal()
        if not _put_need(need, lexicon, record):
            hot[n, N.LOOSE] = 1
            whole[n] = need
    return PackedNeeds(ids_of(need.id for need, _ in needs), sets, hot, cold, whole)


def _put_need(need: Need, lexicon: Lexicon, cold: Array) -> bool:
    """False where it does not fit."""
    standards = [lexicon.standards.number(one.key) for one in need.standards]
    languages = [lexicon.languages.number(one) for one in need.languages]
    quantity, budget = _number(need.quantity), NOT_STATED if need.budget is None else _number(need.budget)
    currency = lexicon.currencies.number(need.currency) if need.budget is not None else 0
    if quantity is None or budget is None or currency is None or None in standards or None in languages:
        return False
    if len(standards) > STANDARDS_ASKED or len(languages) > LANGUAGES_SPOKEN:
        return False
    cold["standard"][: len(standards)], cold["standards"] = standards, len(standards)
    cold["language"][: len(languages)], cold["languages"] = languages, len(languages)
    cold["quantity"], cold["budget"], cold["currency"] = quantity, budget, currency
    return _put_requirements(need.requirements, lexicon, cold)


class _Ask(NamedTuple):
    slot: int
    low: float
    high: float


def _put_requirements(requirements: tuple[Requirement, ...], lexicon: Lexicon, cold: Array) -> bool:
    n = 0
    for requirement in requirements:
        asks = _asks(requirement, lexicon)
        if asks is None or n + len(asks) > ASKS:
            return False
        for number, ask in enumerate(asks):
            cold["slot"][n], cold["low"][n], cold["high"][n] = ask
            cold["mandatory"][n] = requirement.mandatory
            cold["or_next"][n] = number + 1 < len(asks)
            n += 1
    cold["asks"], cold["requirements"] = n, len(requirements)
    return True


def _asks(requirement: Requirement, lexicon: Lexicon) -> list[_Ask] | None:
    """What the requirement comes to: any of them has to hold. None where that cannot be said in numbers."""
    found = []
    for value in requirement.values:
        number = _value(value, lexicon)
        slots = lexicon.slots_of(Slot(requirement.key, requirement.unit_key, value.number is None))
        if not slots or number is None or (requirement.op in (">=", "<=") and value.number is None):
            return None
        low = -np.inf if requirement.op == "<=" else number
        high = np.inf if requirement.op == ">=" else number
        found += [_Ask(slot, low, high) for slot in slots]
    return found or None


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
        if cold["or_next"][n]:
            continue
        op = "<=" if low == -np.inf else ">=" if high == np.inf else "in"
        wanted = tuple(dict.fromkeys(values))  # once for each slot of the attribute
        yield Requirement(slot.key, slot.key, slot.unit_key, slot.unit_key, op, wanted, bool(cold["mandatory"][n]))
        values = []
