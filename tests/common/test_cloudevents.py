"""How strictly a partner's JSON and its CloudEvents are read."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Rejected
from common.partners.cloudevents import MAX_DEPTH, MAX_FAULTS, canonical, read_event, read_json

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "https://partner.example/feed",
    "type": "need.submitted.v1",
    "subject": "street-lights",
    "time": "2026-11-24T09:30:00+09:00",
    "data": {"quantity": 3600},
}


def faults(item: Any) -> list[tuple[str, str]]:
    """Where an item is wrong, and how."""
    try:
        read_event(item)
    except Rejected as refusal:
        return [(fault.pointer, fault.code) for fault in refusal.faults]
    return []


def faults_of_text(text: str | bytes) -> list[tuple[str, str]]:
    """The same for a JSON text."""
    try:
        return faults(read_json(text.encode() if isinstance(text, str) else text))
    except Rejected as refusal:
        return [(fault.pointer, fault.code) for fault in refusal.faults]


def with_data(text: str) -> str:
    """The event with this text as its data."""
    return json.dumps({**EVENT, "data": "HERE"}).replace('"HERE"', text)


def test_an_event_is_read_with_its_time_in_utc() -> None:
    event = read_event(EVENT)
    assert (event.id, event.subject, event.data) == ("1", "street-lights", {"quantity": 3600})
    assert event.time == datetime(2026, 11, 24, 0, 30, tzinfo=UTC)


def test_numbers_are_exact() -> None:
    data = read_event(read_json(with_data('{"a": 0.1, "b": 12345678901234567890.5, "c": 7}').encode())).data
    assert data == {"a": Decimal("0.1"), "b": Decimal("12345678901234567890.5"), "c": 7}


def test_extension_attributes_and_what_is_null_are_no_fault() -> None:
    assert (
        faults({**EVENT, "traceparent": "00-1", "retries": 3, "urgent": True, "dataschema": None, "datacontenttype": None}) == []
    )


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "application/geo+json"])
def test_every_kind_of_json_is_content(content_type: str) -> None:
    assert faults({**EVENT, "datacontenttype": content_type}) == []


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject", "time"])
def test_each_required_attribute_is_missed_by_its_name(name: str) -> None:
    assert faults({k: v for k, v in EVENT.items() if k != name}) == [(f"/{name}", "attribute_missing")]


@pytest.mark.parametrize(
    ("attributes", "pointer", "code"),
    [
        ({"specversion": 1.0}, "/specversion", "unknown_specversion"),
        ({"specversion": "0.3"}, "/specversion", "unknown_specversion"),
        ({"id": 17}, "/id", "attribute_not_text"),
        ({"id": "x" * 201}, "/id", "attribute_too_long"),
        ({"source": ""}, "/source", "attribute_not_text"),
        ({"subject": "a\tb"}, "/subject", "control_character"),
        ({"subject": "a\u0000b"}, "/subject", "control_character"),
        ({"time": "2026-11-24"}, "/time", "time_not_readable"),
        ({"time": "2026-11-24T09:30:00"}, "/time", "time_not_readable"),
        ({"time": "2026-13-24T09:30:00Z"}, "/time", "time_not_readable"),
        ({"time": "0001-01-01T00:00:00+09:00"}, "/time", "time_not_readable"),
        ({"time": 1764000000}, "/time", "attribute_not_text"),
        ({"datacontenttype": "text/csv"}, "/datacontenttype", "not_json_content"),
        ({"data": [1]}, "/data", "not_an_object"),
        ({"data": None}, "/data", "missing"),
        ({"data_base64": "AA=="}, "/data_base64", "binary_data"),
        ({"My-Extension": "x"}, "/My-Extension", "attribute_name"),
        ({"a/b": "x"}, "/a~1b", "attribute_name"),
        ({"extension": {"a": 1}}, "/extension", "attribute_value"),
        ({"extension": 1.5}, "/extension", "attribute_value"),
    ],
)
def test_a_wrong_attribute_is_named(attributes: dict[str, Any], pointer: str, code: str) -> None:
    assert faults({**EVENT, **attributes}) == [(pointer, code)]


@pytest.mark.parametrize("item", [None, 7, "event", [], [EVENT]])
def test_what_is_no_object_is_no_event(item: Any) -> None:
    assert faults(item) == [("", "not_an_object")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "not_json"),
        (b"{'a': 1}", "not_json"),
        (b'{"a": 01}', "not_json"),
        (b'{"a": 1} {"b": 2}', "not_json"),
        (b'{"a": "\x01"}', "not_json"),
        (b'"\xed\xa0\xbd"', "not_utf8"),
        (b"\xff\xfe{\x00", "not_utf8"),
        (b"\xef\xbb\xbf{}", "byte_order_mark"),
        (b"[" * 100_000, "too_deep"),
    ],
)
def test_a_text_that_is_no_json_is_refused_as_a_whole(text: bytes, code: str) -> None:
    assert faults_of_text(text) == [("", code)]


@pytest.mark.parametrize(
    ("data", "pointer", "code"),
    [
        ('{"a": NaN}', "/data/a", "not_a_number"),
        ('{"a": [1, Infinity]}', "/data/a/1", "not_a_number"),
        ('{"a": -Infinity}', "/data/a", "not_a_number"),
        ('{"a": 1e41}', "/data/a", "number_out_of_range"),
        ('{"a": 1e-999999999}', "/data/a", "number_out_of_range"),
        ('{"a": ' + "9" * 5000 + "}", "/data/a", "number_out_of_range"),
        ('{"a": {"b": 1, "b": 1}}', "/data/a/b", "repeated_name"),
        (r'{"a": "\ud83d"}', "/data/a", "unpaired_surrogate"),
        (r'{"\udc00": 1}', "/data", "unpaired_surrogate"),
        (r'{"a": "\u0000"}', "/data/a", "control_character"),
        (r'{"a": ["\u0085"]}', "/data/a/0", "control_character"),
    ],
)
def test_what_json_text_can_say_but_data_cannot_be_is_found_in_its_place(data: str, pointer: str, code: str) -> None:
    assert faults_of_text(with_data(data)) == [(pointer, code)]


def test_a_whole_character_of_two_halves_and_line_ends_are_no_fault() -> None:
    assert faults_of_text(with_data(r'{"a": "\ud83d\ude8c\r\n\t"}')) == []


def test_nesting_is_read_to_its_limit_and_no_deeper() -> None:
    def nested(levels: int) -> str:
        return '{"a":' * levels + "1" + "}" * levels

    assert faults_of_text(with_data(nested(MAX_DEPTH - 1))) == []
    assert [code for _, code in faults_of_text(with_data(nested(MAX_DEPTH)))] == ["too_deep"]


def test_an_item_with_thousands_of_faults_is_told_of_some() -> None:
    assert len(faults_of_text(with_data('{"a": [' + ",".join(["NaN"] * 5000) + "]}"))) == MAX_FAULTS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.decimals(-1000, 1000, places=3) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


def reordered(value: Any) -> Any:
    """The same value with the names of its objects the other way round."""
    if isinstance(value, dict):
        return {k: reordered(v) for k, v in reversed(value.items())}
    return [reordered(v) for v in value] if isinstance(value, list) else value


@given(JSON)
def test_the_canonical_text_says_the_same_and_does_not_depend_on_order(value: Any) -> None:
    text = canonical(value)
    assert canonical(reordered(value)) == text
    assert read_json(text.encode()) == value
    assert canonical(read_json(text.encode())) == text


@pytest.mark.parametrize(("one", "other"), [("3600", "3.6e3"), ("1.50", "1.5"), ("-0.0", "0"), ('"\\u00e9"', '"é"')])
def test_two_ways_to_write_a_value_have_one_canonical_text(one: str, other: str) -> None:
    assert canonical(read_json(one.encode())) == canonical(read_json(other.encode()))


@pytest.mark.parametrize(
    ("one", "other"), [("1", '"1"'), ("1", "true"), ("0", "false"), ("null", "0"), ("[]", "{}"), ("[1,2]", "[2,1]")]
)
def test_different_values_have_different_canonical_texts(one: str, other: str) -> None:
    assert canonical(read_json(one.encode())) != canonical(read_json(other.encode()))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_stumble(body: bytes) -> None:
    faults_of_text(body)
