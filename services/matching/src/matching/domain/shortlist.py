"""A need's shortlist: the exact ten best offerings, by score and then by offering id, so that there is one answer."""

from bisect import insort
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from matching.domain.circumstances import Circumstances
from matching.domain.facet import Earned
from matching.domain.facets import FACETS, POSSIBLE
from matching.domain.gates import passes
from matching.domain.sides import Need, Offering

LENGTH = 10


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


def shortlist(
    need: Need, offerings: Iterable[Offering], circumstances: Circumstances, found: Iterable[Judged] = ()
) -> list[Judged]:
    """The best of these offerings and of the others `found` before, best first."""
    best = list(found)
    floor = best[-1].rank.score if len(best) == LENGTH else 0
    for offering in offerings:
        judged = judge(need, offering, circumstances, floor)
        if judged is None:
            continue
        if len(best) == LENGTH:
            if judged.rank > best[-1].rank:
                continue
            best.pop()
        insort(best, judged, key=lambda one: one.rank)
        if len(best) == LENGTH:
            floor = best[-1].rank.score
    return best


def after_changes(before: Iterable[Rank], changed: Mapping[str, Rank | None]) -> list[Rank] | None:
    """The exact list after some offerings changed, from the exact list before; None where only a search can tell.

    `changed` has every offering that changed, with its new place, or None where it may not be proposed (or surely ranks
    below the list). What is not on a full list ranks below its last place; so as long as ten stand at or above that place,
    nothing outside can belong among them.
    """
    before = sorted(before)
    stay = [rank for rank in before if rank.offering_id not in changed]
    after = sorted([*stay, *(rank for rank in changed.values() if rank is not None)])[:LENGTH]
    if len(before) < LENGTH:  # everything that passes was on the list
        return after
    last = before[-1]
    return after if len(after) == LENGTH and after[-1] <= last else None


def entry_score(ranks: list[Rank]) -> int:
    """The score that an offering needs at least to get onto this list; 0 while there is room."""
    return ranks[-1].score if len(ranks) == LENGTH else 0
