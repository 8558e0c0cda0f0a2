"""Reads a file of CloudEvents: JSON (one event or a list) or NDJSON (one a line). The unreadable is named, the rest goes on."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_BETWEEN = re.compile(r"[\s,]*")


class Item(NamedTuple):
    """One event as it stands in the file. `number` is its line (NDJSON) or its place in the list, from 1.

    `text` goes over the wire unchanged, so that no digit is lost and the service judges what was written."""

    number: int
    text: bytes
    type: str
    id: str


class Unreadable(NamedTuple):
    """Something in the file that is no JSON; `number` is its line. The reason in English, and in Japanese."""

    number: int
    reason: str
    ja: str


_SAVE_AS_UTF_8 = ("save the file as UTF-8", "ファイルをUTF-8で保存し直してください。")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read(content: bytes) -> Iterator[Item | Unreadable]:
    """The events of a file in order. A byte order mark and empty lines are passed over."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    if content.startswith(_UTF_16):
        en, ja = _SAVE_AS_UTF_8
        yield Unreadable(1, f"the file is in UTF-16; {en}", f"ファイルがUTF-16です。{ja}")
    elif content.lstrip().startswith(b"["):
        yield from _read_list(content)
    elif (only := _one_event(content)) is not None:
        yield only
    else:
        yield from _read_lines(content)


def _read_list(content: bytes) -> Iterator[Item | Unreadable]:
    """The events of a JSON list, each with its own text. Behind the first fault nothing can be told apart."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        en, ja = _SAVE_AS_UTF_8
        yield Unreadable(content.count(b"\n", 0, error.start) + 1, f"not UTF-8; {en}", f"UTF-8ではありません。{ja}")
        return
    decoder = json.JSONDecoder()
    at, number = _after(text, text.index("[") + 1), 0
    while text[at : at + 1] != "]":
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield Unreadable(text.count("\n", 0, getattr(error, "pos", at)) + 1, *_reason(error))
            return
        number += 1
        yield _item(number, text[at:end].encode("utf-8"), value)
        at = _after(text, end)
    if left := text[at + 1 :].strip():
        yield Unreadable(
            text.count("\n", 0, at + 1) + 1,
            f"not JSON: something follows the list: {left[:40]}",
            f"JSONではありません：リストの後に余分な内容があります：{left[:40]}",
        )


def _one_event(content: bytes) -> Item | None:
    """The event of a file that is one JSON object over several lines."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return _item(1, content.strip(), value)


def _read_lines(content: bytes) -> Iterator[Item | Unreadable]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            yield Unreadable(number, *_reason(error))
        else:
            yield _item(number, line.strip(), value)


def _after(text: str, at: int) -> int:
    """The next place where a value may begin."""
    match = _BETWEEN.match(text, at)
    return match.end() if match else at


def _item(number: int, text: bytes, value: Any) -> Item:
    event = value if isinstance(value, dict) else {}
    return Item(number, text, str(event.get("type", "")), str(event.get("id", "")))


def _reason(error: Exception) -> tuple[str, str]:
    match error:
        case UnicodeDecodeError(start=start):
            en, ja = _SAVE_AS_UTF_8
            return f"not UTF-8 from byte {start + 1} on; {en}", f"{start + 1}バイト目からUTF-8ではありません。{ja}"
        case json.JSONDecodeError(msg=message, colno=column):
            return (
                f"not JSON: {message} at column {column}. Write one JSON object on each line, or a list of them.",
                f"JSONではありません：{column}文字目（{message}）。1行に1つのJSONオブジェクト、またはそのリストを書いてください。",
            )
        case RecursionError():
            return "nested too deeply", "入れ子が深すぎます。"
        case _:
            return f"not JSON: {error}", f"JSONではありません：{error}"
