"""Which technologies a text names, by its letters: how much of each name and alias stands in it, and how rare that is.

Each part of the text (a pair of Japanese letters, a word) counts once for a technology: as much as it is rare among the
technologies, times the square of the share of the name that is there, for the name of which most is there. So three aliases
with 街 in them do not count three times, and half of a name counts a quarter.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from matching.suggesting.letters import read, threes

LIKE_ENOUGH = 0.5
"""Words that share less of their threes are other words: `street` and `streets` share 0.8, `waste` and `water` 0.3."""
ONE_KANJI = 0.5
"""What a single kanji is worth beside a pair of letters: 泥 hints at 汚泥, but is also in 泥棒."""


class Found(NamedTuple):
    """A name or alias of which something stands in the text. `share` is how much, 0 to 1; `worth` what it added to the score."""

    word: str
    share: float
    worth: float


class Reading(NamedTuple):
    """A technology as the text names it; `words` with the most telling first."""

    score: float
    words: tuple[Found, ...]


class ByLetters:
    """Names and aliases, prepared for being looked for."""

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        """`names` are all names and aliases by what they name."""
        self._names = [(code, name) for code, all_names in names.items() for name in dict.fromkeys(all_names)]
        self._with: dict[str, list[int]] = defaultdict(list)
        self._like: dict[str, list[str]] = defaultdict(list)
        named = defaultdict[str, set[str]](set)
        parts_of = [_parts(name) for _, name in self._names]
        for at, (code, _) in enumerate(self._names):
            for part in parts_of[at]:
                self._with[part].append(at)
                named[part].add(code)
        self._weight = {part: _weight(part, len(codes), len(names)) for part, codes in named.items()}
        self._whole = [sum(self._weight[part] for part in parts) for parts in parts_of]
        for part in self._weight:
            for three in threes(part):
                self._like[three].append(part)

    def of(self, text: str) -> dict[str, Reading]:
        """The technologies of which something stands in the text, in no order."""
        there = self._there(text)
        found = defaultdict[int, float](float)
        for part, likeness in there.items():
            for at in self._with[part]:
                found[at] += likeness * self._weight[part]
        shares = {at: value / self._whole[at] for at, value in found.items()}
        scores, worths = defaultdict[str, float](float), defaultdict[int, float](float)
        for part, likeness in there.items():
            fullest: dict[str, int] = {}
            for at in self._with[part]:
                code = self._names[at][0]
                if code not in fullest or shares[at] > shares[fullest[code]]:
                    fullest[code] = at
            for code, at in fullest.items():
                worth = likeness * self._weight[part] * shares[at] ** 2
                scores[code] += worth
                worths[at] += worth
        words = defaultdict[str, list[Found]](list)
        for at, worth in worths.items():
            code, name = self._names[at]
            words[code].append(Found(name, shares[at], worth))
        return {code: Reading(score, _most_telling(words[code])) for code, score in scores.items()}

    def _there(self, text: str) -> dict[str, float]:
        """Parts of names that stand in the text, each with how alike it is to what stands there, 0 to 1."""
        there: dict[str, float] = {}
        parts = read(text)
        for part in (*parts.pairs, *parts.kanji):
            if part in self._weight:
                there[part] = 1.0
        for word in parts.words:
            for known, likeness in self._alike(word):
                if likeness > there.get(known, 0):
                    there[known] = likeness
        return dict(sorted(there.items()))

    def _alike(self, word: str) -> Iterable[tuple[str, float]]:
        """Known words that are like this one."""
        mine = threes(word)
        shared = defaultdict[str, int](int)
        for three in mine:
            for known in self._like.get(three, ()):
                shared[known] += 1
        for known, number in shared.items():
            likeness = 2 * number / (len(mine) + len(threes(known)))
            if likeness >= LIKE_ENOUGH:
                yield known, likeness


def _parts(name: str) -> list[str]:
    """In one order, here and where they are found: sums of the same parts are then the same to the last digit."""
    parts = read(name)
    return sorted(parts.pairs | parts.kanji | parts.words)


def _weight(part: str, having: int, all_: int) -> float:
    rarity = math.log(1 + all_ / having)
    return rarity * ONE_KANJI if len(part) == 1 and not part.isascii() else rarity


def _most_telling(words: list[Found]) -> tuple[Found, ...]:
    return tuple(sorted(words, key=lambda one: (-one.worth, one.word)))
