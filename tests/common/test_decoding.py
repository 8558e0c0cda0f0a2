"""What is no event of ours is set apart; what breaks its contract is refused, with item, field and reason."""

from decimal import Decimal

import pytest

from common.contracts.catalog import ExchangeRatePublished
from common.contracts.registry import FACTS
from common.messaging.decoding import decode, to_facts
from tests.common.records import a_record, an_event

QUARANTINED = {
    "not JSON": (b"{", "not JSON"),
    "NaN": (b'{"currency":"JPY","per_usd":NaN}', "not JSON"),
    "an exponent beyond measure": (b'{"currency":"JPY","per_usd":1e99999999999999999999}', "not JSON"),
    "a whole number of a billion digits": (b'{"currency":"JPY","per_usd":1e1000000000}', "not JSON"),
    "a fraction of a billion places": (b'{"currency":"JPY","per_usd":-1e-1000000000}', "not JSON"),
    "a million digits before the point": (b'{"currency":"JPY","per_usd":%s.0}' % (b"9" * 1_000_000), "not JSON"),
    "bad UTF-8": (b'{"currency":"\xff"}', "not JSON"),
    "an empty body": (b"", "not JSON"),
    "deep nesting": (b"[" * 100_000, "not JSON"),
}


@pytest.mark.parametrize(("body", "reason"), QUARANTINED.values(), ids=QUARANTINED)
def test_a_body_that_is_no_json_is_no_event(body: bytes, reason: str) -> None:
    found = decode([a_record(an_event(body=body))], FACTS)
    assert not found.events
    assert reason in found.broken[0].reason


def test_an_unknown_type_or_version_is_set_apart_and_named() -> None:
    found = decode([a_record(an_event(type="exchange-rate.published.v9"))], FACTS)
    assert found.broken[0].reason == "unknown type exchange-rate.published.v9"


def test_a_type_in_a_topic_that_is_not_its_own_is_set_apart() -> None:
    found = decode([a_record(an_event(topic="needs.needs"))], FACTS)
    assert "belongs to topic catalog.exchange-rates" in found.broken[0].reason


REFUSED = {
    "an unknown currency": (b'{"currency":"XQX","per_usd":1,"as_of":"2026-11-01","source":"s"}', "/currency"),
    "a negative number": (b'{"currency":"JPY","per_usd":-1,"as_of":"2026-11-01","source":"s"}', "/per_usd"),
    "a missing field": (b'{"currency":"JPY","per_usd":1,"source":"s"}', "/as_of"),
    "a control character": (b'{"currency":"JPY","per_usd":1,"as_of":"2026-11-01","source":"a\\u0000b"}', "/source"),
    "too long a text": (
        b'{"currency":"JPY","per_usd":1,"as_of":"2026-11-01","source":"%s"}' % (b"x" * 5_000_000),
        "/source",
    ),
    "no object at all": (b"7", ""),
    "another key than its subject": (b'{"currency":"EUR","per_usd":1,"as_of":"2026-11-01","source":"s"}', ""),
}


@pytest.mark.parametrize(("body", "pointer"), REFUSED.values(), ids=REFUSED)
def test_data_that_breaks_its_contract_is_refused_by_field(body: bytes, pointer: str) -> None:
    found = decode([a_record(an_event(body=body))], FACTS)
    good, refused = to_facts(found.events, found.values, FACTS)
    assert not good
    [(place, refusal)] = refused.items()
    assert place == ("catalog.exchange-rates", "JPY", 1)
    assert refusal.pointer == pointer
    assert refusal.error
    assert "\0" not in refusal.error


def test_numbers_keep_every_digit() -> None:
    body = b'{"currency":"JPY","per_usd":155.123456,"as_of":"2026-11-01","source":"s"}'
    found = decode([a_record(an_event(body=body))], FACTS)
    good, _ = to_facts(found.events, found.values, FACTS)
    [fact] = good.values()
    assert isinstance(fact, ExchangeRatePublished)
    assert fact.per_usd == Decimal("155.123456")


def test_types_that_the_group_has_no_handler_for_are_passed_over() -> None:
    found = decode([a_record()], FACTS)
    assert to_facts(found.events, found.values, {}) == ({}, {})
