"""A record of the quarantine as bytes, as text for people to edit, and back: key, headers (a line each), body. Pure."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import NamedTuple

from common.exact_json import NotJson, from_json
from common.messaging.message import MAX_NAME, STRUCTURED, is_sequence, raw_headers
from common.operating.held import HeldRecord

_NOT_IN_TEXT = "\ufffd"


class RawRecord(NamedTuple):
    """What `common.messaging.message.parse` reads of a record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class RecordText(NamedTuple):
    """A record as it can be edited. Headers are lines `name: value`."""

    key: str
    headers: str
    body: str


class OwnPlace(NamedTuple):
    """Which event a record says that it is, as far as that can be read of it: None for what cannot."""

    key: str | None
    sequence: int | None


def raw(record: HeldRecord) -> RawRecord:
    """The record as it is now, ready to be read again."""
    id_ = record.id
    return RawRecord(id_.topic, id_.part, id_.offset, record.key, record.body, headers_of(record.headers))


def headers_of(kept: bytes | None) -> list[tuple[str, bytes | None]]:
    """Headers from how they are kept; what cannot be read as such is left out."""
    try:
        return [(str(name), None if value is None else base64.b64decode(value)) for name, value in json.loads(kept or b"[]")]
    except (ValueError, TypeError, binascii.Error):
        return []


def own_place(record: HeldRecord) -> OwnPlace:
    """Key and sequence as the record itself has them, by the rules of `common.messaging.message.parse`."""
    headers = dict(headers_of(record.headers))
    key, sequence = record.key, headers.get("ce_sequence") or b""
    if (headers.get("content-type") or b"").lower().startswith(STRUCTURED):
        try:
            found = from_json(record.body or b"")
        except NotJson:
            found = None
        attributes = found if isinstance(found, dict) else {}
        sequence = str(attributes.get("sequence", "")).encode("utf-8", "replace")
        subject = attributes.get("subject")
        if key is None and isinstance(subject, str):
            key = subject.encode("utf-8", "replace")
    return OwnPlace(_key(key), int(sequence) if is_sequence(sequence) else None)


def _key(key: bytes | None) -> str | None:
    try:
        text = (key or b"").decode()
    except UnicodeDecodeError:
        return None
    return text if 0 < len(text) <= MAX_NAME and "\x00" not in text else None


def as_text(record: HeldRecord) -> RecordText:
    """The record for an editor. Bytes that are no text come out as replacement marks; whoever saves has to mend them."""
    headers = [f"{name}: {_text(value)}" for name, value in headers_of(record.headers) if value is not None]
    return RecordText(_text(record.key), "\n".join(headers), _text(record.body))


def from_text(text: RecordText) -> tuple[bytes, bytes, bytes]:
    """Key, headers (as they are kept) and body from an editor's texts."""
    lines = [line.partition(":") for line in text.headers.splitlines() if line.strip()]
    headers = [(name.strip(), value.strip().encode("utf-8", "replace")) for name, _, value in lines]
    return text.key.strip().encode("utf-8", "replace"), raw_headers(headers), text.body.encode("utf-8", "replace")


def is_whole_text(record: HeldRecord) -> bool:
    """Whether everything in it is text, so that an editor changes nothing by itself."""
    return _NOT_IN_TEXT not in "".join(as_text(record))


def original_of(record: HeldRecord) -> dict[str, str | None]:
    """Key, headers and body in base64, as they are kept when somebody edits the record."""
    parts = {"key": record.key, "headers": record.headers, "body": record.body}
    return {name: None if value is None else base64.b64encode(value).decode() for name, value in parts.items()}


def shown(value: bytes | None, at_most: int = 20_000) -> tuple[str, bool]:
    """Bytes for people: as text where they are text (True), else in hexadecimal, 16 a line (False); cut after `at_most` bytes."""
    part = (value or b"")[:at_most]
    more = f"\n… ({len(value or b'') - at_most})" if len(value or b"") > at_most else ""
    try:
        text = part.decode("utf-8", "strict" if not more else "ignore")
    except UnicodeDecodeError:
        text = ""
    if (text or not part) and all(character.isprintable() or character in "\n\r\t" for character in text):
        return text + more, True
    lines = [part[n : n + 16] for n in range(0, len(part), 16)]
    return "\n".join(f"{16 * n:06x}  {line.hex(' ', 1):<47}  {_ascii(line)}" for n, line in enumerate(lines)) + more, False


def _ascii(line: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in line)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
