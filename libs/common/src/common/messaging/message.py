"""An event as the messaging protocol sees it, and how it becomes a Kafka record (a CloudEvent) and back.

Binary mode: attributes in `ce_*` headers, the fact's JSON as it is. Structured mode is accepted too. No record whatsoever makes
`parse` raise: what is no event comes back as `Broken`, with the reason, to be kept byte for byte.
"""

import base64
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

from common.errors import Rejected
from common.exact_json import NotJson, from_json, to_json

MAX_BODY = 900_000
"""Bytes of JSON in one event; the broker's limit is 1 MiB with headers, and what it refuses would block the relay for ever."""

MAX_TAKEN = 10_000_000
"""Bytes of a body that is read at all. A broker limits records as they were sent: 30 kB of compressed zeros are a body of a
gigabyte, which PostgreSQL cannot keep."""

MAX_NAME = 255
"""Characters in a key, a type, a source and the like."""

_SEQUENCE_DIGITS = 18
_REQUIRED = ("ce_id", "ce_type", "ce_source", "ce_time")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z")
TRACE_BYTES = 55
"""The length of a `traceparent`; one that is not well formed begins a new trace where it is read."""

STRUCTURED = b"application/cloudevents+json"
"""A content type that begins so: the attributes stand in the body, beside the data, and not in headers."""
_BINARY_TYPES = (None, b"application/json", b"application/json; charset=utf-8")


class Event(NamedTuple):
    """The envelope of one event of one key. `sequence` counts 1, 2, 3… for each topic and key."""

    topic: str
    key: str
    sequence: int
    id: str
    type: str
    source: str
    time: str
    """RFC 3339, UTC."""
    body: bytes
    """JSON of the fact."""
    trace: bytes = b""
    """W3C `traceparent`, or nothing."""
    correlation_id: str = ""
    """Id of the partner's event (or of the first event) that all this follows from."""
    causation_id: str = ""
    """Id of the event that led to this one."""


event_of = partial(tuple.__new__, Event)
"""An event of its eleven fields in a tuple: half as dear as `Event(…)`, for where there is one for every record."""


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


class Record(Protocol):
    """What we read of a Kafka record."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class Broken(NamedTuple):
    """A record that is no event, and why."""

    record: Record
    reason: str


class _NoEvent(Exception):
    """Why a record is no event."""


def parse(record: Record) -> Event | Broken:
    """Read a Kafka record; whatever is wrong with it comes back as `Broken`."""
    try:
        if len(record.value or b"") > MAX_TAKEN:
            raise _NoEvent("the body is too large, only its beginning is kept")
        headers = dict(record.headers)
        content_type = headers.get("content-type")
        if content_type not in _BINARY_TYPES and content_type.lower().startswith(STRUCTURED):
            return _from_structured(record)
        return _from_binary(record, headers)
    except _NoEvent as error:
        return Broken(record, str(error))
    except NotJson as error:
        return Broken(record, f"not JSON: {error}")
    except UnicodeDecodeError:
        return Broken(record, "a header or the key is not UTF-8")
    except Exception as error:  # noqa: BLE001  a record must never raise, whatever it holds
        return Broken(record, f"not a CloudEvent: {type(error).__name__}")


def _from_binary(record: Record, headers: dict[str, bytes | None]) -> Event:
    if headers.get("ce_specversion") != b"1.0":
        raise _NoEvent("not a CloudEvent: no header ce_specversion 1.0")
    sequence = headers.get("ce_sequence")
    if sequence is None or not is_sequence(sequence):
        raise _NoEvent("header ce_sequence is missing or no whole number above 0")
    if record.key is None:
        raise _NoEvent("no key")
    if record.value is None:
        raise _NoEvent("no body")
    get = headers.get
    id_, type_, source, time = get("ce_id"), get("ce_type"), get("ce_source"), get("ce_time")
    if id_ is None or type_ is None or source is None or time is None:
        raise _NoEvent(f"header {next(name for name in _REQUIRED if get(name) is None)} is missing or null")
    trace, correlation, causation = get("traceparent"), get("ce_correlationid"), get("ce_causationid")
    type_name, source_name, time_text = _shared(type_, source, time)
    return event_of(
        (
            record.topic,
            _name(record.key.decode(), "the key"),
            int(sequence),
            _uuid(id_.decode()),
            type_name,
            source_name,
            time_text,
            record.value,
            trace if trace and len(trace) == TRACE_BYTES else b"",
            _name(correlation.decode(), "correlationid") if correlation else "",
            _name(causation.decode(), "causationid") if causation else "",
        )
    )


def _from_structured(record: Record) -> Event:
    found = from_json(record.value or b"")
    if not isinstance(found, dict) or found.get("specversion") != "1.0":
        raise _NoEvent("not a CloudEvent: no object with specversion 1.0")
    for name in ("id", "type", "source", "time", "subject"):
        if not isinstance(found.get(name), str):
            raise _NoEvent(f"attribute {name} is missing or no text")
    sequence, trace = str(found.get("sequence", "")).encode(), str(found.get("traceparent", "")).encode()
    if not is_sequence(sequence):
        raise _NoEvent("attribute sequence is missing or no whole number above 0")
    if "data" not in found:
        raise _NoEvent("no data")
    return Event(
        record.topic,
        _name(record.key.decode() if record.key is not None else found["subject"], "the key"),
        int(sequence),
        _uuid(found["id"]),
        _name(found["type"], "the type"),
        _name(found["source"], "the source"),
        _time(found["time"]),
        to_json(found["data"]),
        trace if len(trace) == TRACE_BYTES else b"",
        _name(str(found["correlationid"]), "correlationid") if found.get("correlationid") else "",
        _name(str(found["causationid"]), "causationid") if found.get("causationid") else "",
    )


def _name(value: str, what: str) -> str:
    """Text that PostgreSQL stores and indexes without complaint: a NUL or a 3 kB key would fail the batch, not the event."""
    if not 0 < len(value) <= MAX_NAME or "\x00" in value:
        raise _NoEvent(f"{what} is empty, too long or has a NUL in it")
    return value


@lru_cache(maxsize=2048)
def _shared(type_: bytes, source: bytes, time: bytes) -> tuple[str, str, str]:
    """What all events of a type share that one transaction announced."""
    return _name(type_.decode(), "the type"), _name(source.decode(), "the source"), _time(time.decode())


def _time(value: str) -> str:
    if not _TIME.fullmatch(value):
        raise _NoEvent("the time is not RFC 3339 in UTC")
    return value


def _uuid(value: str) -> str:
    if not _UUID.fullmatch(value):
        raise _NoEvent("the id is no UUID in small letters")
    return value


def happened(event: Event) -> datetime | None:
    """When the event happened, as it says itself; None where it names a day that never was."""
    whole, _, fraction = event.time.removesuffix("Z").partition(".")
    try:
        return datetime.fromisoformat(whole).replace(microsecond=int(fraction[:6].ljust(6, "0")), tzinfo=UTC)
    except ValueError:
        return None


def is_sequence(value: bytes) -> bool:
    """A whole number above 0, as a sequence is written."""
    return value.isdigit() and len(value) <= _SEQUENCE_DIGITS and value[:1] != b"0"


def check_sendable(key: str, body: bytes) -> None:
    """Refuse what the broker or a consumer would refuse later, when it is too late; raises `Rejected`."""
    if not 0 < len(key) <= MAX_NAME or "\x00" in key:
        raise Rejected(
            "unsendable-key",
            {
                "en": "The id must have 1 to 255 characters and no NUL.",
                "ja": "ID は1文字以上255文字以内で、NUL を含めないでください。",
            },
        )
    if len(body) > MAX_BODY:
        raise Rejected(
            "too-large",
            {
                "en": f"This is {len(body):,} bytes; {MAX_BODY:,} can be sent. Please shorten the texts.",
                "ja": f"データは {len(body):,} バイトです。送れるのは {MAX_BODY:,} バイトまでです。文を短くしてください。",
            },
        )


def to_headers(event: Event) -> list[tuple[str, bytes]]:
    """The Kafka headers of an event: CloudEvents binary mode with our extensions."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.id.encode()),
        ("ce_type", event.type.encode()),
        ("ce_source", event.source.encode()),
        ("ce_subject", event.key.encode()),
        ("ce_time", event.time.encode()),
        ("ce_sequence", b"%d" % event.sequence),
        ("content-type", b"application/json"),
    ]
    if event.correlation_id:
        headers.append(("ce_correlationid", event.correlation_id.encode()))
    if event.causation_id:
        headers.append(("ce_causationid", event.causation_id.encode()))
    if event.trace:
        headers.append(("traceparent", event.trace))
    return headers


def raw_headers(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """All headers of a record that is no event, byte for byte, as JSON with base64."""
    return json.dumps([(name, None if value is None else base64.b64encode(value).decode()) for name, value in headers]).encode()
