"""An event survives the wire, and no record whatsoever makes the parser raise."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from common.errors import Rejected
from common.messaging.message import MAX_BODY, MAX_TAKEN, Broken, Event, check_sendable, parse, raw_headers
from tests.common.records import HandMade, a_record, an_event

NAMES = ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_sequence", "content-type", "traceparent", "x"]
TRACE = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"


def test_an_event_survives_the_wire() -> None:
    event = an_event(key="ダナン", trace=TRACE, correlation_id="partner/1", causation_id="c", sequence=7)
    assert parse(a_record(event)) == event


def test_the_structured_mode_is_read_too() -> None:
    whole = {
        "specversion": "1.0", "id": an_event().id, "type": "need.posted.v1", "source": "/s", "subject": "n1",
        "time": "2026-11-24T03:05:00Z", "sequence": 3, "traceparent": TRACE.decode(), "correlationid": "c", "data": {"a": 0.1},
    }  # fmt: skip
    headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    event = parse(HandMade("t", None, json.dumps(whole).encode(), headers))
    assert isinstance(event, Event)
    assert (event.key, event.sequence, event.body, event.trace, event.correlation_id) == ("n1", 3, b'{"a":0.1}', TRACE, "c")


BAD = {
    "no CloudEvent at all": (HandMade("t", b"k", b"{}", ()), "no header ce_specversion"),
    "another version of CloudEvents": (a_record(ce_specversion=b"0.3"), "ce_specversion 1.0"),
    "bad UTF-8 in a header": (a_record(ce_type=b"\xff\xfe"), "not UTF-8"),
    "a null header": (a_record(ce_id=None), "ce_id is missing or null"),
    "a null sequence": (a_record(ce_sequence=None), "ce_sequence"),
    "a sequence that is no number": (a_record(ce_sequence=b"1e9"), "ce_sequence"),
    "a sequence of nought": (a_record(ce_sequence=b"0"), "ce_sequence"),
    "an id that is no UUID": (a_record(ce_id=b"7"), "UUID"),
    "a time without a zone": (a_record(ce_time=b"2026-11-24T03:05:00"), "RFC 3339"),
    "a key with a NUL": (a_record(an_event(key="a\0b")), "NUL"),
    "a key of 5 kB": (a_record(an_event(key="k" * 5000)), "too long"),
    "an empty key": (a_record(an_event(key="")), "empty"),
    "a type with a NUL": (a_record(ce_type=b"a\0"), "NUL"),
    "no key": (a_record()._replace(key=None), "no key"),
    "a key that is not UTF-8": (a_record()._replace(key=b"\xff"), "not UTF-8"),
    "no body": (a_record()._replace(value=None), "no body"),
    "a body of more than 10 MB, as a compressed record may have": (
        a_record()._replace(value=b"x" * (MAX_TAKEN + 1)),
        "too large",
    ),
    "structured, but no JSON": (
        HandMade("t", b"k", b"{", (("content-type", b"application/cloudevents+json"),)),
        "not JSON",
    ),
    "structured, but a list": (
        HandMade("t", b"k", b"[]", (("content-type", b"application/cloudevents+json"),)),
        "specversion",
    ),
}


@pytest.mark.parametrize(("record", "reason"), BAD.values(), ids=BAD)
def test_what_is_no_event_comes_back_with_the_reason(record: HandMade, reason: str) -> None:
    broken = parse(record)
    assert isinstance(broken, Broken)
    assert reason in broken.reason
    assert broken.record is record


headers = st.lists(st.tuples(st.sampled_from(NAMES), st.none() | st.binary(max_size=40)), max_size=9)


@settings(max_examples=500, deadline=None)
@given(headers, st.none() | st.binary(max_size=300), st.none() | st.binary(max_size=100))
def test_no_record_makes_the_parser_raise(
    headers: list[tuple[str, bytes | None]], key: bytes | None, value: bytes | None
) -> None:
    good = a_record()
    mixed = HandMade("t", key, value, (*good.headers, *headers))
    for record in (mixed, good._replace(key=key), HandMade("t", key, value, tuple(headers))):
        result = parse(record)
        assert isinstance(result, Broken) or ("\0" not in result.key and 0 < result.sequence < 10**18)


@settings(max_examples=100, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda x: st.dictionaries(st.sampled_from(
    ["specversion", "id", "type", "source", "subject", "time", "sequence", "data"]), x) | st.lists(x, max_size=2)))  # fmt: skip
def test_no_structured_body_makes_the_parser_raise(value: object) -> None:
    body = json.dumps(value).encode()
    assert parse(HandMade("t", None, body, (("content-type", b"application/cloudevents+json"),)))


def test_headers_are_kept_byte_for_byte() -> None:
    kept = json.loads(raw_headers([("a", b"\xff\x00"), ("b", None), ("c", b"")]))
    assert kept == [["a", "/wA="], ["b", None], ["c", ""]]


def test_what_the_broker_would_refuse_is_refused_before() -> None:
    check_sendable("k", b"x" * MAX_BODY)
    with pytest.raises(Rejected, match="too-large"):
        check_sendable("k", b"x" * (MAX_BODY + 1))
    for key in ("", "k" * 256, "a\0"):
        with pytest.raises(Rejected, match="unsendable-key"):
            check_sendable(key, b"{}")
