"""The largest pool of needs that one specification meets, found exactly by branch and bound over the attributes.

Sets of needs are bits of a number. For each attribute only a few sets matter: those who would accept one and the same value, as
far as no other value pleases all of them and more. A pool is what such sets, one of each attribute, have in common. The worst
case is the product of their numbers; what the search may still reach bounds it, and with some hundred needs it takes
milliseconds. A search that takes more than `LIMIT` intersections ends with the best so far, and says so.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

LIMIT = 1_000_000
"""Intersections of one search, or of several that share it; about a second."""


class Largest(NamedTuple):
    """The needs of the pool as bits, and what is left of the limit: nothing, if the search was ended before it was sure."""

    members: int
    left: int


def camps(accepted: Sequence[int]) -> list[int]:
    """The needs that would agree on one value of an attribute, for every value that matters, as bits; the largest first.

    `accepted` has the bits of values that each need accepts.
    """
    values: dict[int, int] = {}
    for n, bits in enumerate(accepted):
        while bits:
            lowest = bits & -bits
            values[lowest] = values.get(lowest, 0) | 1 << n
            bits ^= lowest
    kept: list[int] = []
    for camp in sorted(set(values.values()), key=lambda camp: (-camp.bit_count(), camp)):
        if not any(camp & larger == camp for larger in kept):
            kept.append(camp)
    return kept


def units_of(members: int, quantities: Sequence[Decimal]) -> Decimal:
    return sum((quantity for n, quantity in enumerate(quantities) if members >> n & 1), Decimal(0))


def largest(of_attributes: Sequence[Sequence[int]], quantities: Sequence[Decimal], among: int, limit: int = LIMIT) -> Largest:
    """The most of the needs `among` that agree on every attribute, and of as many the most units.

    `of_attributes` has each attribute's camps. Which of several equal pools is found depends on the order of the needs.
    """
    # The most divided attribute first: what comes after has less left to divide.
    divided = sorted(
        (camps for camps in of_attributes if len(camps) != 1 or camps[0] & among != among),
        key=lambda camps: max(((camp & among).bit_count() for camp in camps), default=0),
    )
    search = _Search(divided, quantities, limit)
    search.narrow(0, among)
    return Largest(search.best, max(search.left, 0))


class _Search:
    def __init__(self, divided: list[Sequence[int]], quantities: Sequence[Decimal], limit: int) -> None:
        self.divided = divided
        self.quantities = quantities
        self.left = limit
        self.best = 0
        self.best_size: tuple[int, Decimal] = (0, Decimal(0))
        self.seen: set[tuple[int, int]] = set()

    def narrow(self, depth: int, members: int) -> None:
        if (depth, members) in self.seen or not self._may_be_better(depth, members):
            return
        self.seen.add((depth, members))
        if depth == len(self.divided):
            self.best, self.best_size = members, (members.bit_count(), units_of(members, self.quantities))
            return
        parts = {members & camp for camp in self.divided[depth]}
        for part in sorted(parts, key=lambda part: (-part.bit_count(), part)):
            if self.left <= 0 and self.best:
                return
            self.narrow(depth + 1, part)

    def _may_be_better(self, depth: int, members: int) -> bool:
        """No attribute that is still to come leaves more than its largest camp."""
        most = members.bit_count()
        for camps in self.divided[depth:]:
            most = min(most, max(((members & camp).bit_count() for camp in camps), default=0))
            self.left -= len(camps)
            if most < self.best_size[0]:
                return False
        as_many = most == self.best_size[0] and most > 0
        return most > self.best_size[0] or (as_many and units_of(members, self.quantities) > self.best_size[1])
