"""What nearly fits a need, the smallest change that would do, and who can make it.

A near miss fails exactly one gate, or passes and loses most of a facet that somebody can change: quantity or lead time.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from matching.domain.circumstances import Circumstances
from matching.domain.facet import Reason
from matching.domain.facets import LATE, TOO_FEW, TOO_MANY
from matching.domain.gates import Failure, failures, is_expired
from matching.domain.shortlist import Rank, earnings
from matching.domain.sides import Attribute, Need, Offering, Requirement
from matching.domain.words import asked_for, stated_as, would_do

Who = Literal["city", "company"]

WHO = {
    "city": {"en": "The city can decide this.", "ja": "市が決められます。"},
    "company": {"en": "The company can do this.", "ja": "会社が対応できます。"},
}


class Change(NamedTuple):
    """The smallest change that would do: a sentence, its figures, who can make it, and both sides after it."""

    what: Reason
    values: dict[str, Any]
    who: Who
    need: Need
    offering: Offering


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An offering that nearly fits: what stands in the way, the change, and the score after it."""

    offering: Offering
    obstacle: Reason
    values: dict[str, Any]
    change: Change
    score_after: int

    @property
    def rank(self) -> Rank:
        return Rank.of(self.score_after, self.offering.id)


def _says(code: str, en: str, ja: str) -> Reason:
    return Reason(code, 0, en, ja)


NO_COUNTRY = _says(
    "country",
    "{country:country} is not among its countries.",
    "{country:country}が納入先にも関心国にもありません。",
)
ADD_COUNTRY = _says(
    "add_country",
    "The company adds {country:country} to its countries of interest",
    "会社が関心国に{country:country}を加える",
)
NOT_MET = _says("not_met", "Asked for {asked_en}; stated {stated_en}.", "{asked_ja}の条件に対し、{stated_ja}です。")
NOT_STATED = _says("not_stated", "It does not state “{attribute}”.", "「{attribute}」の記載がありません。")
STATE_IT = _says(
    "state_it", "The company states {attribute}: {wanted_en} would do", "会社が{attribute}を記載する（{wanted_ja}なら合います）"
)
ASK_FOR_LESS = _says("ask_for", "Ask for {offered_en} instead of {before_en}", "条件を{before_ja}から{offered_ja}に変える")
ACCEPT = _says("accept", "Accept {offered_en} for {attribute} too", "{attribute}に{offered_ja}も認める")
TOO_LATE = _says(
    "late",
    "Needs {lead_time:days}: {late:number} too many.",
    "納入に{lead_time:days}かかり、期限を{late:days}過ぎます。",
)
LATER = _says("later", "Move delivery to {deadline:day}", "納期を{deadline:day}に延ばす")
SMALLEST_ORDER = _says(
    "smallest_order", "Its smallest order is {minimum:quantity unit}.", "最小注文は{minimum:quantity unit}です。"
)
ORDER_MORE = _says("order_more", "Order {missing:quantity unit} more together", "あと{missing:quantity unit}を合わせて注文する")
LARGEST_ORDER = _says("largest_order", "Its largest order is {maximum:quantity unit}.", "最大注文は{maximum:quantity unit}です。")
ORDER_FEWER = _says(
    "order_fewer",
    "Order {maximum:quantity unit} of it, and the rest elsewhere",
    "{maximum:quantity unit}をここに、残りを別に注文する",
)

MENDABLE = ("country", "requirement")
"""The gates that a small change can open; nobody changes what they want into another field."""
LOSES_MUCH = 2
"""A facet that earned less than 1 / LOSES_MUCH of its points is worth a change."""


def near_misses(need: Need, offerings: Iterable[Offering], circumstances: Circumstances, most: int) -> list[NearMiss]:
    """The `most` best, by the score they would have after the change and then by offering id."""
    found = (near_miss(need, offering, circumstances) for offering in offerings)
    return sorted((miss for miss in found if miss), key=lambda miss: miss.rank)[:most]


def near_miss(need: Need, offering: Offering, circumstances: Circumstances) -> NearMiss | None:
    failed = failures(need, offering, circumstances)
    first = next(failed, None)
    if first is None:
        return _loses_much(need, offering, circumstances)
    if first.gate not in MENDABLE or next(failed, None) is not None:
        return None
    obstacle, values, change = _country(need, offering) if first.gate == "country" else _requirement(need, offering, first)
    return _after(offering, obstacle, values, change, circumstances)


def _after(
    offering: Offering, obstacle: Reason, values: dict[str, Any], change: Change, circumstances: Circumstances
) -> NearMiss:
    earned = earnings(change.need, change.offering, circumstances) or ()
    return NearMiss(offering, obstacle, values, change, sum(one.points for one in earned))


def _country(need: Need, offering: Offering) -> tuple[Reason, dict[str, Any], Change]:
    values = {"country": need.country}
    after = replace(offering, interested_in=offering.interested_in | {need.country})
    return NO_COUNTRY, values, Change(ADD_COUNTRY, values, "company", need, after)


def _requirement(need: Need, offering: Offering, failure: Failure) -> tuple[Reason, dict[str, Any], Change]:
    asked, stated = failure.requirement, failure.stated
    if asked is None:
        raise ValueError("a failed requirement says which one")
    attribute = asked.name.replace("_", " ")
    if stated is None or stated.unit_key != asked.unit_key:
        values = {"attribute": attribute, "wanted_en": would_do(asked, "en"), "wanted_ja": would_do(asked, "ja")}
        stating_it = Attribute(asked.key, asked.name, asked.unit_key, asked.unit, asked.values[0])
        after = replace(offering, attributes=(*offering.attributes, stating_it))
        return NOT_STATED, {"attribute": attribute}, Change(STATE_IT, values, "company", need, after)
    offered = {f"offered_{language}": stated_as(stated, language) for language in ("en", "ja")}
    obstacle = {
        **{f"asked_{language}": asked_for(asked, language) for language in ("en", "ja")},
        **{f"stated_{language}": stated_as(stated, language) for language in ("en", "ja")},
    }
    if asked.op in (">=", "<=") and stated.value.number is not None:
        before = Attribute(asked.key, asked.name, asked.unit_key, asked.unit, asked.values[0])
        values = {**offered, "before_en": stated_as(before, "en"), "before_ja": stated_as(before, "ja")}
        change = _asking(need, asked, replace(asked, values=(stated.value,)))
        return NOT_MET, obstacle, Change(ASK_FOR_LESS, values, "city", change, offering)
    accepts = replace(asked, op="in", values=(*asked.values, stated.value))
    return NOT_MET, obstacle, Change(ACCEPT, {**offered, "attribute": attribute}, "city", _asking(need, asked, accepts), offering)


def _asking(need: Need, asked: Requirement, instead: Requirement) -> Need:
    return replace(need, requirements=tuple(instead if one == asked else one for one in need.requirements))


def _loses_much(need: Need, offering: Offering, circumstances: Circumstances) -> NearMiss | None:
    """A pair that passes, but is late or outside of the order limits; the worse of the two is what is mended."""
    earned = {one.reason.code: one for one in earnings(need, offering, circumstances) or ()}
    worst = min(
        (earned[code] for code in (LATE.code, TOO_FEW.code, TOO_MANY.code) if code in earned),
        key=lambda one: one.points,
        default=None,
    )
    if worst is None or worst.points * LOSES_MUCH >= 10:
        return None
    values = dict(worst.values)
    if worst.reason is LATE:
        later = need.deadline + timedelta(days=values["late"])
        change = Change(LATER, {"deadline": later}, "city", replace(need, deadline=later), offering)
        return _after(offering, TOO_LATE, values, change, circumstances)
    if worst.reason is TOO_FEW:
        change = Change(ORDER_MORE, values, "city", replace(need, quantity=_limit(offering.minimum_order)), offering)
        return _after(offering, SMALLEST_ORDER, values, change, circumstances)
    change = Change(ORDER_FEWER, values, "city", replace(need, quantity=_limit(offering.maximum_order)), offering)
    return _after(offering, LARGEST_ORDER, values, change, circumstances)


def _limit(limit: Decimal | None) -> Decimal:
    if limit is None:
        raise ValueError("an order outside of the limits has a limit")
    return limit


@dataclass(frozen=True, slots=True)
class Blocking:
    """What keeps most offerings of the field from being proposed: `failed` of `looked_at`, with the sentence's parts."""

    reason: Reason
    values: dict[str, Any]


NEED_CLOSED = _says("need_closed", "The need is no longer open.", "このニーズは受付を終えています。")
EXPIRED = _says("expired", "The deadline has passed.", "期限を過ぎています。")
NOBODY_OFFERS = _says(
    "nobody_offers",
    "No company offers anything in this field and unit yet.",
    "この分野と単位で登録された技術・製品はまだありません。",
)
COUNTRY_BLOCKS = _says(
    "country_blocks",
    "{failed:number} of {looked_at:number} offerings of this field do not name {country:country} among their countries.",
    "この分野の{looked_at:number}件のうち{failed:number}件は、納入先・関心国に{country:country}を挙げていません。",
)
REQUIREMENT_BLOCKS = _says(
    "requirement_blocks",
    "{failed:number} of {looked_at:number} offerings of this field do not meet or state “{asked_en}”.",
    "この分野の{looked_at:number}件のうち{failed:number}件は、「{asked_ja}」を満たすという記載がありません。",
)
NOTHING_BLOCKS = _says("nothing_blocks", "Nothing blocks it.", "妨げているものはありません。")


def what_blocks(need: Need, offerings: Iterable[Offering], circumstances: Circumstances) -> Blocking:
    """Why a need has no proposal: the gate at which most offerings of its field and unit fail."""
    if not need.open:
        return Blocking(NEED_CLOSED, {})
    if is_expired(need, circumstances):
        return Blocking(EXPIRED, {})
    counts: Counter[tuple[str, Requirement | None]] = Counter()
    looked_at = 0
    for offering in offerings:
        looked_at += 1
        for failure in failures(need, offering, circumstances):
            counts[(failure.gate, failure.requirement)] += 1
    if looked_at == 0:
        return Blocking(NOBODY_OFFERS, {})
    if not counts:
        return Blocking(NOTHING_BLOCKS, {})
    (gate, asked), failed = max(counts.items(), key=lambda item: item[1])
    values = {"failed": failed, "looked_at": looked_at}
    if asked is None:
        return Blocking(COUNTRY_BLOCKS, {**values, "country": need.country}) if gate == "country" else Blocking(NOBODY_OFFERS, {})
    return Blocking(REQUIREMENT_BLOCKS, {**values, "asked_en": asked_for(asked, "en"), "asked_ja": asked_for(asked, "ja")})
