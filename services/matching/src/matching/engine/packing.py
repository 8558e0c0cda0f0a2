"""Puts needs and offerings into their packed form, and reads them back.

What is read back judges as the original does; what cannot be read back so is kept whole. `wide` offerings and `loose` needs
are those about which the kernels only know a bound.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from matching.domain.sides import Attribute, Named, Need, Offering, Prices, Requirement, Stated
from matching.engine.layout import (
    ASKS,
    LOOSE,
    NEED,
    NEED_COLUMNS,
    NOT_STATED,
    OFFERING,
    OFFERING_COLUMNS,
    TIERS,
    Array,
    N,
    O,
    Words,
    id_from,
    words_of,
)
from matching.engine.lexicon import Lexicon, Slot

_WORD = 2**64 - 1
_CERTAIN_DIGITS = 15
"""Decimals of so many digits are told apart by the binary numbers nearest to them, and read back from those."""


class PackedOffering(NamedTuple):
    """An offering for one field. `whole` is the offering where it cannot be read back from its numbers."""

    hot: Words
    cold: Array
    whole: Offering | None


class PackedOfferings(NamedTuple):
    """Many of them: columns by number, records, and who is whole by number."""

    hot: Words
    cold: Array
    whole: dict[int, Offering]

    @classmethod
    def of(cls, packed: Sequence[PackedOffering]) -> "PackedOfferings":
        hot = np.array([one.hot for one in packed], np.uint64).reshape(-1, OFFERING_COLUMNS).T
        cold = np.array([one.cold for one in packed], OFFERING)
        return cls(hot, cold, {n: one.whole for n, one in enumerate(packed) if one.whole is not None})


class PackedNeeds(NamedTuple):
    """Many of them."""

    hot: Words
    cold: Array
    whole: dict[int, Need]

    @classmethod
    def of(cls, packed: "Sequence[PackedNeed]") -> "PackedNeeds":
        hot = np.array([one.hot for one in packed], np.uint64).reshape(-1, NEED_COLUMNS).T
        cold = np.array([one.cold for one in packed], NEED)
        return cls(hot, cold, {n: one.whole for n, one in enumerate(packed) if one.whole is not None})


class PackedNeed(NamedTuple):
    """A need for its field. `whole` is the need where it is loose."""

    hot: Words
    cold: Array
    whole: Need | None


def _number(amount: Decimal) -> float | None:
    """As a binary number; None where that might not tell it from its neighbours."""
    if len(str(amount)) > _CERTAIN_DIGITS and len(amount.normalize().as_tuple().digits) > _CERTAIN_DIGITS:
        return None
    found = float(amount)
    return found if abs(found) < 1e100 else None


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


# Offerings -------------------------------------------------------------------------------------------------------------


def pack_offering(offering: Offering, lexicon: Lexicon) -> PackedOffering:
    """Raises ValueError where its id is too long."""
    hot, cold = np.zeros(OFFERING_COLUMNS, np.uint64), np.zeros((), OFFERING)
    technologies, _ = lexicon.technologies.bits(code for code in offering.technologies if code in lexicon.technologies.known)
    served, all_served = lexicon.countries.bits(offering.serves)
    interesting, all_interesting = lexicon.countries.bits(offering.interested_in)
    standards, all_standards = lexicon.standards.bits(offering.standards)
    languages, all_languages = lexicon.languages.bits(offering.languages)
    complete = all_served and all_interesting and all_standards and all_languages
    wide = bool(offering.languages) and not languages  # states some, so it must not look as if it stated none
    hot[O.TECHNOLOGIES] = technologies
    for word in range(2):
        hot[O.SERVED + word] = served >> 64 * word & _WORD
        hot[O.REACHED + word] = (served | interesting) >> 64 * word & _WORD
    hot[O.STANDARDS], hot[O.LANGUAGES] = standards, languages
    hot[O.LEAD_TIME] = np.int64(-1 if offering.lead_time_days is None else offering.lead_time_days).astype(np.uint64)
    cold["id"] = words_of(offering.id)
    for name, limit in (("minimum", offering.minimum_order), ("maximum", offering.maximum_order)):
        number = NOT_STATED if limit is None else _number(limit)
        wide |= number is None
        cold[name] = NOT_STATED if number is None else number
    fits, slotted = _put_attributes(offering.attributes, lexicon, cold)
    wide |= not fits
    wide |= not _put_prices(offering.prices, lexicon, cold)
    cold["wide"] = wide
    return PackedOffering(hot, cold, offering if wide or not (complete and slotted) else None)


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
        return _number(stated.number)
    number = lexicon.texts.number(stated.plain)
    return None if number is None else float(number)


def _put_prices(prices: Prices | None, lexicon: Lexicon, cold: Array) -> bool:
    cold["from_quantity"] = np.inf
    if prices is None:
        return True
    currency = lexicon.currencies.number(prices.currency)
    tiers = len(prices.quantities)
    if currency is None or tiers > TIERS:
        return False
    quantities, unit_prices = map(_number, prices.quantities), map(_number, prices.unit_prices)
    for tier, (quantity, unit_price) in enumerate(zip(quantities, unit_prices, strict=True)):
        if quantity is None or unit_price is None:
            return False
        cold["from_quantity"][tier] = quantity
        cold["unit_price"][tier] = unit_price
    cold["tiers"], cold["currency"], cold["incremental"] = tiers, currency, prices.basis == "incremental"
    return True


def unpack_offering(hot: Words, cold: Array, lexicon: Lexicon) -> Offering:
    """An offering that the plain rules judge as the one that was packed."""
    lead_time = int(hot[O.LEAD_TIME].astype(np.int64))
    served = lexicon.countries.named(_joined(hot, O.SERVED))
    return Offering(
        id=id_from(cold["id"]),
        technologies=tuple(lexicon.technologies.named(int(hot[O.TECHNOLOGIES]))),
        unit=lexicon.unit,
        serves=frozenset(served),
        interested_in=frozenset(lexicon.countries.named(_joined(hot, O.REACHED))) - frozenset(served),
        prices=_prices(cold, lexicon),
        minimum_order=_limit(float(cold["minimum"])),
        maximum_order=_limit(float(cold["maximum"])),
        lead_time_days=None if lead_time < 0 else lead_time,
        attributes=tuple(_attributes(cold["values"], lexicon)),
        standards=frozenset(lexicon.standards.named(int(hot[O.STANDARDS]))),
        languages=tuple(lexicon.languages.named(int(hot[O.LANGUAGES]))),
        listed=True,
    )


def _joined(hot: Words, first: int) -> int:
    return int(hot[first]) | int(hot[first + 1]) << 64


def _limit(number: float) -> Decimal | None:
    return None if np.isnan(number) else _decimal(number)


def _attributes(values: Array, lexicon: Lexicon) -> Iterable[Attribute]:
    for slot, value in zip(lexicon.slots.known, values, strict=False):
        if not np.isnan(value):
            yield Attribute(slot.key, slot.key, slot.unit_key, slot.unit_key, _stated(slot, float(value), lexicon))


def _stated(slot: Slot, value: float, lexicon: Lexicon) -> Stated:
    if not slot.is_text:
        return Stated(number=_decimal(value))
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
        tuple(_decimal(float(one)) for one in cold["unit_price"][:tiers]),
    )


# Needs -----------------------------------------------------------------------------------------------------------------


def pack_need(need: Need, today: date, lexicon: Lexicon) -> PackedNeed:
    """`today` is the day at the municipality for which it is judged."""
    hot, cold = np.zeros(NEED_COLUMNS, np.uint64), np.zeros((), NEED)
    country = lexicon.countries.number(need.country)
    standards, all_standards = lexicon.standards.bits(one.key for one in need.standards)
    languages, all_languages = lexicon.languages.bits(need.languages)
    hot[N.TECHNOLOGY] = 1 << lexicon.technologies.known.index(need.technology)
    hot[N.COUNTRY] = country or 0
    hot[N.STANDARDS], hot[N.STANDARDS_ASKED], hot[N.LANGUAGES] = standards, len(need.standards), languages
    hot[N.DAYS_LEFT] = np.int64((need.deadline - today).days).astype(np.uint64)
    cold["id"] = words_of(need.id)
    cold["today"], cold["deadline"] = today.toordinal(), need.deadline.toordinal()
    cold["any_country"] = country is None
    fits = all_standards and all_languages and country is not None
    quantity, budget = _number(need.quantity), NOT_STATED if need.budget is None else _number(need.budget)
    currency = lexicon.currencies.number(need.currency) if need.budget is not None else 0
    if quantity is None or budget is None or currency is None:
        fits = False
    else:
        cold["quantity"], cold["budget"], cold["currency"] = quantity, budget, currency
    fits &= _put_requirements(need.requirements, lexicon, cold)
    hot[N.FLAGS] = 0 if fits else LOOSE
    return PackedNeed(hot, cold, None if fits else need)


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
    return len(requirements) <= ASKS


def _asks(requirement: Requirement, lexicon: Lexicon) -> list[_Ask] | None:
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


def unpack_need(hot: Words, cold: Array, lexicon: Lexicon) -> Need:
    """A need that the plain rules judge as the one that was packed."""
    budget = _limit(float(cold["budget"]))
    return Need(
        id=id_from(cold["id"]),
        technology=lexicon.technologies.named(int(hot[N.TECHNOLOGY]))[0],
        unit=lexicon.unit,
        country=lexicon.countries.known[int(hot[N.COUNTRY])],
        quantity=_decimal(float(cold["quantity"])),
        budget=budget,
        currency="" if budget is None else lexicon.currencies.known[int(cold["currency"])],
        deadline=date.fromordinal(int(cold["deadline"])),
        languages=tuple(lexicon.languages.named(int(hot[N.LANGUAGES]))),
        requirements=tuple(_requirements(cold, lexicon)),
        standards=tuple(Named(key, key) for key in lexicon.standards.named(int(hot[N.STANDARDS]))),
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
