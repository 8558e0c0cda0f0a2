"""The plain rules of `matching.domain`, pair by pair: what every engine's answers are compared with.

Only offerings of another field (technology group and unit) are left out beforehand; the test beside this shows that none of
them passes the gates.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from bench.matching.engines import Found, Lists
from bench.matching.records import Market
from matching.domain.shortlist import LENGTH, judge
from matching.domain.sides import Need, Offering


class Oracle:
    name = "plain rules"

    def __init__(self, market: Market) -> None:
        self._market = market
        self._today = market.lexicon.circumstances
        self.offering = cache(lambda row: market.lexicon.offering(market.offerings[row]))
        self.need = cache(lambda row: market.lexicon.need(market.needs[row]))

    def best(self, need: int) -> list[tuple[int, int]]:
        """Score and rank of its best ten, ordered by score and then by the offering's id as the product spells it."""
        asked = self.need(need)
        rows = np.flatnonzero((self._market.offerings["fields"] == self._market.needs["field"][need]).any(axis=1))
        judged = ((judge(asked, self.offering(row), self._today), row) for row in rows.tolist())
        best = sorted((one.rank, row) for one, row in judged if one is not None)[:LENGTH]
        return [(place.score, int(self._market.offerings["rank"][row])) for place, row in best]

    def entered(self, event: int, lists: Lists) -> list[int]:
        """The needs into whose ten the market's event comes; moves `lists`."""
        record = self._market.events[event]
        offering = self._market.lexicon.offering(record)
        changed = []
        for need in np.flatnonzero(np.isin(self._market.needs["field"], record["fields"])).tolist():
            score = self.score(self.need(need), offering)
            if score is not None and lists.enter(need, score, int(record["rank"])):
                changed.append(need)
        return changed

    def score(self, need: Need, offering: Offering) -> int | None:
        judged = judge(need, offering, self._today)
        return judged.rank.score if judged else None


def wrong(market: Market, found: Found, sample: int, seed: int = 1) -> Iterator[int]:
    """Needs of a random sample whose answer is not that of the plain rules."""
    oracle = Oracle(market)
    number = len(found.nanoseconds)
    for need in np.random.default_rng(seed).permutation(number)[:sample].tolist():
        if oracle.best(need) != found.lists.of(need):
            yield need
