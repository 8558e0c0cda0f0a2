"""How a reason's sentence is said: templates whose places name a value and how that value is read aloud.

`{unit_price:money currency}` is the money of `values["unit_price"]` in the currency `values["currency"]`. Sentences are made
only for what is stored or shown; judging a pair makes none.
"""

import string
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, NamedTuple

from common.formats import Formats
from common.vocabulary import LANGUAGES
from matching.domain.circumstances import Rate
from matching.domain.facet import Reason
from matching.domain.sides import Attribute, Requirement, Stated


class Compared(NamedTuple):
    """A requirement, and what is stated in answer to it (None: nothing)."""

    requirement: Requirement
    stated: Attribute | None


class _Place(NamedTuple):
    before: str
    name: str
    kind: str
    others: tuple[str, ...]


@lru_cache(maxsize=1024)
def _places(template: str) -> tuple[_Place, ...]:
    found = []
    for before, name, spec, _ in string.Formatter().parse(template):
        kind, *others = (spec or "text").split()
        found.append(_Place(before, name or "", kind, tuple(others)))
    return tuple(found)


@cache
def formats(language: str) -> Formats:
    return Formats(language)


def say(template: str, values: Mapping[str, Any], language: str) -> str:
    """The sentence in `language`."""
    said = []
    for before, name, kind, others in _places(template):
        said.append(before)
        if name:
            said.append(_KINDS[kind](language, values[name], *(values[other] for other in others)))
    return "".join(said)


def sentences(reason: Reason, values: Mapping[str, Any]) -> dict[str, str]:
    """The reason in every language in which Musubi speaks."""
    return {language: shortened(say(getattr(reason, language), values, language), SENTENCE) for language in LANGUAGES}


SENTENCE, STORED_VALUE = 600, 300
"""Characters at most. Partners may write at length, and a list of ten has to stay sendable."""


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def as_stored(values: Mapping[str, Any]) -> dict[str, str | int]:
    """The values as contracts carry them: whole numbers, and everything else as text that a machine can read."""
    return {name: _stored(value) for name, value in values.items() if value is not None}


def _stored(value: Any) -> str | int:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        return shortened(value, STORED_VALUE)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Rate):
        return f"USD/{value.currency} {value.per_usd:f} {value.as_of.isoformat()} {value.source}"
    if isinstance(value, Requirement):
        return asked_for(value, "en")
    if isinstance(value, Attribute):
        return stated_as(value, "en")
    if isinstance(value, Compared):
        return f"{asked_for(value.requirement, 'en')} ({stated_as(value.stated, 'en')})"
    return shortened("; ".join(str(_stored(part)) for part in value), STORED_VALUE)


VALUES_SAID = 6
"""So many of the values that would do are said."""


def asked_for(requirement: Requirement, language: str) -> str:
    """`efficacy: at least 150 lm/W`, `efficacy：150 lm/W以上`."""
    return requirement.name.replace("_", " ") + ("：" if language == "ja" else ": ") + would_do(requirement, language)


def would_do(requirement: Requirement, language: str) -> str:
    """What would meet it: `at least 150 lm/W`, `DALI or Zhaga`; `no value accepted` where a list of nothing was sent."""
    ja = language == "ja"
    wanted = [measured(value, requirement.unit, language) for value in requirement.values[:VALUES_SAID]]
    if len(requirement.values) > VALUES_SAID:
        wanted.append("…")
    if not wanted:
        return "認める値なし" if ja else "no value accepted"
    if requirement.op == ">=":
        return f"{wanted[0]}以上" if ja else f"at least {wanted[0]}"
    if requirement.op == "<=":
        return f"{wanted[0]}以下" if ja else f"at most {wanted[0]}"
    return ("または" if ja else " or ").join(wanted)


def _wanted(language: str, requirements: tuple[Requirement, ...]) -> str:
    return ("かつ" if language == "ja" else " and ").join(would_do(one, language) for one in requirements)


def stated_as(stated: Attribute | None, language: str) -> str:
    """`120 lm/W`; `not stated`."""
    if stated is None:
        return "記載なし" if language == "ja" else "not stated"
    return measured(stated.value, stated.unit, language)


def measured(value: Stated, unit: str, language: str) -> str:
    """A stated value with its unit: `150 lm/W`, `DALI`."""
    if value.number is None:
        return f"{value.text} {unit}".rstrip()
    return f"{formats(language).number(value.number)}\u00a0{unit}".rstrip("\u00a0")


def _missed(language: str, missed: tuple[Compared, ...]) -> str:
    if language == "ja":
        return "、".join(f"{asked_for(m.requirement, 'ja')}の希望に対し{stated_as(m.stated, 'ja')}" for m in missed)
    return "; ".join(f"asked for {asked_for(m.requirement, 'en')}, {_states(m.stated)}" for m in missed)


def _fitting(language: str, fitting: tuple[Compared, ...]) -> str:
    if language == "ja":
        return "、".join(f"{_name(m)} {stated_as(m.stated, 'ja')}（希望は{would_do(m.requirement, 'ja')}）" for m in fitting)
    return "; ".join(f"{_name(m)} {stated_as(m.stated, 'en')} (asked: {would_do(m.requirement, 'en')})" for m in fitting)


def _name(compared: Compared) -> str:
    return compared.requirement.name.replace("_", " ")


def _states(stated: Attribute | None) -> str:
    return "not stated" if stated is None else f"stated {stated_as(stated, 'en')}"


def _rates(language: str, rates: tuple[Rate, ...]) -> str:
    return ("、" if language == "ja" else ", ").join(_rate(language, rate) for rate in rates)


@lru_cache(maxsize=4096)
def _rate(language: str, rate: Rate) -> str:
    said = formats(language)
    one, many = said.money(Decimal(1), "USD"), said.money(rate.per_usd, rate.currency)
    day = said.day(rate.as_of, short=True)
    return f"{one}＝{many}、{day}、出典：{rate.source}" if language == "ja" else f"{one} = {many} on {day}, {rate.source}"


def _percent(language: str, whole: int) -> str:
    """Whole percent, rounded down; 0 is something that is less than one."""
    if whole:
        return f"{whole}%"
    return "1%未満" if language == "ja" else "less than 1%"


def _once(say_it: Callable[..., str]) -> Callable[..., str]:
    """The same figures come again and again within a list, and CLDR's patterns are slow."""
    return lru_cache(maxsize=8192)(say_it)


_KINDS: dict[str, Callable[..., str]] = {
    "text": lambda _, value: str(value),
    "number": _once(lambda language, value: formats(language).number(value)),
    "money": _once(lambda language, value, currency: formats(language).money(value, currency)),
    "quantity": _once(lambda language, value, unit: formats(language).quantity(value, unit)),
    "one": _once(lambda language, unit: formats(language).unit(1, unit)),
    "percent": _percent,
    "days": _once(lambda language, value: formats(language).days(value)),
    "day": _once(lambda language, value: formats(language).day(value, short=True)),
    "technology": lambda language, value: formats(language).technology(value),
    "country": _once(lambda language, value: formats(language).country(value)),
    "languages": lambda language, codes: formats(language).listed([_language_name(language, code) for code in codes]),
    "listed": lambda language, words: formats(language).listed(list(words)),
    "asked": lambda language, requirement: asked_for(requirement, language),
    "wanted": lambda language, requirements: _wanted(language, requirements),
    "stated": lambda language, attribute: stated_as(attribute, language),
    "missed": _missed,
    "fitting": _fitting,
    "rates": _rates,
}


@lru_cache(maxsize=1024)
def _language_name(language: str, code: str) -> str:
    return formats(language).language_name(code)
