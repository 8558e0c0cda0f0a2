"""What happens to a market afterwards: 70 % changed offerings, 25 % new needs, 5 % withdrawals. The same seed, the same changes.

A seventh of the changed offerings are new ones; of the others, prices and texts change most, then lead times, countries and what
is stated of the product. Half of the withdrawals are of offerings, half of needs.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from bench.matching.records import MONEY, Market, Records

Kind = Literal["offering", "need", "offering gone", "need gone"]


class Change(NamedTuple):
    """What became new or other (its record now), or what is gone (its record before)."""

    kind: Kind
    record: Any


class Changes:
    """Changes to a market one after the other, and the state that they lead to: `offerings` if `listed`, `needs` if `open`.

    The first `open_needs` of the market's needs are there from the start, the others come later; so do the market's events.
    """

    def __init__(self, market: Market, open_needs: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.offerings: Records = np.concatenate([market.offerings, market.events])
        self.needs: Records = market.needs.copy()
        self.listed = np.arange(len(self.offerings)) < len(market.offerings)
        self.open = np.arange(len(self.needs)) < open_needs
        self._next_offering, self._next_need = len(market.offerings), open_needs
        fields = self.offerings["fields"][:, 0]
        self._alike = [np.flatnonzero(fields == at) for at in range(len(market.lexicon.fields))]

    def take(self, number: int) -> Iterator[Change]:
        """Fewer where no new needs are left."""
        for _ in range(number):
            throw = self._random.random()
            if throw < 0.1 and self._next_offering < len(self.offerings):
                yield self._new_offering()
            elif throw < 0.7:
                yield self._changed_offering()
            elif throw < 0.95:
                if self._next_need == len(self.needs):
                    return
                yield self._new_need()
            elif throw < 0.975:
                yield self._gone("offering gone", self.offerings, self.listed)
            else:
                yield self._gone("need gone", self.needs, self.open)

    def _new_offering(self) -> Change:
        at = self._next_offering
        self._next_offering += 1
        self.listed[at] = True
        return Change("offering", self.offerings[at].copy())

    def _new_need(self) -> Change:
        at = self._next_need
        self._next_need += 1
        self.open[at] = True
        return Change("need", self.needs[at].copy())

    def _gone(self, kind: Kind, records: Records, there: Any) -> Change:
        at = self._one_of(there)
        there[at] = False
        return Change(kind, records[at].copy())

    def _changed_offering(self) -> Change:
        record = self.offerings[self._one_of(self.listed)]
        other = self.offerings[self._random.choice(self._alike[record["fields"][0]])]
        throw = self._random.random()
        if throw < 0.4:
            cents = record["tier_price"] / (MONEY // 100) * self._random.uniform(0.93, 1.08)
            record["tier_price"] = np.where(record["tier_price"] > 0, np.maximum(1, np.round(cents)) * (MONEY // 100), 0)
        elif throw < 0.7:
            pass  # its texts change, which earn no points
        elif throw < 0.85:
            record["lead_time"] = other["lead_time"]
        elif throw < 0.93:
            record["serves"], record["interested_in"] = other["serves"], other["interested_in"]
        else:
            record["attribute"], record["attribute_value"] = other["attribute"], other["attribute_value"]
        return Change("offering", record.copy())

    def _one_of(self, there: Any) -> int:
        """Most are there, so a few throws find one."""
        while True:
            at = int(self._random.integers(len(there)))
            if there[at]:
                return at
