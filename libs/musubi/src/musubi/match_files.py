"""Reads needs, offerings, and what they refer to from files, as facts. A bad line is named with its fault; the rest goes on.

A line is one of three things: an event of ours (`need.posted.v1`, …), an event as a partner submits it (`need.submitted.v1`, …,
with the municipality or company that it names in any of the files), or the bare data of a fact of ours. Of several lines
about one thing the last counts.
"""

import gzip
import sys
import zlib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from common.contracts.catalog import (
    CompanyListed,
    CompanySubmitted,
    ExchangeRatePublished,
    ExchangeRateSubmitted,
    OfferingFields,
    OfferingListed,
    OfferingSubmitted,
    Supplier,
)
from common.contracts.needs import (
    Buyer,
    MunicipalityListed,
    MunicipalitySubmitted,
    NeedFields,
    NeedPosted,
    NeedSubmitted,
)
from common.contracts.values import Fact, Submission
from common.exact_json import NotJson, from_json
from common.faults import faults_of
from musubi import events_file
from musubi.advice import CannotGoOn
from musubi.events_file import Unreadable
from musubi.examples import dated
from musubi.tables import printable

STANDARD_INPUT = "-"
KINDS: dict[str, type[Fact] | type[Submission]] = {
    kind.type: kind
    for kind in (
        NeedPosted,
        NeedSubmitted,
        OfferingListed,
        OfferingSubmitted,
        MunicipalityListed,
        MunicipalitySubmitted,
        CompanyListed,
        CompanySubmitted,
        ExchangeRatePublished,
        ExchangeRateSubmitted,
    )
}


class Place(NamedTuple):
    """Where something stands: a file and its line (of a JSON list: which item)."""

    file: str
    line: int


class Refused(NamedTuple):
    """What is wrong with a line, by language; `pointer` is the field."""

    place: Place
    pointer: str
    detail: dict[str, str]

    def line(self, language: str) -> str:
        field = f" {self.pointer}:" if self.pointer else ""
        return printable(f"{self.place.file}:{self.place.line}:{field} {self.detail[language]}")


class _Submitted(NamedTuple):
    """What a partner submitted, whose municipality or company may stand in a later file."""

    place: Place
    subject: str
    data: Any


@dataclass(slots=True)
class Contents:
    """What the files hold, by id; a partner's subject is the id."""

    needs: dict[str, NeedPosted] = field(default_factory=dict)
    offerings: dict[str, OfferingListed] = field(default_factory=dict)
    rates: list[ExchangeRatePublished] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def read(files: list[tuple[str, type[Fact] | None]], day: date) -> Contents:
    """The contents of these files; with each, what a bare line in it is. `{"days": n}` is the date n days after `day`.

    Raises `CannotGoOn` for a file that cannot be read at all."""
    if [name for name, _ in files].count(STANDARD_INPUT) > 1:
        raise CannotGoOn('Only one file can come from standard input: "-" is given twice.')
    contents, parties = Contents(), _Parties()
    for name, bare in files:
        for item in events_file.read(_bytes(name)):
            place = Place("standard input" if name == STANDARD_INPUT else name, item.number)
            if isinstance(item, Unreadable):
                contents.refused.append(Refused(place, "", {"en": item.reason, "ja": item.ja}))
                continue
            try:
                parties.take(contents, place, *_understood(from_json(item.text), bare, day))
            except NotJson as error:
                contents.refused.append(Refused(place, "", {"en": f"not JSON: {error}", "ja": f"JSONではありません：{error}"}))
            except _Wrong as wrong:
                contents.refused += [Refused(place, pointer, detail) for pointer, detail in wrong.faults]
    parties.bring_together(contents)
    return contents


def _bytes(name: str) -> bytes:
    try:
        content = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
    except OSError as error:
        raise CannotGoOn(f"{name} cannot be read: {error.strerror}") from None
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise CannotGoOn(f"{name} begins as gzip but cannot be unpacked: {error}") from None


class _Wrong(Exception):
    """Faults of one line: pointer and words."""

    def __init__(self, *faults: tuple[str, dict[str, str]]) -> None:
        self.faults = faults
        super().__init__(faults)


def _understood(value: Any, bare: type[Fact] | None, day: date) -> tuple[str, Any]:
    """The subject and the data of a line."""
    if not isinstance(value, dict):
        raise _Wrong(("", {"en": "A line is one JSON object.", "ja": "1行に1つのJSONオブジェクトを書いてください。"}))
    kind, data, prefix, subject = bare, value, "", ""
    if "type" in value or "specversion" in value:
        kind, data, prefix, subject = KINDS.get(str(value.get("type"))), value.get("data"), "/data", value.get("subject", "")
        if kind is None:
            known, shown = ", ".join(KINDS), str(value.get("type"))[:80]
            raise _Wrong(
                (
                    "/type",
                    {
                        "en": f"{shown} is not matched. Use one of {known}.",
                        "ja": f"{shown} は扱えません。次のいずれかにしてください：{known}",
                    },
                )
            )
    elif kind is None:
        raise _Wrong(
            (
                "/type",
                {
                    "en": "What this is, only an event's type says. Send the whole event, with type, subject and data.",
                    "ja": "type がないため、何のデータか判断できません。type、subject、data を含むイベントを書いてください。",
                },
            )
        )
    data = dated(data, day)
    try:
        made = kind.model_validate(data)
    except ValidationError as error:
        faults = faults_of(error, data, kind, prefix=prefix)
        raise _Wrong(*((fault.pointer, fault.detail) for fault in faults)) from None
    if isinstance(made, Submission) and not (isinstance(subject, str) and subject):
        raise _Wrong(
            (
                "/subject",
                {
                    "en": "subject is missing; it names the thing. Give the name under which you submit it.",
                    "ja": "subject がありません。登録に使う名前を書いてください。",
                },
            )
        )
    return made.subject if isinstance(made, Fact) else subject, made


class _Parties:
    """Municipalities and companies, and what waits for them."""

    def __init__(self) -> None:
        self.municipalities: dict[str, Any] = {}
        self.companies: dict[str, Any] = {}
        self.needs: dict[str, _Submitted] = {}
        self.offerings: dict[str, _Submitted] = {}

    def take(self, contents: Contents, place: Place, subject: str, made: Any) -> None:
        """Keep it as the newest word on its subject."""
        match made:
            case NeedPosted():
                self.needs.pop(subject, None)
                contents.needs[subject] = made
            case OfferingListed():
                self.offerings.pop(subject, None)
                contents.offerings[subject] = made
            case NeedSubmitted():
                self.needs[subject] = _Submitted(place, subject, made)
            case OfferingSubmitted():
                self.offerings[subject] = _Submitted(place, subject, made)
            case MunicipalitySubmitted() | MunicipalityListed():
                self.municipalities[subject] = made
            case CompanySubmitted() | CompanyListed():
                self.companies[subject] = made
            case _:
                contents.rates.append(ExchangeRatePublished(**made.model_dump()))

    def bring_together(self, contents: Contents) -> None:
        """Make facts of what partners submitted, now that everything is read."""
        orphans: list[_Submitted] = []
        for one in self.needs.values():
            city = self.municipalities.get(one.data.municipality)
            if city is None:
                orphans.append(one)
                continue
            buyer = Buyer(id=one.data.municipality, **_some(city, Buyer))
            contents.needs[one.subject] = NeedPosted(id=one.subject, municipality=buyer, **_some(one.data, NeedFields))
        contents.refused += _missing(orphans, "municipality", bool(self.municipalities))
        orphans = []
        for one in self.offerings.values():
            company = self.companies.get(one.data.company)
            if company is None:
                orphans.append(one)
                continue
            supplier = Supplier(id=one.data.company, **_some(company, Supplier))
            contents.offerings[one.subject] = OfferingListed(id=one.subject, company=supplier, **_some(one.data, OfferingFields))
        contents.refused += _missing(orphans, "company", bool(self.companies))


def _some(made: Any, kind: Any) -> dict[str, Any]:
    """Its fields that the other kind has too, but for the id."""
    return {name: getattr(made, name) for name in kind.model_fields if name != "id" and hasattr(made, name)}


def _missing(orphans: list[_Submitted], name: str, some_known: bool) -> list[Refused]:
    """What names a party that no file has. Where no file has any, a file was forgotten: that is said once, not in every line."""
    told = orphans if some_known else orphans[:1]
    others = len(orphans) - len(told)
    return [
        Refused(
            one.place,
            f"/data/{name}",
            {
                "en": f"{name}: “{shown}” is in none of the files{_and_others(others, 'en')}. "
                f"Add the file with its {name}.submitted.v1: --with FILE.",
                "ja": f"{name}：「{shown}」がどのファイルにもありません{_and_others(others, 'ja')}。"
                f"{name}.submitted.v1 を含むファイルを --with で加えてください。",
            },
        )
        for one in told
        for shown in [getattr(one.data, name)[:80]]
    ]


def _and_others(number: int, language: str) -> str:
    if not number:
        return ""
    if language == "ja":
        return f"（ほかの{number:,}行も同様です）"
    return f", and so it is with {number:,} more line{'' if number == 1 else 's'}"
