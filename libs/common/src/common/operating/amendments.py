"""What an operator may write: a reason for every act, and the mended body of an event. Pure; what is wrong is refused in words,
field by field.
"""

from typing import NoReturn

from pydantic import ValidationError

from common.contracts.registry import FACTS
from common.errors import Fault, Rejected
from common.exact_json import NotJson, from_json, to_json
from common.faults import faults_of
from common.messaging.message import check_sendable
from common.partners.cloudevents import faults_of_text, read_json

LONGEST_REASON = 500
"""Characters."""

_AT_MOST = 50
"""Faults said at once."""


def checked_reason(reason: str) -> str:
    """The reason as it is kept; raises `Rejected` where there is none, or one that is too long."""
    said = " ".join(reason.split())
    if not said:
        refuse(
            "reason-missing",
            en="Please say why. The reason is kept in the audit, for whoever asks later.",
            ja="理由を書いてください。あとで確かめられるように、監査記録に残ります。",
        )
    if len(said) > LONGEST_REASON:
        refuse(
            "reason-too-long",
            en=f"The reason has {len(said)} characters; {LONGEST_REASON} is the most. Please shorten it.",
            ja=f"理由が{len(said)}文字あります。{LONGEST_REASON}文字以内にしてください。",
        )
    if not said.isprintable():
        refuse(
            "reason-not-readable",
            en="The reason contains characters that cannot be shown. Please write it in plain text.",
            ja="理由に表示できない文字があります。ふつうの文字で書いてください。",
        )
    return said


def checked_body(type_: str, key: str, text: str) -> bytes:
    """The body of an event of this type and key as compact JSON; raises `Rejected` with every fault, each with its pointer."""
    if not text.strip():
        refuse("not-json", en="The text is empty. An event has a body.", ja="本文が空です。イベントには本文が必要です。")
    try:
        value = read_json(text.encode("utf-8", "replace"))
    except Rejected as error:
        raise Rejected("not-json", error.faults[0].detail, error.faults) from None
    if faults := tuple(faults_of_text(value))[:_AT_MOST]:
        raise Rejected("breaks-contract", _BREAKS, faults)
    if faults := contract_faults(type_, key, value):
        raise Rejected("breaks-contract", _BREAKS, faults)
    try:
        body = to_json(from_json(text))
    except NotJson as error:
        refuse("not-json", en=f"This is not JSON: {error}.", ja=f"JSONではありません（{error}）。")
    check_sendable(key, body)
    return body


def contract_faults(type_: str, key: str, value: object) -> tuple[Fault, ...]:
    """What breaks the contract of this type, each with its pointer into the body; nothing where all is well."""
    kind = FACTS.get(type_)
    if kind is None:
        return (
            Fault(
                "",
                "unknown-type",
                {
                    "en": f"The type “{type_[:80]}” is not known here. Put its software in place first, or skip the event.",
                    "ja": f"type「{type_[:80]}」はここでは登録されていません。対応するソフトウェアを入れるか、捨ててください。",
                },
            ),
        )
    try:
        subject = kind.model_validate(value).subject
    except ValidationError as error:
        return faults_of(error, value, kind, prefix="", at_most=_AT_MOST)
    if subject == key:
        return ()
    return (
        Fault(
            "",
            "about-another",
            {
                "en": f"The key is “{key[:80]}”, but the data is about “{subject[:80]}”. An event keeps the key that it has.",
                "ja": f"キーは「{key[:80]}」ですが、内容は「{subject[:80]}」のものです。イベントのキーは変えられません。",
            },
        ),
    )


def refuse(slug: str, *, en: str, ja: str, faults: tuple[Fault, ...] = ()) -> NoReturn:
    """Raise `Rejected` in both languages."""
    raise Rejected(slug, {"en": en, "ja": ja}, faults)


_BREAKS = {
    "en": "This does not keep to the contract of its type. Nothing was changed.",
    "ja": "この内容は type の契約に合っていません。何も変更していません。",
}
