"""Why a record is no event, in words for people: what `message` and `decoding` in `common.messaging` write down, in both
languages."""

import re
from collections.abc import Sequence
from typing import NamedTuple


class _Words(NamedTuple):
    pattern: re.Pattern[str]
    en: str
    ja: str


def _words(pattern: str, en: str, ja: str) -> _Words:
    return _Words(re.compile(pattern, re.DOTALL), en, ja)


_KNOWN: Sequence[_Words] = (
    _words(
        r"not a CloudEvent: no header ce_specversion 1\.0",
        "It is no CloudEvent: the header ce_specversion with the value 1.0 is missing.",
        "CloudEvent ではありません（値が 1.0 のヘッダー ce_specversion がありません）。",
    ),
    _words(
        r"not a CloudEvent: no object with specversion 1\.0",
        "It is no CloudEvent: the body is no object with specversion 1.0.",
        "CloudEvent ではありません（本文が specversion 1.0 のオブジェクトではありません）。",
    ),
    _words(
        r"not a CloudEvent: (\w+)",
        "It cannot be read as a CloudEvent ({0}).",
        "CloudEvent として読めません（{0}）。",
    ),
    _words(
        r"header ce_sequence is missing or no whole number above 0",
        "The header ce_sequence is missing, or is no whole number above 0.",
        "ヘッダー ce_sequence がないか、1以上の整数ではありません。",
    ),
    _words(
        r"attribute sequence is missing or no whole number above 0",
        "The attribute sequence in the body is missing, or is no whole number above 0.",
        "本文の属性 sequence がないか、1以上の整数ではありません。",
    ),
    _words(r"no key", "It has no key.", "キーがありません。"),
    _words(r"no body", "It has no body.", "本文がありません。"),
    _words(
        r"the body is too large, only its beginning is kept",
        "Its body is larger than 10 MB. Only the beginning is kept.",
        "本文が 10 MB を超えています。先頭部分だけを保管しています。",
    ),
    _words(
        r"a batch that cannot be unpacked: (.*)",
        "It is a whole batch of records that cannot be unpacked ({0}). Its bytes are kept as they came.",
        "複数のレコードをまとめたバッチですが、展開できません（{0}）。届いたままのバイト列を保管しています。",
    ),
    _words(
        r"a batch that cannot be unpacked",
        "They are whole batches of records that cannot be unpacked.",
        "複数のレコードをまとめたバッチですが、展開できません。",
    ),
    _words(r"no data", "It has no data.", "data がありません。"),
    _words(r"header (\w+) is missing or null", "The header {0} is missing.", "ヘッダー {0} がありません。"),
    _words(
        r"attribute (\w+) is missing or no text",
        "The attribute {0} is missing, or is no text.",
        "属性 {0} がないか、文字列ではありません。",
    ),
    _words(r"not JSON: (.*)", "Its body is not JSON ({0}).", "本文がJSONではありません（{0}）。"),
    _words(
        r"a header or the key is not UTF-8",
        "A header or the key is no text in UTF-8.",
        "ヘッダーかキーが UTF-8 の文字列ではありません。",
    ),
    _words(
        r"(?:the )?(key|type|source|correlationid|causationid) is empty, too long or has a NUL in it",
        "The {0} is empty, too long, or has a NUL in it.",
        "{0} が空か、長すぎるか、NUL を含んでいます。",
    ),
    _words(
        r"the time is not RFC 3339 in UTC",
        "Its time is not written as in 2027-04-14T09:00:00Z.",
        "time が 2027-04-14T09:00:00Z の形で書かれていません。",
    ),
    _words(
        r"the id is no UUID in small letters",
        "Its id is no UUID in small letters.",
        "id が英小文字の UUID ではありません。",
    ),
    _words(r"unknown type", "The type is not known here.", "type がここでは登録されていません。"),
    _words(
        r"unknown type (.*)",
        "The type “{0}” is not known here.",
        "type「{0}」はここでは登録されていません。",
    ),
    _words(
        r"type (\S+) belongs to topic (\S+)",
        "The type “{0}” belongs to the topic {1}.",
        "type「{0}」はトピック {1} のものです。",
    ),
    _words(r"not JSON", "The body is not JSON.", "本文がJSONではありません。"),
)


def in_words(reason: str) -> dict[str, str]:
    """The sentence for a reason, by language; the reason itself where it is a new one."""
    for pattern, en, ja in _KNOWN:
        if found := pattern.fullmatch(reason):
            values = [value[:200] for value in found.groups()]
            return {"en": en.format(*values), "ja": ja.format(*values)}
    return {"en": f"It cannot be read ({reason[:200]}).", "ja": f"読めません（{reason[:200]}）。"}
