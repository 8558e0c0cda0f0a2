"""Reads what partners send, strictly: JSON text into items, and one item into a CloudEvent 1.0 (structured mode).

Whatever is wrong inside an item is found item by item, with its place, so that one bad item does not refuse its whole batch.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import chain, islice
from typing import Any, NamedTuple

from common.errors import Fault, Rejected
from common.faults import fault, pointer

MAX_BYTES = 256 * 1024
MAX_ITEMS = 100
MAX_DEPTH = 32
MAX_EXPONENT = 40
"""Numbers beyond 10^±40 are refused before anything computes with them: 1e999999999 as a whole number fills the memory."""

MAX_FAULTS = 50
"""Of one item; whoever sends more will hear of the rest after mending these."""

_LIMITS = {"id": 200, "source": 300, "type": 200, "subject": 200, "time": 64}
_REQUIRED = ("id", "source", "type", "subject", "time")
_KNOWN = (*_REQUIRED, "specversion", "datacontenttype", "data", "data_base64")
_NAME = re.compile(r"[a-z0-9]{1,40}\Z")
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z",
    re.ASCII,
)
_JSON_TYPE = re.compile(r"[\w.+-]+/([\w.-]+\+)?json\s*(;.*)?\Z", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BAD_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class CloudEvent(NamedTuple):
    """A partner's event. `time` is aware, in UTC; `data` is a JSON object with exact numbers (int or Decimal)."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any]


class _Object(dict[str, Any]):
    """A JSON object that remembers which names stood in it twice."""

    repeated: tuple[str, ...] = ()


class _NotANumber(NamedTuple):
    """Stands where the text said NaN or Infinity, or a number with too many digits."""

    text: str
    code: str


def read_json(body: bytes) -> Any:
    """The JSON value of a text. Raises Rejected where it cannot be read at all: BOM, not UTF-8, not JSON, endlessly nested."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise Rejected(faults=(fault("", "byte_order_mark"),))
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(faults=(fault("", "not_utf8", at=error.start + 1),)) from None
    if not text.strip():
        raise Rejected(faults=(fault("", "empty"),))
    try:
        return json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise Rejected(faults=(fault("", "not_json", line=error.lineno, column=error.colno),)) from None
    except RecursionError:
        raise Rejected(faults=(fault("", "too_deep", limit=MAX_DEPTH),)) from None


def read_event(item: Any) -> CloudEvent:
    """One item as a CloudEvent. Raises Rejected with everything that is wrong with its text and its attributes."""
    if not isinstance(item, dict):
        raise Rejected(faults=(fault("", "not_an_object"),))
    faults = list(islice(chain(faults_of_text(item), _faults_of_attributes(item)), MAX_FAULTS))
    time = _time(item.get("time"))
    if faults or time is None:
        raise Rejected(faults=tuple(faults))
    return CloudEvent(item["id"], item["source"], item["type"], item["subject"], time, item["data"])


def canonical(value: Any) -> str:
    """The same text for the same JSON value: names sorted, no spaces, numbers by value (`3600` and `3.6e3` are the same)."""
    match value:
        case dict():
            return "{" + ",".join(f"{json.dumps(k)}:{canonical(v)}" for k, v in sorted(value.items())) + "}"
        case list():
            return "[" + ",".join(map(canonical, value)) + "]"
        case bool() | None | str():
            return json.dumps(value)
        case _:
            number = Decimal(value)
            return f"{number.normalize():f}" if number else "0"


def _number(text: str) -> int | Decimal | _NotANumber:
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of more than eighteen digits
        return _NotANumber(text, "number_out_of_range")
    if len(text) > 100 or (number and abs(number.adjusted()) > MAX_EXPONENT):
        return _NotANumber(text, "number_out_of_range")
    return int(text) if text.lstrip("-").isdigit() else number


def _constant(text: str) -> _NotANumber:
    return _NotANumber(text, "not_a_number")


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) < len(pairs):
        times = Counter(name for name, _ in pairs)
        found.repeated = tuple(name for name, count in times.items() if count > 1)
    return found


def faults_of_text(item: Any) -> Iterator[Fault]:
    """What JSON or the database cannot carry: NaN, endless numbers, half or control characters, repeated names, depth."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), item)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > MAX_DEPTH:
            yield fault(pointer(path[:3]), "too_deep", limit=MAX_DEPTH)
            return
        match value:
            case _NotANumber():
                yield fault(pointer(path), value.code, value=value.text)
            case str():
                yield from _faults_of_string(path, value)
            case dict():
                for name in getattr(value, "repeated", ()):
                    yield fault(pointer((*path, name)), "repeated_name", value=name)
                for name in value:
                    yield from _faults_of_string(path, name)
                waiting += [((*path, name), part) for name, part in reversed(value.items())]
            case list():
                waiting += [((*path, n), part) for n, part in reversed(list(enumerate(value)))]


def _faults_of_string(path: tuple[str | int, ...], text: str) -> Iterator[Fault]:
    if found := _BAD_IN_TEXT.search(text):
        code = "unpaired_surrogate" if _SURROGATE.match(found.group()) else "control_character"
        yield fault(pointer(path), code)


def _faults_of_attributes(item: dict[str, Any]) -> Iterator[Fault]:
    if item.get("specversion") is None:
        yield fault("/specversion", "attribute_missing")
    elif item["specversion"] != "1.0":
        yield fault("/specversion", "unknown_specversion", value=item["specversion"])
    for name in _REQUIRED:
        yield from _faults_of_required(name, item.get(name))
    content = item.get("datacontenttype")
    if content is not None and not (isinstance(content, str) and _JSON_TYPE.match(content)):
        yield fault("/datacontenttype", "not_json_content", value=content)
    if item.get("data_base64") is not None:
        yield fault("/data_base64", "binary_data")
    elif item.get("data") is None:
        yield fault("/data", "missing")
    elif not isinstance(item["data"], dict):
        yield fault("/data", "not_an_object")
    for name, value in item.items():
        if name in _KNOWN:
            continue
        if not _NAME.match(name):
            yield fault(pointer((name,)), "attribute_name", value=name)
        elif not isinstance(value, (str, int, bool, _NotANumber)) and value is not None:
            yield fault(pointer((name,)), "attribute_value")


def _faults_of_required(name: str, value: Any) -> Iterator[Fault]:
    place = "/" + name
    if value is None:
        yield fault(place, "attribute_missing")
    elif not isinstance(value, str) or not value.strip():
        yield fault(place, "attribute_not_text", limit=_LIMITS[name])
    elif len(value) > _LIMITS[name]:
        yield fault(place, "attribute_too_long", length=len(value), limit=_LIMITS[name])
    elif _CONTROL.search(value):
        if not _BAD_IN_TEXT.search(value):  # a tab or line end, which data may carry but an attribute may not
            yield fault(place, "control_character")
    elif name == "time" and _time(value) is None:
        yield fault(place, "time_not_readable", value=value)


def _time(text: Any) -> datetime | None:
    """A date and time of RFC 3339 in UTC; None where it is none, or none of our calendar (leap seconds, year 0)."""
    if not isinstance(text, str) or not _TIME.match(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
