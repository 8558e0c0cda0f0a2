"""Compares the kernels with the plain rules when a process starts: a compiler or a processor may be other than in the tests.

It also has every kernel compiled before anybody waits for one.
"""

from matching.domain.circumstances import Circumstances
from matching.domain.shortlist import LENGTH, best_of, judge
from matching.engine.field import Field
from matching.engine.market import Market
from matching.engine.samples import RATES, TODAY, UNIT, Sides

NEEDS, OFFERINGS = 20, 120


class KernelsDisagree(RuntimeError):
    """The kernels count other points than the rules declare: nothing may be matched with them."""


def check(seed: int = 1, needs: int = NEEDS, offerings: int = OFFERINGS) -> int:
    """Every pair, and every list after a change; returns how many pairs were compared. Raises `KernelsDisagree`."""
    sides, market = Sides(seed), Market()
    market.set(RATES)
    field, now = Field("lighting", UNIT, market), Circumstances(TODAY, RATES)
    asked, offered = [sides.need() for _ in range(needs)], [sides.offering() for _ in range(offerings)]
    field.load(offered, [(need, TODAY) for need in asked])
    for need in asked:
        counted = field.scores(need.id)
        for offering in offered:
            judged = judge(need, offering, now)
            if counted[offering.id] != (judged and judged.rank.score):
                raise KernelsDisagree(f"{need} and {offering}: {counted[offering.id]} instead of {judged and judged.rank.score}")
    offered = [sides.offering(one.id) for one in offered]
    field.change_offerings(offered[1:], [offered[0].id])
    for need in asked:
        best = [one.rank for one in best_of(need, offered[1:], now)][:LENGTH]
        standing, found = field.standing(need.id), field.best(need, TODAY)
        if standing is None or standing.listed != best or found.listed != best:
            raise KernelsDisagree(f"{need}: {standing} and {found} instead of {best}")
    return needs * offerings
