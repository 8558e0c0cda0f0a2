"""The feed `dead-letters`: tells whoever watches the brokers which records a service could not handle. Nobody reads it here.

The records themselves stay with the service (`parked`, `quarantine`), where they are mended. The feed goes through the outbox
like any other fact; its Kafka records carry the headers by which consoles know a dead letter (those of Spring Kafka). What stands
in a header says nothing about anybody: kinds of trouble and places, no values.
"""

import base64
import contextlib
import re
from typing import Literal, NamedTuple, Protocol

from common.contracts.messaging import Excerpt, RecordDeadLettered
from common.exact_json import load
from common.messaging.gate import Parked
from common.messaging.message import MAX_TAKEN, Broken, Event
from common.transaction import Transaction

MAX_BODY_SHOWN = 100_000
"""Bytes of the body that the feed shows. Written as JSON they may grow sixfold, and an event may have 900,000."""

MAX_KEY_SHOWN = 2000
"""Bytes of the key; an event's key is always shorter, that of a record that is no event may have any length."""

MAX_REASON = 2000
"""Characters."""

_ERROR_KIND = re.compile(r"[A-Za-z_][\w.]{0,100}(?=\()")
"""The class at the beginning of an error's `repr`."""

HeldCause = Literal["poison", "dead"]


class Origin(NamedTuple):
    """Where a record stood. `timestamp` is in milliseconds since 1970."""

    partition: int
    offset: int
    timestamp: int | None = None


class Stamped(Protocol):
    """What is read of a Kafka record to say where it stood."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


def origin_of(record: Stamped) -> Origin:
    """Where this record stands."""
    timestamp = getattr(record, "timestamp", None)
    return Origin(record.partition, record.offset, timestamp if timestamp is not None and timestamp >= 0 else None)


def announce(
    tx: Transaction,
    group: str,
    held: Parked | Broken,
    *,
    cause: HeldCause = "poison",
    origin: Origin | None = None,
) -> None:
    """Tell the feed that `group` could not handle this. Call it when an event fails for the first time, when it is given up
    (`cause="dead"`), and when a record is no event (`Broken`); `origin` says where an event's record stood, where that is known.

    Never raises for what the record holds."""
    if isinstance(held, Broken):
        record, reason = held
        stood = origin_of(record)
        letter = RecordDeadLettered(
            group=group,
            cause="quarantined",
            original_topic=record.topic,
            original_partition=stood.partition,
            original_offset=stood.offset,
            original_timestamp=stood.timestamp,
            key=excerpt(record.key, MAX_KEY_SHOWN),
            reason=_clean(reason, MAX_REASON),
            body=excerpt(record.value),
            at=tx.now,
        )
        tx.emit(letter)
        return
    event, _, refusal = held
    letter = RecordDeadLettered(
        group=group,
        cause=cause,
        original_topic=event.topic,
        original_partition=origin.partition if origin else None,
        original_offset=origin.offset if origin else None,
        original_timestamp=origin.timestamp if origin else None,
        key=excerpt(event.key.encode(), MAX_KEY_SHOWN),
        sequence=event.sequence,
        event_id=event.id,
        event_type=event.type,
        reason=_clean(refusal.error if refusal else "", MAX_REASON),
        pointer=_clean(refusal.pointer, MAX_REASON) if refusal else None,
        body=excerpt(event.body),
        at=tx.now,
    )
    tx.emit(letter, cause=event)


def excerpt(content: bytes | None, longest: int = MAX_BODY_SHOWN) -> Excerpt | None:
    """The beginning of some bytes in a form that JSON can hold; None of nothing."""
    if content is None:
        return None
    shown = content[:longest]
    size, cut = len(content), len(content) > len(shown)
    try:
        if size > MAX_TAKEN or b"\x00" in content:  # as a text it would be as large once more
            raise ValueError
        content.decode()
    except ValueError:
        return Excerpt(encoding="base64", value=base64.b64encode(shown).decode(), size=size, cut=cut)
    return Excerpt(encoding="text", value=shown.decode(errors="ignore"), size=size, cut=cut)  # "ignore": a character cut in two


def headers(event: Event) -> list[tuple[str, bytes]]:
    """The headers of Spring Kafka's `DeadLetterPublishingRecoverer` for an event of the feed; none for any other event.

    They follow from the event's body alone, so whatever is sent again carries the same. Partition is a big-endian 4-byte integer,
    offset and timestamp are 8-byte ones, all else is UTF-8. Never raises, because the relay must not stop."""
    if event.type != RecordDeadLettered.type:
        return []
    with contextlib.suppress(Exception):
        return _headers(load(RecordDeadLettered, event.body))
    return []


def _headers(letter: RecordDeadLettered) -> list[tuple[str, bytes]]:
    kind = _kind_of_trouble(letter)
    found = [
        ("kafka_dlt-original-topic", letter.original_topic.encode()),
        ("kafka_dlt-original-consumer-group", letter.group.encode()),
        ("kafka_dlt-exception-fqcn", kind.encode()),
        ("kafka_dlt-exception-message", _in_short(letter, kind).encode()),
    ]
    if letter.original_partition is not None:
        found.append(("kafka_dlt-original-partition", letter.original_partition.to_bytes(4, "big", signed=True)))
    if letter.original_offset is not None:
        found.append(("kafka_dlt-original-offset", letter.original_offset.to_bytes(8, "big", signed=True)))
    if letter.original_timestamp is not None:
        found.append(("kafka_dlt-original-timestamp", letter.original_timestamp.to_bytes(8, "big", signed=True)))
    return found


def _kind_of_trouble(letter: RecordDeadLettered) -> str:
    if letter.cause == "quarantined":
        return "NoEvent"
    found = _ERROR_KIND.match(letter.reason)
    return found.group() if found and not letter.pointer else "BrokenContract"


def _in_short(letter: RecordDeadLettered, kind: str) -> str:
    """The full reason stands in the data: it may repeat what the record says."""
    if letter.cause == "quarantined":
        return "The record is no event; it is kept in quarantine. The reason is in the data."
    what = f"at {letter.pointer}" if letter.pointer else f"with {kind}"
    then = "is not tried again by itself" if letter.cause == "dead" else "waits and is tried again"
    return f"The event failed {what} and {then}. The reason is in the data."


def _clean(text: str, longest: int) -> str:
    """Text without what JSON or PostgreSQL cannot hold."""
    return text[:longest].replace("\x00", "�").encode("utf-8", "replace").decode()
