"""A need's shortlist: the exact ten best offerings, by score and then by offering id, so that there is one answer.

Some more are kept in line behind the ten, so that one that falls or leaves seldom calls for a search.
"""

from bisect import insort
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from matching.domain.circumstances import Circumstances
from matching.domain.facet import Earned
from matching.domain.facets import FACETS, POSSIBLE
from matching.domain.gates import passes
from matching.domain.sides import Need, Offering

LENGTH = 10
KEPT = 24
"""How many are kept of a need's best, those in line included."""


class Rank(NamedTuple):
    """A place in the order: the higher score first, then the smaller id. The smallest `Rank` is the best."""

    minus_score: int
    offering_id: str

    @classmethod
    def of(cls, score: int, offering_id: str) -> "Rank":
        return cls(-score, offering_id)

    @property
    def score(self) -> int:
        return -self.minus_score


class Standing(NamedTuple):
    """What is kept of a need's best: exactly those that rank at `floor` or better, best first; all that pass where it is None."""

    ranks: list[Rank]
    floor: Rank | None

    @property
    def listed(self) -> list[Rank]:
        """The shortlist itself."""
        return self.ranks[:LENGTH]


class Judged(NamedTuple):
    """A pair that passes the gates, with what each facet earned."""

    rank: Rank
    offering: Offering
    earned: tuple[Earned, ...]


def earnings(need: Need, offering: Offering, circumstances: Circumstances, at_least: int = 0) -> tuple[Earned, ...] | None:
    """What each facet earned; None as soon as the sum cannot reach `at_least` any more."""
    spare = POSSIBLE - at_least
    earned = []
    for facet in FACETS:
        one = facet.earn(need, offering, circumstances)
        spare -= facet.possible - one.points
        if spare < 0:
            return None
        earned.append(one)
    return tuple(earned)


def judge(need: Need, offering: Offering, circumstances: Circumstances, at_least: int = 0) -> Judged | None:
    """The pair's place and why; None where a gate fails or the score is below `at_least`."""
    if not passes(need, offering, circumstances):
        return None
    earned = earnings(need, offering, circumstances, at_least)
    if earned is None:
        return None
    return Judged(Rank.of(sum(one.points for one in earned), offering.id), offering, earned)


def best_of(
    need: Need, offerings: Iterable[Offering], circumstances: Circumstances, found: Iterable[Judged] = ()
) -> list[Judged]:
    """The best `KEPT` of these offerings and of the others `found` before, best first."""
    best = list(found)
    floor = score_to_beat(best)
    for offering in offerings:
        judged = judge(need, offering, circumstances, floor)
        if judged is None:
            continue
        if len(best) == KEPT:
            if judged.rank > best[-1].rank:
                continue
            best.pop()
        insort(best, judged, key=lambda one: one.rank)
        floor = score_to_beat(best)
    return best


def score_to_beat(best: Sequence[Judged]) -> int:
    """The score of the last place; 0 while there is room."""
    return best[-1].rank.score if len(best) == KEPT else 0
