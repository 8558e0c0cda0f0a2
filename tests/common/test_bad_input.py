"""What bad input is told: where it is wrong, why, and how to mend it, in both languages. The items beside it are taken in."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.contracts.needs import NeedPosted
from common.partners.cloudevents import MAX_BYTES
from needs.app import create_app
from tests.partner import Partner, partner_of
from tests.partner_events import city, in_days, need, offering


@pytest.fixture
async def partner(postgres: str) -> AsyncIterator[Partner]:
    """A partner of the needs service, on an empty database."""
    async with partner_of("needs", create_app, postgres) as partner:
        yield partner


LONG = "長" * 10_001

BAD_ITEMS: dict[str, tuple[Any, str, str, str, str]] = {
    # what is wrong: the item, pointer, code, and a piece of the fix in English and in Japanese
    "no object": (7, "", "not_an_object", "Send an object", "送ってください"),
    "no CloudEvent": ({"quantity": 3}, "/specversion", "attribute_missing", "Add specversion", "specversion を加えて"),
    "another version": ({**city(), "specversion": "0.3"}, "/specversion", "unknown_specversion", '"1.0"', '"1.0"'),
    "no id": ({**city(), "id": None}, "/id", "attribute_missing", "Add id", "id を加えて"),
    "an empty source": ({**city(), "source": " "}, "/source", "attribute_not_text", "Send a text", "文字列を送って"),
    "no subject": ({k: v for k, v in city().items() if k != "subject"}, "/subject", "attribute_missing", "Add", "加えて"),
    "a time without zone": ({**city(), "time": "2026-11-24T10:00:00"}, "/time", "time_not_readable", "Write it as", "書いて"),
    "data that is no JSON": ({**city(), "datacontenttype": "text/xml"}, "/datacontenttype", "not_json_content", "Use", "にする"),
    "data in base64": ({**city(), "data_base64": "eA=="}, "/data_base64", "binary_data", "Send the content as JSON", "JSONで"),
    "no data": ({k: v for k, v in city().items() if k != "data"}, "/data", "missing", "Add it", "加えて"),
    "an unknown type": ({**city(), "type": "city.sent.v1"}, "/type", "unknown_type", "need.submitted.v1", "need.submitted.v1"),
    "an unknown version": ({**city(), "type": "need.submitted.v9"}, "/type", "unknown_version", "Use need.submitted.v1", "v1"),
    "our own fact": ({**need(), "type": "need.posted.v1"}, "/type", "our_own_fact", "need.submitted.v1", "need.submitted.v1"),
    "another service's": (offering(), "/type", "other_service", "/api/catalog/v1/events", "/api/catalog/v1/events"),
    "an unknown technology": (
        need(technology="LED street lights"), "/data/technology", "unknown_technology",
        "Did you mean lighting.street_led?", "lighting.street_led のことですか",
    ),
    "a group of technologies": (need(technology="lighting"), "/data/technology", "technology_is_a_group", "Choose one", "選んで"),
    "an unknown country": (city(country="Vietnam"), "/data/country", "unknown_country", "Did you mean VN?", "VN のことですか"),
    "an unknown unit": (need(unit="lamps"), "/data/unit", "unknown_unit", "Did you mean lamp?", "lamp のことですか"),
    "a unit of something else": (need(unit="kW"), "/data/unit", "unit_mismatch", '"unit": "lamp"', '"unit": "lamp"'),
    "an unknown currency": (
        need(budget={"amount": 1, "currency": "XXY"}), "/data/budget/currency", "unknown_currency", "Use three", "英大文字3字",
    ),
    "an unknown time zone": (city(timezone="Hanoi"), "/data/timezone", "unknown_timezone", "Asia/Ho", "Asia/Ho"),
    "a negative quantity": (need(quantity=-3), "/data/quantity", "greater_than", "Send a greater number", "大きい数を"),
    "a quantity in words": (need(quantity="3,600"), "/data/quantity", "decimal_parsing", "without separators", "桁区切り"),
    "NaN as a text": (need(quantity="NaN"), "/data/quantity", "finite_number", "Send a number", "数を送る"),
    "a deadline in the past": (need(deadline=in_days(-3)), "/data/deadline", "deadline_in_the_past", "a later day", "後の日"),
    "a deadline that is no date": (need(deadline="31/03/2027"), "/data/deadline", "date_parsing", "2027-04-14", "2027-04-14"),
    "a deadline as a number": (need(deadline=1803168000), "/data/deadline", "date_type", "2027-04-14", "2027-04-14"),
    "a deadline as digits": (need(deadline="1803168000"), "/data/deadline", "date_parsing", "2027-04-14", "2027-04-14"),
    "a deadline with a time": (need(deadline="2027-03-31T10:00"), "/data/deadline", "date_inexact", "the day alone", "日付だけ"),
    "a deadline beyond time": (need(deadline="9999-12-31"), "/data/deadline", "date_too_far", "Check the year", "年を確かめて"),
    "a field that does not exist": (need(quantty=3), "/data/quantty", "extra_forbidden", "Did you mean quantity?", "quantity の"),
    "a field that does not exist in a requirement": (
        need(requirements=[{"attribute": "efficacy", "op": ">=", "value": 150, "mandatry": True}]),
        "/data/requirements/0/mandatry", "extra_forbidden", "correct its name", "名前を直して",
    ),
    "a field that does not exist in money": (
        need(budget={"amount": 1, "currency": "JPY", "tax": 10}), "/data/budget/tax", "extra_forbidden", "Remove it", "取り除く",
    ),
    "a budget beyond measure": (
        need(quantity="0.000001", budget={"amount": 10**17, "currency": "JPY"}),
        "/data/budget/amount", "unit_budget_too_large", "Check both", "両方の数",
    ),
    "a missing field": ({**need(), "data": {}}, "/data/title", "missing", "Add it", "加えて"),
    "a text that is too long": (need(text={"ja": LONG}), "/data/text/ja", "string_too_long", "Shorten it", "短く"),
    "a control character": (need(title={"en": "a\u0000b"}), "/data/title/en", "control_character", "Remove it", "取り除いて"),
    "a title of two lines": (need(title={"en": "A\r\nBcc: b@c.example"}), "/data/title/en", "line_break", "one line", "1行で"),
    "a line end of Unicode": (need(title={"en": "A\u2028B"}), "/data/title/en", "line_break", "one line", "1行で"),
    "half a character": (need(title={"en": "\ud83d"}), "/data/title/en", "unpaired_surrogate", "whole character", "1文字全体"),
    "a number without a list": (
        need(requirements=[{"attribute": "a", "op": "in", "value": 3}]),
        "/data/requirements/0/value", "requirement_list", "Send a list", "リストを",
    ),
    "a list of nothing": (
        need(requirements=[{"attribute": "a", "op": "in", "value": []}]),
        "/data/requirements/0/value", "requirement_empty_list", "List what is acceptable", "認めるものを挙げる",
    ),
    "more than a word": (
        need(requirements=[{"attribute": "a", "op": ">=", "value": "many"}]),
        "/data/requirements/0/value", "requirement_not_a_number", "Send a number", "数を送る",
    ),
    "two addresses in one": (
        city(contacts=[{"function": {"en": "Desk"}, "email": "a@b.example, c@d.example", "languages": ["en"]}]),
        "/data/contacts/0/email", "email", "Send an address", "書いて",
    ),
    "an address that no mail server reads": (
        city(contacts=[{"function": {"en": "Desk"}, "email": "窓口@b.example", "languages": ["ja"]}]),
        "/data/contacts/0/email", "email", "Send an address", "書いて",
    ),
    "a city that is not known": (
        need(municipality="atlantis"), "/data/municipality", "unknown_municipality", "Submit it first", "先に登録",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_ITEMS)
async def test_bad_input_is_told_where_it_is_wrong_why_and_how_to_mend_it(partner: Partner, what: str) -> None:
    item, pointer, code, fix, fix_ja = BAD_ITEMS[what]
    await partner.accepted(city())
    answers = await partner.send(city("before"), item, city("after"))
    assert [a["status"] for a in answers] == ["accepted", "refused", "accepted"]
    errors = {(e["pointer"], e["code"]): e["detail"] for e in answers[1]["errors"]}
    assert fix in errors[pointer, code]
    (in_japanese,) = await partner.send(item, language="ja")
    errors = {(e["pointer"], e["code"]): e["detail"] for e in in_japanese["errors"]}
    assert fix_ja in errors[pointer, code]


BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "empty"),
    "an empty batch": (b"[]", 400, "empty"),
    "no JSON": (b'{"specversion": "1.0",', 400, "not_json"),
    "bad UTF-8": (b'{"id": "\xff"}', 400, "not_utf8"),
    "UTF-16": ('{"id": "x"}'.encode("utf-16"), 400, "not_utf8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400, "byte_order_mark"),
    "endless nesting": (b"[" * 200_000, 400, "too_deep"),
    "5 MB of text": (b'"' + b"x" * 5_000_000 + b'"', 413, "too_large"),
}


@pytest.mark.parametrize("what", BAD_BODIES)
@pytest.mark.parametrize("language", ["en", "ja"])
async def test_a_body_that_cannot_be_read_is_a_problem_in_words(partner: Partner, what: str, language: str) -> None:
    body, status, code = BAD_BODIES[what]
    response = await partner.post(body, language=language)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    (error,) = response.json()["errors"]
    assert error["code"] == code
    assert error["detail"].isascii() == (language == "en")


async def test_the_largest_body_is_still_read(partner: Partner) -> None:
    event = json.dumps(city(), ensure_ascii=False).encode()
    response = await partner.post(event + b" " * (MAX_BYTES - len(event)))
    assert response.status_code == 202


async def test_a_packed_body_is_told_to_come_unpacked(partner: Partner) -> None:
    response = await partner.post(gzip.compress(json.dumps(city()).encode()), packed="gzip")
    (error,) = response.json()["errors"]
    assert (response.status_code, error["code"]) == (415, "content_encoding")


async def test_what_is_no_object_is_told_in_one_language(partner: Partner) -> None:
    (refused,) = await partner.send(7, language="ja")
    assert refused["errors"][0]["detail"].startswith("このイベント がJSONの")


async def test_a_content_type_that_is_not_read_is_refused(partner: Partner) -> None:
    response = await partner.post(json.dumps(city()), kind="text/xml")
    assert (response.status_code, response.json()["errors"][0]["code"]) == (415, "content_type")


@pytest.mark.parametrize(
    ("text", "pointer", "code"),
    [
        ('"quantity": NaN', "/data/quantity", "not_a_number"),
        ('"quantity": -Infinity', "/data/quantity", "not_a_number"),
        ('"quantity": 1e999999999', "/data/quantity", "number_out_of_range"),
        ('"quantity": 1e9999999999999999999999', "/data/quantity", "number_out_of_range"),
        ('"quantity": 1, "quantity": 2', "/data/quantity", "repeated_name"),
        ('"quantity": ' + "[" * 40 + "]" * 40, "/data/quantity/0", "too_deep"),
    ],
)
async def test_what_json_cannot_carry_is_found_in_its_item_alone(partner: Partner, text: str, pointer: str, code: str) -> None:
    event = need()
    del event["data"]["quantity"]
    bad = json.dumps(event).replace('"data": {', '"data": {' + text + ", ")
    response = await partner.post(f"[{json.dumps(city())}, {bad}]")
    good, refused = response.json()["results"]
    assert (good["status"], refused["status"]) == ("accepted", "refused")
    assert (pointer, code) in [(e["pointer"], e["code"]) for e in refused["errors"]]


async def test_all_faults_of_an_item_are_told_at_once(partner: Partner) -> None:
    (refused,) = await partner.send(need(quantity=-1, technology="light", deadline="soon", title={}))
    assert {e["pointer"] for e in refused["errors"]} == {
        "/data/quantity", "/data/technology", "/data/deadline", "/data/title",
    }  # fmt: skip


async def test_an_exact_amount_stays_exact(partner: Partner) -> None:
    exact = json.dumps(need()).replace('"amount": 1400000', '"amount": 1400000.123456')
    await partner.accepted(city())
    assert (await partner.post(exact)).status_code == 202
    last = (await partner.announced())[-1]
    assert isinstance(last, NeedPosted)
    assert last.budget is not None
    assert str(last.budget.amount) == "1400000.123456"


WORDS = st.text(st.characters(), max_size=20)  # halves of characters and control characters among them
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


def changed(event: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """The event with one part replaced by something else."""
    if not path:
        return value
    return {**event, path[0]: changed(event.get(path[0], {}) if isinstance(event, dict) else {}, path[1:], value)}


PARTS = [[], *([name] for name in need()), *(["data", name] for name in (*need()["data"], "text", "status", "baseline"))]


async def test_whatever_json_comes_is_answered_and_never_our_mistake(partner: Partner) -> None:
    await partner.accepted(city())
    loop = asyncio.get_running_loop()

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(PARTS), JSON)
    def holds(path: list[str], value: Any) -> None:
        body = json.dumps(changed(need(), path, value))
        response = asyncio.run_coroutine_threadsafe(partner.post(body), loop).result(30)
        assert response.status_code in (202, 207, 422, 400, 413), (response.text, body)
        for result in response.json().get("results", []):
            assert result["status"] in ("accepted", "repeat", "superseded", "refused")
            assert all(e["pointer"] == "" or e["pointer"].startswith("/") for e in result["errors"])

    await asyncio.to_thread(holds)
