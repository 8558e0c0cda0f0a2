"""The eight facets of a match: 100 points in all. Each is declared here once; the price has a file of its own.

What nobody stated earns less than what is known to be good, and the sentence says that it was not stated.
"""

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from common import vocabulary
from matching.domain.circumstances import Circumstances
from matching.domain.facet import Earned, Facet, Reason
from matching.domain.price_facet import PRICE
from matching.domain.prices import EXACT
from matching.domain.requirements import stated_for
from matching.domain.sides import Need, Offering
from matching.domain.words import Compared

# Technology ------------------------------------------------------------------------------------------------------------

SAME_TECHNOLOGY = Reason("same_technology", 20, "Same class: {asked:technology}.", "同じ分類「{asked:technology}」です。")
SAME_GROUP = Reason(
    "same_group",
    8,
    "Both are {group:technology}: the need asks for {asked:technology}, this is {offered:technology}.",
    "どちらも「{group:technology}」ですが、希望は「{asked:technology}」、こちらは「{offered:technology}」です。",
)
OTHER_GROUP = Reason("other_group", 0, "Another field than {asked:technology}.", "「{asked:technology}」とは別の分野です。")


def _technology(need: Need, offering: Offering, _: Circumstances) -> Earned:
    if need.technology in offering.technologies:
        return Earned(SAME_TECHNOLOGY.points, SAME_TECHNOLOGY, {"asked": need.technology})
    known = vocabulary.technologies()
    offered = next((code for code in offering.technologies if known[code].group == need.group), None)
    if offered is None:
        return Earned(OTHER_GROUP.points, OTHER_GROUP, {"asked": need.technology})
    return Earned(SAME_GROUP.points, SAME_GROUP, {"group": need.group, "asked": need.technology, "offered": offered})


# Country ---------------------------------------------------------------------------------------------------------------

SERVED = Reason("served", 15, "Delivers to {country:country}.", "{country:country}に納入しています。")
OF_INTEREST = Reason(
    "of_interest",
    8,
    "{country:country} is a country of interest; it is not among those served yet.",
    "{country:country}を関心国に挙げています。納入先にはまだ入っていません。",
)
NOT_REACHED = Reason(
    "not_reached",
    0,
    "{country:country} is neither served nor of interest.",
    "{country:country}は納入先にも関心国にもありません。",
)


def _country(need: Need, offering: Offering, _: Circumstances) -> Earned:
    country = need.country
    reason = SERVED if country in offering.serves else OF_INTEREST if country in offering.interested_in else NOT_REACHED
    return Earned(reason.points, reason, {"country": country})


# Quantity --------------------------------------------------------------------------------------------------------------

WITHIN_ORDERS = Reason(
    "within_orders",
    10,
    "Its orders of {minimum:number} to {maximum:number} include {quantity:quantity unit}.",
    "{quantity:quantity unit}は注文の範囲（{minimum:number}–{maximum:number}）に入ります。",
)
ABOVE_MINIMUM = Reason(
    "above_minimum",
    9,
    "Its smallest order of {minimum:number} is reached with {quantity:quantity unit}; a largest is not stated.",
    "{quantity:quantity unit}は最小注文{minimum:number}に届きます。最大注文の記載はありません。",
)
BELOW_MAXIMUM = Reason(
    "below_maximum",
    9,
    "Its largest order of {maximum:number} is not exceeded by {quantity:quantity unit}; a smallest is not stated.",
    "{quantity:quantity unit}は最大注文{maximum:number}を超えません。最小注文の記載はありません。",
)
NO_LIMITS = Reason("no_limits", 7, "The sizes of orders it takes are not stated.", "注文できる数量の範囲の記載がありません。")
TOO_FEW = Reason(
    "too_few",
    6,
    "Its smallest order is {minimum:quantity unit}: {missing:number} more than the {quantity:number} asked for.",
    "最小注文は{minimum:quantity unit}で、希望の{quantity:number}より{missing:number}多くなります。",
)
TOO_MANY = Reason(
    "too_many",
    6,
    "Its largest order is {maximum:quantity unit}: {missing:number} fewer than the {quantity:number} asked for.",
    "最大注文は{maximum:quantity unit}で、希望の{quantity:number}より{missing:number}少なくなります。",
)


def _quantity(need: Need, offering: Offering, _: Circumstances) -> Earned:
    """Outside of the limits, the share of the quantity that could be had counts, rounded down."""
    quantity, minimum, maximum = need.quantity, offering.minimum_order, offering.maximum_order
    values = {"quantity": quantity, "unit": need.unit, "minimum": minimum, "maximum": maximum}
    if minimum is not None and quantity < minimum:
        points = _share(TOO_FEW.points, quantity, minimum)
        return Earned(points, TOO_FEW, {**values, "missing": minimum - quantity})
    if maximum is not None and quantity > maximum:
        points = _share(TOO_MANY.points, maximum, quantity)
        return Earned(points, TOO_MANY, {**values, "missing": quantity - maximum})
    if minimum is not None and maximum is not None:
        return Earned(WITHIN_ORDERS.points, WITHIN_ORDERS, values)
    reason = ABOVE_MINIMUM if minimum is not None else BELOW_MAXIMUM if maximum is not None else NO_LIMITS
    return Earned(reason.points, reason, values)


def _share(points: int, part: Decimal, whole: Decimal) -> int:
    return int(EXACT.divide_int(EXACT.multiply(points, part), whole))


# Lead time -------------------------------------------------------------------------------------------------------------


class _Spare(NamedTuple):
    """The points for so many days to spare, or more."""

    days: int
    points: int


SPARES = (_Spare(60, 10), _Spare(30, 9), _Spare(0, 8))
DAYS_LATE_PER_POINT = 5

IN_TIME = Reason(
    "in_time",
    10,
    "{lead_time:days}; {left:days} remain until {deadline:day}: {spare:number} to spare.",
    "{lead_time:days}で納入。期限（{deadline:day}）まで{left:days}あり、{spare:days}の余裕があります。",
)
LATE = Reason(
    "late",
    6,
    "{lead_time:days}; {left:days} remain until {deadline:day}: {late:number} too many.",
    "納入に{lead_time:days}かかり、期限（{deadline:day}、残り{left:days}）を{late:days}過ぎます。",
)
LEAD_TIME_NOT_STATED = Reason("lead_time_not_stated", 4, "Its lead time is not stated.", "納期の記載がありません。")


def _lead_time(need: Need, offering: Offering, circumstances: Circumstances) -> Earned:
    lead_time = offering.lead_time_days
    if lead_time is None:
        return Earned(LEAD_TIME_NOT_STATED.points, LEAD_TIME_NOT_STATED, {})
    left = (need.deadline - circumstances.today).days
    spare = left - lead_time
    values = {"lead_time": lead_time, "left": left, "deadline": need.deadline}
    if spare < 0:
        points = max(0, LATE.points - -spare // DAYS_LATE_PER_POINT)
        return Earned(points, LATE, {**values, "late": -spare})
    points = next(step.points for step in SPARES if spare >= step.days)
    return Earned(points, IN_TIME, {**values, "spare": spare})


# Specification ---------------------------------------------------------------------------------------------------------

NOTHING_ASKED = Reason("nothing_asked", 12, "The need asks for no particular specification.", "仕様についての希望はありません。")
ALL_MET = Reason("all_met", 12, "All requirements met: {met:fitting}.", "希望にすべて合います。{met:fitting}。")
SOME_MET = Reason(
    "some_met",
    11,
    "Requirements met: {met:number} of {total:number}. Not met: {missed:missed}.",
    "{total:number}項目のうち{met:number}項目が合います。{missed:missed}です。",
)
COMPARISONS_SHOWN = 3


def _specification(need: Need, offering: Offering, _: Circumstances) -> Earned:
    """The share of the requirements that are met, mandatory ones too, rounded down."""
    total = len(need.requirements)
    if total == 0:
        return Earned(NOTHING_ASKED.points, NOTHING_ASKED, {})
    fitting: list[Compared] = []
    missed: list[Compared] = []
    for requirement in need.requirements:
        met, stated = stated_for(requirement, offering)
        (fitting if met else missed).append(Compared(requirement, stated))
    if not missed:
        return Earned(ALL_MET.points, ALL_MET, {"met": tuple(fitting[:COMPARISONS_SHOWN])})
    points = ALL_MET.points * len(fitting) // total
    return Earned(points, SOME_MET, {"met": len(fitting), "total": total, "missed": tuple(missed[:COMPARISONS_SHOWN])})


# Standards and certificates --------------------------------------------------------------------------------------------

NO_STANDARD_ASKED = Reason(
    "no_standard_asked", 8, "The need names no standard or certificate.", "規格・証明についての希望はありません。"
)
ALL_HELD = Reason("all_held", 8, "States all that are welcome: {held:listed}.", "希望の{held:listed}がすべて記載されています。")
SOME_HELD = Reason(
    "some_held",
    7,
    "States {held:listed}; {lacking:listed} not stated.",
    "{held:listed}は記載あり、{lacking:listed}は記載がありません。",
)
NONE_HELD = Reason("none_held", 0, "Not stated: {lacking:listed}.", "{lacking:listed}の記載がありません。")


def _standards(need: Need, offering: Offering, _: Circumstances) -> Earned:
    """The share of the welcome standards that the offering states, rounded down."""
    if not need.standards:
        return Earned(NO_STANDARD_ASKED.points, NO_STANDARD_ASKED, {})
    held = tuple(asked.name for asked in need.standards if asked.key in offering.standards)
    if len(held) == len(need.standards):
        return Earned(ALL_HELD.points, ALL_HELD, {"held": held})
    lacking = tuple(asked.name for asked in need.standards if asked.key not in offering.standards)
    if not held:
        return Earned(NONE_HELD.points, NONE_HELD, {"lacking": lacking})
    points = ALL_HELD.points * len(held) // len(need.standards)
    return Earned(points, SOME_HELD, {"held": held, "lacking": lacking})


# Language --------------------------------------------------------------------------------------------------------------

SHARED = Reason("shared", 5, "Works in {shared:languages}.", "{shared:languages}で対応します。")
NONE_SHARED = Reason(
    "none_shared",
    0,
    "Works in {offered:languages}; the city works in {asked:languages}.",
    "対応言語は{offered:languages}で、都市の言語（{asked:languages}）は含まれません。",
)
LANGUAGES_NOT_STATED = Reason("languages_not_stated", 2, "Its languages are not stated.", "対応言語の記載がありません。")


def _language(need: Need, offering: Offering, _: Circumstances) -> Earned:
    if not offering.languages:
        return Earned(LANGUAGES_NOT_STATED.points, LANGUAGES_NOT_STATED, {})
    shared = tuple(code for code in need.languages if code in offering.languages)
    if shared:
        return Earned(SHARED.points, SHARED, {"shared": shared})
    return Earned(NONE_SHARED.points, NONE_SHARED, {"offered": offering.languages, "asked": need.languages})


# All of them -----------------------------------------------------------------------------------------------------------

TECHNOLOGY = Facet("technology", {"en": "Technology", "ja": "技術"}, (SAME_TECHNOLOGY, SAME_GROUP, OTHER_GROUP), _technology)
COUNTRY = Facet("country", {"en": "Country", "ja": "国"}, (SERVED, OF_INTEREST, NOT_REACHED), _country)

FACETS = (
    TECHNOLOGY,
    COUNTRY,
    Facet(
        "quantity",
        {"en": "Quantity", "ja": "数量"},
        (WITHIN_ORDERS, ABOVE_MINIMUM, BELOW_MAXIMUM, NO_LIMITS, TOO_FEW, TOO_MANY),
        _quantity,
    ),
    PRICE,
    Facet(
        "lead_time",
        {"en": "Lead time", "ja": "納期"},
        (IN_TIME, LATE, LEAD_TIME_NOT_STATED),
        _lead_time,
        (*SPARES, (DAYS_LATE_PER_POINT,)),
    ),
    Facet("specification", {"en": "Specification", "ja": "仕様"}, (NOTHING_ASKED, ALL_MET, SOME_MET), _specification),
    Facet(
        "standards",
        {"en": "Certificates", "ja": "規格・証明"},
        (NO_STANDARD_ASKED, ALL_HELD, SOME_HELD, NONE_HELD),
        _standards,
    ),
    Facet("language", {"en": "Language", "ja": "言語"}, (SHARED, NONE_SHARED, LANGUAGES_NOT_STATED), _language),
)
"""In the order in which they are shown and judged: the cheap and decisive ones first."""

POSSIBLE = sum(facet.possible for facet in FACETS)

STEPS = 2
"""Raise it when the way from one declared number of points to the next changes otherwise than by a declared step."""


def version_of(facets: Iterable[Facet]) -> str:
    """Changes with every declared number of points, with the steps between them, and with `STEPS`."""
    declared = [
        (facet.name, facet.possible, [(one.code, one.points) for one in facet.reasons], [tuple(step) for step in facet.steps])
        for facet in facets
    ]
    return f"{STEPS}-{hashlib.sha256(repr(declared).encode()).hexdigest()[:8]}"


WEIGHTS = version_of(FACETS)
"""Which points were in force; announced with every list."""
