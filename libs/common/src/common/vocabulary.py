"""The words everybody shares: technology codes, units, countries, currencies, languages, and their names in Japanese and English.

Technologies and units are tables in `data/` (technologies: own short list, mapped to CPV codes); countries, currencies and
languages are those of CLDR through Babel.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from babel import Locale
from babel.numbers import list_currencies

LANGUAGES = ("ja", "en")
"""The languages in which Musubi itself speaks."""


class Technology(NamedTuple):
    """A technology: `code` is `group.leaf`, or just the group; `unit` is the unit in which it is bought (empty for a group);
    `aliases` are other words by which people mean it, in any language."""

    code: str
    group: str
    names: dict[str, str]
    unit: str
    aliases: tuple[str, ...]
    cpv: tuple[str, ...] = ()
    """Codes of the common procurement vocabulary for it, without their check digits."""


class Unit(NamedTuple):
    """How a unit of quantity is said: `1 lamp`, `3,600 lamps`, `3,600灯`."""

    code: str
    en_one: str
    en_many: str
    ja: str


def _rows(name: str) -> list[dict[str, str]]:
    text = files("common").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def technologies() -> dict[str, Technology]:
    """Every technology by its code, in the order of the taxonomy."""
    return {
        row["code"]: Technology(
            row["code"],
            row["parent"] or row["code"],
            {"en": row["name_en"], "ja": row["name_ja"]},
            row["unit"],
            tuple(filter(None, row["aliases"].split(";"))),
            tuple(code.partition("-")[0] for code in row["cpv"].split()),
        )
        for row in _rows("technologies.csv")
    }


@cache
def units() -> dict[str, Unit]:
    """Every unit of quantity by its code."""
    return {row["unit"]: Unit(row["unit"], row["en_one"], row["en_many"], row["ja"]) for row in _rows("units.csv")}


@cache
def countries() -> frozenset[str]:
    """ISO 3166-1 alpha-2 codes. CLDR also names groupings and codes in private use; those are left out."""
    not_countries = {"EU", "EZ", "UN", "QO", "XA", "XB", "XK", "ZZ", "AC", "CP", "CQ", "DG", "EA", "IC", "TA"}
    return frozenset(c for c in map(str, Locale("en").territories) if len(c) == 2 and c.isalpha() and c not in not_countries)


@cache
def currencies() -> frozenset[str]:
    """ISO 4217 codes."""
    return frozenset(list_currencies())


def technology_name(code: str, language: str) -> str:
    """`LED street lighting`; the code itself where it is not in the taxonomy."""
    known = technologies().get(code)
    return known.names[language] if known else code


def country_name(code: str, language: str) -> str:
    """`Viet Nam` is CLDR's `Vietnam`; the code itself where CLDR has no name."""
    return Locale(language).territories.get(code, code)


def language_name(code: str, language: str) -> str:
    """`Japanese`; a code with a script or region is named by its first part where CLDR has no own name for it."""
    names = Locale(language).languages
    return names.get(code.replace("-", "_")) or names.get(code.split("-")[0], code)


def pick(text: dict[str, str], language: str) -> str:
    """A text in the reader's language, else in English, else in Japanese, else in whatever there is."""
    for wanted in (language, "en", "ja"):
        if wanted in text:
            return text[wanted]
    return next(iter(text.values()), "")
