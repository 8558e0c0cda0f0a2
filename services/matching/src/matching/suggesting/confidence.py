"""How far a suggestion can be trusted: not a probability that a formula gives, but how many like it were right.

Suggestions fall in three bands, by the share of all evidence in the text that is theirs. The bands were drawn on texts of
offerings and of library items; how many of each band were right was then counted on published needs of cities, on which
nothing was tuned (`python -m bench.suggesting` counts again and says if the table here is out of date).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

NEEDS_COUNTED = 73
"""Published needs on which it was counted: those of 120 whose title or description was read. Other people's texts have other
words, so the rate among them will be another."""


class Band(StrEnum):
    LIKELY = "likely"
    POSSIBLE = "possible"
    WEAK = "weak"


_LEAST_SHARE = {Band.LIKELY: 0.4, Band.POSSIBLE: 0.15, Band.WEAK: 0.0}


class Confidence(NamedTuple):
    """Of `of` suggestions of this band `right` were right."""

    band: Band
    right: int
    of: int

    @property
    def in_ten(self) -> int:
        """About so many in ten; 0 means fewer than one."""
        return round(10 * self.right / self.of) if 10 * self.right >= self.of else 0


COUNTED: Mapping[bool, Mapping[Band, tuple[int, int]]] = {
    False: {Band.LIKELY: (39, 42), Band.POSSIBLE: (8, 30), Band.WEAK: (13, 278)},
    True: {Band.LIKELY: (38, 43), Band.POSSIBLE: (15, 30), Band.WEAK: (12, 292)},
}
"""Right and all suggestions among the first five of each need, by whether meaning was read beside letters."""


def band(share: float) -> Band:
    """The band of a suggestion that has this share of the evidence, 0 to 1."""
    return next(one for one, least in _LEAST_SHARE.items() if share >= least)


def confidence(share: float, *, with_meaning: bool) -> Confidence:
    """What is known of suggestions like this one."""
    found = band(share)
    return Confidence(found, *COUNTED[with_meaning][found])
