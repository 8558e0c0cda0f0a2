"""Says what is wrong with a submitted item: where (JSON pointer), a stable code, and a sentence with reason and fix.

The sentences are a table, `data/faults.toml`; this file finds the place and the values that go into them.
"""

import difflib
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import available_timezones

from babel import Locale
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from common import vocabulary
from common.errors import Fault

_SAME_CODE = {
    "date_from_datetime_parsing": "date_parsing",
    "date_from_datetime_inexact": "date_inexact",
    "bool_parsing": "bool_type",
    "int_parsing": "int_type",
    "int_from_float": "int_type",
    "int_parsing_size": "number_out_of_range",
    "float_parsing": "decimal_parsing",
    "model_attributes_type": "model_type",
    "string_unicode": "unpaired_surrogate",
}
"""pydantic's finer distinctions that mean one thing to whoever has to mend it."""

_SEEN_AS = {"decimal": (int, float, Decimal), "str": (str,), "list[": (list,)}
"""Which JSON values a branch of a union is for; pydantic names the branch in the place of an error."""


@cache
def words() -> dict[str, dict[str, str]]:
    """The sentences of every code: `en`, `ja`, and for rules that span several fields `at`, the one that is meant."""
    return tomllib.loads(files("common").joinpath("data", "faults.toml").read_text(encoding="utf-8"))


def fault(pointer: str, code: str, **values: object) -> Fault:
    """A fault with its words. Raises KeyError for a code without words, or a sentence that lacks a value."""
    sentences = words()[code]
    said = {name: _shown(value) for name, value in values.items()}
    near = _near(code, said.get("value", ""), values.get("known_fields"))
    fields = {"field": _in_words(pointer), "value": "", **said}
    return Fault(
        pointer,
        code,
        {
            "en": sentences["en"].format(**fields, near=f"Did you mean {near}? " if near else ""),
            "ja": sentences["ja"].format(**fields, near=f"{near} のことですか。" if near else ""),
        },
    )


def faults_of(error: ValidationError, item: object, prefix: str = "/data", service: str = "needs") -> tuple[Fault, ...]:
    """Every fault of a refused item, once each, in the order of the item's fields.

    `item` is what was validated: pydantic puts names of union branches into the places of its errors, and only the item
    tells these from its own keys."""
    found: dict[tuple[str, str], Fault] = {}
    for details in error.errors(include_url=False):
        steps, branch = _steps(details, item)
        code = _SAME_CODE.get(details["type"], details["type"])
        if branch:
            suited = _suits(_value_at(item, steps), branch)
            if suited is None:
                code = "text_or_number"
            elif not suited:
                continue
        one = _fault(details, code, steps, item, prefix, service)
        found.setdefault((one.pointer, one.code), one)
    return tuple(found.values())


def _fault(details: ErrorDetails, code: str, steps: list[str | int], item: object, prefix: str, service: str) -> Fault:
    value = details["input"]
    values: dict[str, object] = {"value": value, **details.get("ctx", {})}
    match code:
        case "string_too_long":
            values["length"] = len(value)
        case "string_pattern_mismatch" if steps and steps[-1] == "email":
            code = "email"
        case "string_pattern_mismatch":
            code = "language_tag"  # the only other pattern in the contracts; a test holds this
        case "literal_error":
            values["expected"] = str(values["expected"]).replace("'", "").replace(" or ", ", ")
        case "extra_forbidden":
            values |= {"value": steps[-1]}
        case "tiers_not_ascending":
            steps = [*steps, "tiers", int(str(values["n"])) - 1, "quantity"]
        case "technology_is_a_group":
            steps = _place_of(str(values["code"]), steps, item)
            values["members"] = [t.code for t in vocabulary.technologies().values() if t.group == values["code"] and t.unit]
        case _ if code not in words():
            code, values = "not_valid", {"service": service}
        case _ if at := words()[code].get("at"):
            steps = [*steps, at]
    return fault(prefix + pointer(steps), code, **values)


def pointer(steps: Iterable[str | int]) -> str:
    """A JSON pointer (RFC 6901): `/tiers/2/unit_price`."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _steps(details: ErrorDetails, item: object) -> tuple[list[str | int], str]:
    """The error's place as keys and indexes of the item, and the union branch that raised it, if any."""
    steps: list[str | int] = []
    branch = ""
    here = item
    for n, step in enumerate(details["loc"]):
        is_last = n == len(details["loc"]) - 1
        if isinstance(here, Mapping) and (step in here or (is_last and details["type"] == "missing")):
            steps.append(step)
            here = here.get(step)
        elif isinstance(step, int) and isinstance(here, list) and step < len(here):
            steps.append(step)
            here = here[step]
            branch = ""  # a list that is itself a branch suits; what is wrong is inside it
        elif step != "[key]":
            branch = str(step)
    return steps, branch


def _value_at(item: Any, steps: Iterable[str | int]) -> object:
    for step in steps:
        item = item[step]
    return item


def _suits(value: object, branch: str) -> bool | None:
    """Whether a union's branch is for this value; None where no branch is."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str, list)):
        return None
    kind = "list[" if branch.startswith("list[") else "str" if "constrained-str" in branch else "decimal"
    return isinstance(value, _SEEN_AS[kind])


def _place_of(code: str, steps: list[str | int], item: object) -> list[str | int]:
    """Where a technology code stands: a need has one, an offering a list of them."""
    codes = item.get("technologies") if isinstance(item, Mapping) else None
    return [*steps, "technologies", codes.index(code)] if isinstance(codes, list) and code in codes else [*steps, "technology"]


def _in_words(pointer: str) -> str:
    """`/data/tiers/2/quantity` as `tiers[2].quantity`."""
    words = ""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        words += f"[{step}]" if step.isdigit() and words else f".{step}" if words else step
    return _shown(words.removeprefix("data.")) or "The item"


def _shown(value: object) -> str:
    """A value as it may stand in a sentence: short, and without what could break a line or a log."""
    if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        return ", ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    text = "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text[:200])
    return text if len(text) <= 80 else text[:77] + "…"


def _near(code: str, value: str, known_fields: object) -> str:
    """What was probably meant, or nothing."""
    match code:
        case "extra_forbidden" if isinstance(known_fields, Sequence):
            candidates = {str(name): str(name) for name in known_fields}
        case "unknown_technology":
            candidates = {
                word.casefold(): t.code
                for t in vocabulary.technologies().values()
                if t.unit
                for word in (t.code, t.code.partition(".")[2], *t.names.values(), *t.aliases)
            }
        case "unknown_unit":
            candidates = {
                word.casefold(): u.code for u in vocabulary.units().values() for word in (u.code, u.en_one, u.en_many, u.ja)
            }
        case "unknown_country":
            candidates = _named(vocabulary.countries(), "territories")
        case "unknown_currency":
            candidates = _named(vocabulary.currencies(), "currencies")
        case "unknown_timezone":
            candidates = {word.casefold(): zone for zone in available_timezones() for word in (zone, zone.rpartition("/")[2])}
        case _:
            return ""
    close = difflib.get_close_matches(value.casefold(), candidates, n=1, cutoff=0.75)
    return candidates[close[0]] if close else ""


def _named(codes: Iterable[str], kind: str) -> dict[str, str]:
    """Codes by themselves and by their names in English and Japanese."""
    found = {code.casefold(): code for code in sorted(codes)}
    for language in vocabulary.LANGUAGES:
        names = getattr(Locale(language), kind)
        found |= {names[code].casefold(): code for code in codes if code in names}
    return found
