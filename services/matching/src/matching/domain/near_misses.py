"""What nearly fits a need: offerings that fail one or two gates, or pass and lose most of a facet that somebody can change.

The rules judge each pair as it would be after the changes, so the score that is promised is the one that would come.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from matching.domain.changes import Change, Mended, open_gates, regain
from matching.domain.circumstances import Circumstances
from matching.domain.facets import COUNTRY, OF_INTEREST, POSSIBLE, SAME_GROUP, TECHNOLOGY
from matching.domain.gates import failures, passes
from matching.domain.shortlist import earnings
from matching.domain.sides import Need, Offering

MOST_CHANGES = 2
"""Whoever has to be asked for more than this is another offering."""


class Nearness(NamedTuple):
    """A place in the order: fewer changes first, then the higher score after them, then the smaller id."""

    changes: int
    minus_score: int
    offering_id: str


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An offering that nearly fits: the changes that would do, and the score after all of them."""

    offering: Offering
    mended: Mended
    score_after: int

    @property
    def changes(self) -> tuple[Change, ...]:
        return self.mended.changes

    @property
    def nearness(self) -> Nearness:
        return Nearness(len(self.changes), -self.score_after, self.offering.id)


def near_misses(need: Need, offerings: Iterable[Offering], circumstances: Circumstances, most: int) -> list[NearMiss]:
    """The `most` nearest of these offerings, the nearest first."""
    found: list[NearMiss] = []
    # Those of the very technology first: they raise what the others have to come to.
    for offering in sorted(offerings, key=lambda one: need.technology not in one.technologies) if most else ():
        last = found[-1] if len(found) == most else None
        miss = _near_miss(need, offering, circumstances, last)
        if miss is not None and (last is None or miss.nearness < last.nearness):
            insort(found, miss, key=lambda one: one.nearness)
            del found[most:]
    return found


def near_miss(need: Need, offering: Offering, circumstances: Circumstances) -> NearMiss | None:
    """How this pair would come to fit, if one or two small changes do."""
    return _near_miss(need, offering, circumstances, None)


def _near_miss(need: Need, offering: Offering, circumstances: Circumstances, last: NearMiss | None) -> NearMiss | None:
    """None also, as soon as that is known, where it is not as near as `last`."""
    failed = list(islice(failures(need, offering, circumstances), MOST_CHANGES + 1))
    most = len(last.changes) if last else MOST_CHANGES
    least = len({one.requirement and one.requirement.key for one in failed})
    if len(failed) > MOST_CHANGES or least > most:
        return None
    if last and max(least, 1) == most and _most_points(need, offering) < last.score_after:
        return None
    mended = open_gates(need, offering, failed) if failed else regain(need, offering, circumstances)
    if mended is None or len(mended.changes) > most:
        return None
    at_least = last.score_after if last and len(mended.changes) == most else 0
    earned = earnings(mended.need, mended.offering, circumstances, at_least)
    if earned is None or not passes(mended.need, mended.offering, circumstances):
        return None
    return NearMiss(offering, mended, sum(one.points for one in earned))


def _most_points(need: Need, offering: Offering) -> int:
    """What no change brings it above: it is of another technology, or its country would only be of interest."""
    lost = 0 if need.technology in offering.technologies else TECHNOLOGY.possible - SAME_GROUP.points
    return POSSIBLE - lost - (0 if need.country in offering.serves else COUNTRY.possible - OF_INTEREST.points)
