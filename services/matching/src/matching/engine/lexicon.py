"""What the bits, slots and numbers of a field stand for. Entries are only ever added, so what was packed stays readable.

While there is room, whatever a side mentions gets its place at once. So a need that asks for something without a place can
only come after the room was used up; offerings that state it are kept whole (see `packing`), and such a need is judged by
the plain rules.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from common import vocabulary
from matching.engine.layout import BLOCK, CURRENCIES, OFFERING_MAPS, SLOTS

T = TypeVar("T")

NO_LANGUAGE = ""
"""Stands in the place of a language for whoever states none."""


class Slot(NamedTuple):
    """An attribute that is compared by number: of numbers in one unit, or of texts, each of which has a number.

    Who states several values for it, such as two colour temperatures, needs a slot for each: `nth` counts them from 0.
    """

    key: str
    unit_key: str
    is_text: bool
    nth: int = 0


class Places(Generic[T]):
    """Up to `room` things, numbered as they come."""

    def __init__(self, room: int, first: Iterable[T] = ()) -> None:
        self.room = room
        self.known: list[T] = []
        self._number: dict[T, int] = {}
        for one in first:
            self.number(one)

    def number(self, one: T) -> int | None:
        """Its number; None where it is new and there is no room."""
        found = self._number.get(one)
        if found is None and len(self.known) < self.room:
            found = self._number[one] = len(self.known)
            self.known.append(one)
        return found

    def bits(self, some: Iterable[T]) -> tuple[int, bool]:
        """Their bits, and whether all have one."""
        found, complete = 0, True
        for one in some:
            number = self._number.get(one)
            if number is None:
                number = self.number(one)
            if number is None:
                complete = False
            else:
                found |= 1 << number
        return found, complete

    def bits_of_known(self, some: Iterable[T]) -> int:
        """The bits of those that have one already."""
        found = 0
        for one in some:
            number = self._number.get(one)
            if number is not None:
                found |= 1 << number
        return found

    def named(self, bits: int) -> list[T]:
        """Those whose bit is set."""
        return [one for number, one in enumerate(self.known) if bits >> number & 1]


class Lexicon:
    """The words of one field: a technology group, counted in one unit."""

    def __init__(self, group: str, unit: str, currencies: Places[str]) -> None:
        self.group, self.unit, self.currencies = group, unit, currencies
        codes = [code for code, one in vocabulary.technologies().items() if one.group == group]
        technologies, _, countries, standards, languages = (BLOCK * words for words in OFFERING_MAPS)
        self.technologies = Places(technologies, codes)
        self.countries: Places[str] = Places(countries)
        self.standards: Places[str] = Places(standards)
        self.languages = Places(languages, [NO_LANGUAGE])
        self.slots: Places[Slot] = Places(SLOTS)
        self.texts: Places[str] = Places(2**24)

    def frozen(self) -> dict[str, list[Any]]:
        """All words by the place that they have, for JSON; without the currencies, which are the market's."""
        return {name: list(places.known) for name, places in self._all.items()}

    def thaw(self, words: Mapping[str, Sequence[Any]]) -> None:
        """Have the words of `frozen` at their places."""
        for name, places in self._all.items():
            for word in words[name]:
                places.number(Slot(*word) if name == "slots" else word)

    @property
    def _all(self) -> dict[str, "Places[Any]"]:
        return {
            "technologies": self.technologies,
            "countries": self.countries,
            "standards": self.standards,
            "languages": self.languages,
            "slots": self.slots,
            "texts": self.texts,
        }

    def slots_of(self, attribute: Slot) -> list[int]:
        """Every slot in which a value of this attribute may lie; none where it has none and there is no room."""
        first = self.slots.number(attribute)
        if first is None:
            return []
        return [n for n, slot in enumerate(self.slots.known) if slot[:3] == attribute[:3]]


def currencies() -> Places[str]:
    """An empty list of currencies; all fields of an engine share one."""
    return Places(CURRENCIES)
