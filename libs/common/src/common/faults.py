"""Says what is wrong with a submitted item: where (JSON pointer), a stable code, and a sentence with reason and fix.

The sentences are a table, `data/faults.toml`; this file finds the place and the values that go into them.
"""

import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import available_timezones

from babel import Locale
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from common import vocabulary
from common.contracts import registry
from common.contracts.values import Fact, Submission
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


def fault(pointer: str, code: str, choices: Iterable[str] = (), /, **values: object) -> Fault:
    """A fault with its words; `choices` are what may have been meant, where the code alone does not say.

    Raises KeyError for a code without words, and for a sentence that lacks one of its values."""
    sentences = words()[code]
    said = {name: _shown(value) for name, value in values.items()}
    near = _near(code, said.get("value", ""), choices)
    fields = {"value": "", **said}
    field = _in_words(pointer)
    return Fault(
        pointer,
        code,
        {
            "en": sentences["en"].format(field=field or "The item", **fields, near=f"Did you mean {near}? " if near else ""),
            "ja": sentences["ja"].format(field=field or "このイベント", **fields, near=f"{near} のことですか。" if near else ""),
        },
    )


def faults_of(
    error: ValidationError, item: object, kind: type[Submission | Fact], prefix: str = "/data", at_most: int = 50
) -> tuple[Fault, ...]:
    """Every fault of a refused item or fact, once each, in the order of its fields; `kind` is what it was validated as.

    `item` is what was validated: pydantic puts names of union branches into the places of its errors, and only the item
    tells these from its own keys."""
    found: dict[tuple[str, str], Fault] = {}
    for details in error.errors(include_url=False):
        steps, branch = _steps(details, item)
        code = _SAME_CODE.get(details["type"], details["type"])
        if branch and not _suits(_value_at(item, steps), branch):
            if any(place.startswith(prefix + pointer(steps)) for place, _ in found):
                continue  # the branch that suits has said what is wrong
            code = "text_or_number"
        one = _fault(details, code, steps, item, kind, prefix)
        if code != "text_or_number":
            found.pop((one.pointer, "text_or_number"), None)
            if "/" in one.pointer:
                found.pop((one.pointer.rpartition("/")[0], "text_or_number"), None)
        found.setdefault((one.pointer, one.code), one)
        if len(found) == at_most:
            break
    return tuple(found.values())


def _fault(
    details: ErrorDetails, code: str, steps: list[str | int], item: object, kind: type[Submission | Fact], prefix: str
) -> Fault:
    choices: Iterable[str] = ()
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
            values["value"] = steps[-1]
            choices = kind.model_fields if len(steps) == 1 else ()
        case "tiers_not_ascending":
            steps = [*steps, "tiers", int(str(values["n"])) - 1, "quantity"]
        case "technology_is_a_group":
            steps = _place_of(str(values["code"]), steps, item)
            values["members"] = [t.code for t in vocabulary.technologies().values() if t.group == values["code"] and t.unit]
        case _ if code not in words():
            service = kind.service if issubclass(kind, Submission) else registry.TOPICS[kind.topic].producer
            code, values = "not_valid", {"service": service}
        case _ if at := words()[code].get("at"):
            steps = [*steps, at]
    return fault(prefix + pointer(steps), code, choices, **values)


def pointer(steps: Iterable[str | int]) -> str:
    """A JSON pointer (RFC 6901): `/tiers/2/unit_price`."""
    return "".join("/" + encodable(str(step)).replace("~", "~0").replace("/", "~1") for step in steps)


def encodable(text: str) -> str:
    """The text with a question mark for each half of a character, which no answer could carry back."""
    return text.encode("utf-8", "replace").decode()


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


def _suits(value: object, branch: str) -> bool:
    """Whether a union's branch is for this value."""
    kind = "list[" if branch.startswith("list[") else "str" if "constrained-str" in branch else "decimal"
    return isinstance(value, _SEEN_AS[kind]) and not isinstance(value, bool)


def _place_of(code: str, steps: list[str | int], item: object) -> list[str | int]:
    """Where a technology code stands: a need has one, an offering a list of them."""
    codes = item.get("technologies") if isinstance(item, Mapping) else None
    return [*steps, "technologies", codes.index(code)] if isinstance(codes, list) and code in codes else [*steps, "technology"]


def _in_words(pointer: str) -> str:
    """`/data/tiers/2/quantity` as `tiers[2].quantity`; nothing for the item as a whole."""
    words = ""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        words += f"[{step}]" if step.isdigit() and words else f".{step}" if words else step
    return _shown(words.removeprefix("data."))


def _shown(value: object) -> str:
    """A value as it may stand in a sentence: short, and without what could break a line or a log."""
    if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        return ", ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    text = "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text[:200])
    return text if len(text) <= 80 else text[:77] + "…"


def _near(code: str, value: str, choices: Iterable[str] = ()) -> str:
    """What was probably meant, or nothing. Alike are words that share most of their pairs of letters, in any script."""
    wanted = _pairs(value)
    candidates = [(name, name, _pairs(name)) for name in choices] or _candidates(code)
    likeness, meant = max(
        ((2 * len(wanted & pairs) / (len(wanted) + len(pairs)), meant) for _, meant, pairs in candidates), default=(0, "")
    )
    return meant if likeness >= 0.6 else ""


def _pairs(word: str) -> frozenset[str]:
    word = f" {word.casefold()} "
    return frozenset(word[n : n + 2] for n in range(len(word) - 1))


@cache
def _candidates(code: str) -> tuple[tuple[str, str, frozenset[str]], ...]:
    """Every word by which something can be meant, with what it means and its pairs of letters."""
    match code:
        case "unknown_technology":
            known = [t for t in vocabulary.technologies().values() if t.unit]
            words = [(w, t.code) for t in known for w in (t.code, t.code.partition(".")[2], *t.names.values(), *t.aliases)]
        case "unknown_unit":
            words = [(w, u.code) for u in vocabulary.units().values() for w in (u.code, u.en_one, u.en_many, u.ja)]
        case "unknown_country":
            words = _named(vocabulary.countries(), "territories")
        case "unknown_currency":
            words = _named(vocabulary.currencies(), "currencies")
        case "unknown_timezone":
            words = [(w, zone) for zone in sorted(available_timezones()) for w in (zone, zone.rpartition("/")[2])]
        case "unknown_type":
            words = [(type_, type_) for type_ in registry.SUBMISSIONS]
        case _:
            words = []
    return tuple((word, meant, _pairs(word)) for word, meant in words)


def _named(codes: Iterable[str], kind: str) -> list[tuple[str, str]]:
    """Codes by themselves and by their names in English and Japanese."""
    names = [getattr(Locale(language), kind) for language in vocabulary.LANGUAGES]
    return [(word, code) for code in sorted(codes) for word in (code, *(n[code] for n in names if code in n))]
