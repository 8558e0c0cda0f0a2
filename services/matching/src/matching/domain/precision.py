"""How good the first places of the lists were, by what people said of them: a share with its interval, never a change of points.

A match counts at the place that it had when somebody first spoke of it. Places of which nobody spoke say nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from math import sqrt
from typing import NamedTuple, TypeVar

from common.contracts.matching import Outcome

FIRST = 3
"""How many places of a list most people look at."""
GOOD: tuple[Outcome, ...] = ("awarded", "introduced", "interested")
PARTS = ("first", "behind", "outside")
"""Of a list: the first places, those behind them, and what is not on it."""
NORMAL_95 = 1.959964
"""So many standard deviations to both sides hold 95 % of a normal distribution."""

Key = TypeVar("Key", bound=str)


class Judged(NamedTuple):
    """How many matches of a technology, judged under a version of the points and first spoken of at this place (None: outside
    the list), came to this outcome."""

    technology: str
    weights: str
    place: int | None
    outcome: Outcome
    matches: int


class Precision(NamedTuple):
    """Of `judged` places `good` led to interest, an introduction or an award; by outcome in `outcomes`."""

    outcomes: dict[Outcome, int]

    @property
    def judged(self) -> int:
        return sum(self.outcomes.values())

    @property
    def good(self) -> int:
        return sum(self.outcomes.get(one, 0) for one in GOOD)

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where nothing was judged."""
        return self.good / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float]:
        """Within these the true share lies with 95 % confidence, if one judgement does not depend on another."""
        return wilson(self.good, self.judged)


def precision(judged: Iterable[Judged]) -> Precision:
    """Of all of these together."""
    outcomes: dict[Outcome, int] = {}
    for one in judged:
        outcomes[one.outcome] = outcomes.get(one.outcome, 0) + one.matches
    return Precision(outcomes)


def of_the_first(judged: Iterable[Judged]) -> list[Judged]:
    """Those that were among the first places."""
    return [one for one in judged if one.place is not None and one.place <= FIRST]


def grouped(judged: Sequence[Judged], key: Callable[[Judged], Key]) -> dict[Key, Precision]:
    """The precision of each group, the most judged first."""
    found = {name: precision(one for one in judged if key(one) == name) for name in {key(one) for one in judged}}
    return dict(sorted(found.items(), key=lambda item: (-item[1].judged, item[0])))


def part_of_the_list(one: Judged) -> str:
    """Which of `PARTS` it was in."""
    if one.place is None:
        return "outside"
    return "first" if one.place <= FIRST else "behind"


def wilson(good: int, judged: int, z: float = NORMAL_95) -> tuple[float, float]:
    """Wilson's score interval of a share; (0, 1) where nothing is known. It stays within 0 and 1 for small numbers, too."""
    if not judged:
        return 0.0, 1.0
    share, zz = good / judged, z * z / judged
    middle = share + zz / 2
    spread = z * sqrt(share * (1 - share) / judged + zz / (4 * judged))
    low, high = (middle - spread) / (1 + zz), (middle + spread) / (1 + zz)
    return (0.0 if good == 0 else low), (1.0 if good == judged else high)
