"""Every fault has words in both languages that name the field, the reason and the fix."""

import re
import string
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from common.contracts.catalog import OfferingSubmitted
from common.contracts.needs import MunicipalitySubmitted, NeedSubmitted
from common.contracts.registry import SUBMISSIONS
from common.contracts.values import Submission
from common.faults import fault, faults_of, pointer, words

NEED: dict[str, Any] = {
    "title": {"en": "Lamps"},
    "technology": "lighting.street_led",
    "quantity": 1,
    "unit": "lamp",
    "deadline": "2027-01-01",
    "municipality": "haiphong",
}


def faults_in(kind: type[Submission], data: Any) -> list[tuple[str, str]]:
    """Where this data is wrong, and how."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(data)
    return [(f.pointer, f.code) for f in faults_of(caught.value, data, kind)]


def codes_raised_in(*packages: str) -> set[str]:
    """The codes of all faults in these packages: of `PydanticCustomError("code"…`, `_one_of(…, "code")`, `fault(…, "code"…`."""
    sources = [path.read_text() for name in packages for path in Path(str(files(name))).rglob("*.py")]
    patterns = (
        r'PydanticCustomError\(\s*"(\w+)"',
        r'_one_of\([\w.]+, "(\w+)"\)',
        r'fault\(\s*(?:f?"[^"]*"|[\w.]+(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?),\s*"(\w+)"',
    )
    return {code for source in sources for pattern in patterns for code in re.findall(pattern, source)}


def test_every_code_that_contracts_and_services_raise_has_words() -> None:
    codes = codes_raised_in("common", "needs", "catalog", "matching")
    assert {"unknown_technology", "unit_mismatch", "order_range", "repeated_name", "unknown_company", "unknown_reason"} <= codes
    assert codes - set(words()) == set()


@pytest.mark.parametrize("code", sorted(words()))
def test_both_languages_say_reason_and_fix_with_the_same_values(code: str) -> None:
    sentences = words()[code]
    values = [{name for _, name, _, _ in string.Formatter().parse(sentences[lang]) if name} for lang in ("en", "ja")]
    assert values[0] - {"field"} == values[1] - {"field"}
    assert sentences["en"].endswith(".")
    assert sentences["en"].count(". ") + sentences["en"].count("? ") >= 1 or ", but " in sentences["en"]
    assert sentences["ja"].endswith("。")
    assert "ください" in sentences["ja"]


def test_the_only_patterns_in_contracts_are_those_that_have_words_of_their_own() -> None:
    """`faults_of` takes every other pattern than that of `email` for a language tag."""
    patterns: set[tuple[str, str]] = set()

    def collect(name: str, schema: Any) -> None:
        if isinstance(schema, dict):
            if isinstance(schema.get("pattern"), str):
                patterns.add((name, schema["pattern"]))
            for key, part in schema.items():
                collect(key, part)
        elif isinstance(schema, list):
            for part in schema:
                collect(name, part)

    for submission in SUBMISSIONS.values():
        collect("", submission.model_json_schema())
    decimals = {(name, p) for name, p in patterns if p.startswith("^(?!^[-+.]*$)")}
    others = {(name, p) for name, p in patterns - decimals if "[a-z]{2,3}(-" not in p}
    assert {name for name, _ in others} <= {"email"}


def test_names_of_union_branches_do_not_stand_in_the_place() -> None:
    requirements = [
        {"attribute": "a", "op": "in", "value": [1, {}, "x\0"]},
        {"attribute": "a", "op": "=", "value": {"decimal": 1}},
        {"attribute": "a", "op": "=", "value": True},
        {"attribute": "a", "op": "=", "value": "x" * 300},
    ]
    assert faults_in(NeedSubmitted, {**NEED, "requirements": requirements}) == [
        ("/data/requirements/0/value/1", "text_or_number"),
        ("/data/requirements/0/value/2", "control_character"),
        ("/data/requirements/1/value", "text_or_number"),
        ("/data/requirements/2/value", "text_or_number"),
        ("/data/requirements/3/value", "string_too_long"),
    ]


def test_a_wrong_language_tag_is_told_at_the_tag() -> None:
    assert faults_in(NeedSubmitted, {**NEED, "title": {"EN": "x", "en": 1}}) == [
        ("/data/title/EN", "language_tag"),
        ("/data/title/en", "string_type"),
    ]


def test_a_group_of_technologies_is_told_at_its_place_in_the_list() -> None:
    data = {"company": "c", "names": {"ja": "x"}, "technologies": ["lighting.street_led", "lighting"], "unit": "lamp"}
    assert faults_in(OfferingSubmitted, data) == [("/data/technologies/1", "technology_is_a_group")]


def test_pointers_escape_what_stands_for_something_else() -> None:
    assert pointer(["a/b", "~", 3]) == "/a~1b/~0/3"


@pytest.mark.parametrize(
    ("code", "value", "meant"),
    [
        ("unknown_technology", "LED street light", "lighting.street_led"),
        ("unknown_technology", "LED街路灯", "lighting.street_led"),
        ("unknown_technology", "street_led", "lighting.street_led"),
        ("unknown_country", "Viet Nam", "VN"),
        ("unknown_country", "ベトナム", "VN"),
        ("unknown_unit", "lamps", "lamp"),
        ("unknown_unit", "灯", "lamp"),
        ("unknown_currency", "Japanese yen", "JPY"),
        ("unknown_timezone", "Asia/Ho_Chi_Min", "Asia/Ho_Chi_Minh"),
        ("unknown_type", "need.submited.v1", "need.submitted.v1"),
    ],
)
def test_what_was_probably_meant_is_suggested(code: str, value: str, meant: str) -> None:
    detail = fault("/data/x", code, value=value, known="a").detail
    assert f"Did you mean {meant}?" in detail["en"]
    assert f"{meant} のことですか" in detail["ja"]


@pytest.mark.parametrize("value", ["", "qqqq", "🚌", "\ud83d", "x" * 5000])
def test_nothing_is_suggested_where_nothing_is_near(value: str) -> None:
    detail = fault("/data/technology", "unknown_technology", value=value).detail
    assert "Did you mean" not in detail["en"]
    assert len(detail["en"]) < 300
    detail["en"].encode()


def test_only_so_many_faults_are_told_at_once() -> None:
    data = {"names": {"ja": "x"}, "country": "JP", "timezone": "Asia/Tokyo", "languages": ["en"], "interests": ["x"] * 50}
    assert len(faults_in(MunicipalitySubmitted, {**data, **{f"extra{n}": 1 for n in range(50)}})) == 50
