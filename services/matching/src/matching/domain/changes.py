"""What stands between a need and an offering, the smallest change that takes it away, and who can make it.

A gate is opened, or a facet that lost most of its points is mended: quantity or lead time. Both sides as they would then be
come along, so that whoever promises a score can have the rules judge it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from matching.domain.circumstances import Circumstances
from matching.domain.facet import Reason
from matching.domain.facets import FACETS, LATE, TOO_FEW, TOO_MANY
from matching.domain.gates import Failure
from matching.domain.requirements import stated_for
from matching.domain.sides import Attribute, Need, Offering, Requirement

Who = Literal["city", "company"]

WHO = {
    "city": {"en": "The city can decide this.", "ja": "市が決められます。"},
    "company": {"en": "The company can do this.", "ja": "会社が対応できます。"},
}


class Said(NamedTuple):
    """A reason with the figures that its sentence names."""

    reason: Reason
    values: Mapping[str, Any]


class Change(NamedTuple):
    """An obstacle, the smallest change that takes it away, and who can make that change."""

    obstacle: Said
    what: Said
    who: Who


class Mended(NamedTuple):
    """The changes, and both sides after all of them."""

    changes: tuple[Change, ...]
    need: Need
    offering: Offering


def says(code: str, en: str, ja: str) -> Reason:
    """A reason that earns nothing by itself."""
    return Reason(code, 0, en, ja)


NO_COUNTRY = says(
    "country",
    "{country:country} is not among its countries.",
    "{country:country}が納入先にも関心国にもありません。",
)
ADD_COUNTRY = says(
    "add_country",
    "The company adds {country:country} to its countries of interest",
    "会社が関心国に{country:country}を加える",
)
NOT_MET = says(
    "not_met", "Asked for {asked:asked}; stated {stated:stated}.", "{asked:asked}の条件に対し、記載は{stated:stated}です。"
)
ASK_FOR_LESS = says(
    "ask_for", "Ask for {offered:stated} instead of {before:stated}", "条件を{before:stated}から{offered:stated}に変える"
)
ACCEPT = says("accept", "Accept {offered:stated} for {attribute} too", "{attribute}に{offered:stated}も認める")
NOT_STATED = says("not_stated", "It does not state “{attribute}”.", "「{attribute}」の記載がありません。")
OTHER_UNIT = says(
    "other_unit",
    "It states “{attribute}” as {stated:stated}, which is not in the unit asked for ({unit}).",
    "「{attribute}」の記載は{stated:stated}で、希望の単位（{unit}）ではありません。",
)
STATE_IT = says(
    "state_it",
    "The company states {attribute}: {wanted:wanted} would do",
    "会社が{attribute}を記載する（{wanted:wanted}なら合います）",
)
TOO_LATE = says(
    "late",
    "Needs {lead_time:days}: {late:number} too many.",
    "納入に{lead_time:days}かかり、期限を{late:days}過ぎます。",
)
LATER = says("later", "Move delivery to {deadline:day}", "納期を{deadline:day}に延ばす")
SMALLEST_ORDER = says(
    "smallest_order", "Its smallest order is {minimum:quantity unit}.", "最小注文は{minimum:quantity unit}です。"
)
ORDER_MORE = says(
    "order_more",
    "Order {missing:quantity unit} more, together with others",
    "あと{missing:quantity unit}をほかの自治体と合わせて注文する",
)
LARGEST_ORDER = says("largest_order", "Its largest order is {maximum:quantity unit}.", "最大注文は{maximum:quantity unit}です。")
ORDER_FEWER = says(
    "order_fewer",
    "Order {maximum:quantity unit} here, and the rest elsewhere",
    "{maximum:quantity unit}をここに、残りを別に注文する",
)
OBSTACLES = (NO_COUNTRY, NOT_MET, NOT_STATED, OTHER_UNIT, TOO_LATE, SMALLEST_ORDER, LARGEST_ORDER)
CHANGES = (ADD_COUNTRY, ASK_FOR_LESS, ACCEPT, STATE_IT, LATER, ORDER_MORE, ORDER_FEWER)

MENDABLE = ("country", "requirement")
"""The gates that a small change can open; nobody changes what they want into another field."""
LOSES_MUCH = 2
"""A facet that earned less than 1 / LOSES_MUCH of its points is worth a change."""


# Gates -----------------------------------------------------------------------------------------------------------------


def open_gates(need: Need, offering: Offering, failed: Sequence[Failure]) -> Mended | None:
    """Both sides with the smallest change for each of these gates; None where no small change opens one of them."""
    changes: list[Change] = []
    unstated: dict[tuple[str, str], list[Requirement]] = {}
    for failure in failed:
        if failure.gate not in MENDABLE:
            return None
        asked = failure.requirement
        if asked is None:
            country = Said(ADD_COUNTRY, {"country": need.country})
            changes.append(Change(Said(NO_COUNTRY, {"country": need.country}), country, "company"))
            offering = replace(offering, interested_in=offering.interested_in | {need.country})
        elif failure.stated is None or failure.stated.unit_key != asked.unit_key:
            # "At least 10" and "at most 20" of one attribute: the company states it once.
            unstated.setdefault((asked.key, asked.unit_key), []).append(asked)
        else:
            change, need = _ask_otherwise(need, asked, _nearest(asked, offering, failure.stated))
            changes.append(change)
    for asked_of_one in unstated.values():
        stating_it = _that_would_do(asked_of_one, offering)
        if stating_it is None:
            return None
        changes.append(_state(asked_of_one, offering))
        offering = replace(offering, attributes=(*offering.attributes, stating_it))
    return Mended(tuple(changes), need, offering)


def _that_would_do(asked: Sequence[Requirement], offering: Offering) -> Attribute | None:
    """A statement that meets all of them, if one does."""
    first = asked[0]
    for value in (value for one in asked for value in one.values):
        stated = Attribute(first.key, first.name, first.unit_key, first.unit, value)
        if all(stated_for(one, replace(offering, attributes=(stated,)))[0] for one in asked):
            return stated
    return None


def _state(asked: Sequence[Requirement], offering: Offering) -> Change:
    first = asked[0]
    attribute = {"attribute": _name(first)}
    _, stated = stated_for(first, offering)
    obstacle = Said(NOT_STATED, attribute)
    if stated is not None:
        obstacle = Said(OTHER_UNIT, {**attribute, "stated": stated, "unit": first.unit or "–"})
    return Change(obstacle, Said(STATE_IT, {**attribute, "wanted": tuple(asked)}), "company")


def _ask_otherwise(need: Need, asked: Requirement, stated: Attribute) -> tuple[Change, Need]:
    """The city asks for as much as is stated, or accepts that too."""
    if asked.op in (">=", "<=") and stated.value.number is not None:
        before = Attribute(asked.key, asked.name, asked.unit_key, asked.unit, asked.values[0])
        what, instead = Said(ASK_FOR_LESS, {"offered": stated, "before": before}), replace(asked, values=(stated.value,))
    else:
        what = Said(ACCEPT, {"offered": stated, "attribute": _name(asked)})
        instead = replace(asked, op="in", values=(*asked.values, stated.value))
    requirements = tuple(instead if one == asked else one for one in need.requirements)
    return Change(Said(NOT_MET, {"asked": asked, "stated": stated}), what, "city"), replace(need, requirements=requirements)


def _nearest(asked: Requirement, offering: Offering, else_: Attribute) -> Attribute:
    """Of several values that are stated for the attribute, the one that asks the least of the city."""
    wanted = [value.number for value in asked.values if value.number is not None]
    known = [
        (min(abs(one.value.number - number) for number in wanted), n, one)
        for n, one in enumerate(offering.attributes)
        if wanted and one.key == asked.key and one.unit_key == asked.unit_key and one.value.number is not None
    ]
    return min(known)[2] if known else else_


def _name(asked: Requirement) -> str:
    return asked.name.replace("_", " ")


# Facets ----------------------------------------------------------------------------------------------------------------

_QUANTITY, _LEAD_TIME = (next(facet for facet in FACETS if facet.name == name) for name in ("quantity", "lead_time"))


def regain(need: Need, offering: Offering, circumstances: Circumstances) -> Mended | None:
    """A pair that passes with what it lost most of mended: it is late, or outside of the order limits. None: neither is so."""
    changes: list[Change] = []
    after = need
    for facet in (_QUANTITY, _LEAD_TIME):
        earned = facet.earn(need, offering, circumstances)
        if earned.points * LOSES_MUCH >= facet.possible:
            continue
        if earned.reason is LATE:
            after = replace(after, deadline=need.deadline + timedelta(days=earned.values["late"]))
            later = Said(LATER, {"deadline": after.deadline})
            changes.append(Change(Said(TOO_LATE, earned.values), later, "city"))
        elif earned.reason is TOO_FEW:
            after = _for(after, earned.values["minimum"])
            changes.append(Change(Said(SMALLEST_ORDER, earned.values), Said(ORDER_MORE, earned.values), "city"))
        elif earned.reason is TOO_MANY:
            after = _for(after, earned.values["maximum"])
            changes.append(Change(Said(LARGEST_ORDER, earned.values), Said(ORDER_FEWER, earned.values), "city"))
    return Mended(tuple(changes), after, offering) if changes else None


def _for(need: Need, quantity: Decimal) -> Need:
    """The need for another quantity, with the same budget for one unit."""
    return replace(need, quantity=quantity, budget=None if need.budget is None else need.budget * quantity / need.quantity)
