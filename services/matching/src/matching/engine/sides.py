"""The packed offerings and needs of one field, by place and by id. A place stays the same as long as the id is there."""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from matching.domain.sides import Need, Offering
from matching.engine import kernels
from matching.engine.layout import BLOCK, ID_WORDS, Array, Words, grown, words_of

Rows = npt.NDArray[np.int64]
W = TypeVar("W", Need, Offering)

_FULL = 0.6


class Packed(Generic[W]):
    """Hot columns, cold records, and an index by id. `whole` has, by place, what cannot be read back from its numbers."""

    def __init__(self, columns: int, record: "np.dtype[np.void]") -> None:
        self.hot: Words = np.zeros((columns, BLOCK), np.uint64)
        self.cold: Array = np.zeros(BLOCK, record)
        self.whole: dict[int, W] = {}
        self.used = 0
        """Places from here on were never taken."""
        self._free: list[int] = []
        self._table = np.zeros(4 * BLOCK, np.int32)
        self._entered = 0

    def __len__(self) -> int:
        return self.used - len(self._free)

    @property
    def bytes(self) -> int:
        """What it takes in memory, without what is kept whole."""
        return self.hot.nbytes + self.cold.nbytes + self._table.nbytes

    def places(self, ids: Words) -> Rows:
        """The place of each id (a row of words each); -1 where it is not here."""
        found = np.empty(len(ids), np.int64)
        kernels.find_places(self._table, self.cold, ids, found)
        return found

    def place(self, id_: str) -> int | None:
        """The place of one id."""
        found = int(self.places(words_of(id_).reshape(1, ID_WORDS))[0])
        return None if found < 0 else found

    def taken(self) -> Rows:
        """Every place with something in it."""
        return np.flatnonzero(self.hot[0, : self.used])

    def reserve(self, places: Rows) -> Rows:
        """The same places, with a new one instead of each -1."""
        new = np.flatnonzero(places < 0)
        if len(new):
            places = places.copy()
            places[new] = self._new_places(len(new))
        return places

    def put(self, hot: Words, cold: Array, whole: Mapping[int, W], places: Rows) -> None:
        """Write these (columns by number, records, some whole by number) at their places."""
        new = places[self.hot[0, places] == 0]
        self.write(hot, cold, whole, places)
        if len(new):
            self._enter(new)

    def write(self, hot: Words, cold: Array, whole: Mapping[int, W], places: Rows) -> None:
        """The same where the index needs no change."""
        self.hot[:, places], self.cold[places] = hot, cold
        if self.whole:
            for place in places.tolist():
                self.whole.pop(place, None)
        for number, one in whole.items():
            self.whole[int(places[number])] = one

    def remove(self, places: Rows) -> None:
        """Empty these places. They are given to others only after `reuse`, so that lists still tell them apart."""
        kernels.clear_places(self._table, self.cold, places)
        self.hot[:, places] = 0
        for place in places.tolist():
            self.whole.pop(place, None)

    def reuse(self, places: Iterable[int]) -> None:
        """Nothing speaks of these removed places any more."""
        self._free.extend(places)

    def go_back_to(self, used: int, free: list[int]) -> None:
        """Places were written as they were before: have the index so, too."""
        self.used, self._free = used, free
        self._index_anew(len(self._table))

    @property
    def free(self) -> list[int]:
        """Places that were emptied, to be given away; a copy."""
        return list(self._free)

    def _new_places(self, n: int) -> Rows:
        again = self._free[len(self._free) - min(n, len(self._free)) :]
        del self._free[len(self._free) - len(again) :]
        fresh = n - len(again)
        if self.used + fresh > len(self.cold):
            capacity = -(-max(self.used + fresh, len(self.cold) + len(self.cold) // 8) // BLOCK) * BLOCK
            self.hot, self.cold = grown(self.hot, capacity), grown(self.cold, capacity)
        found = np.array([*again, *range(self.used, self.used + fresh)], np.int64)
        self.used += fresh
        return found

    def _enter(self, places: Rows) -> None:
        self._entered += len(places)
        if self._entered > _FULL * len(self._table):
            self._index_anew(max(len(self._table), 1 << int(len(self) / _FULL).bit_length()))
        else:
            kernels.set_places(self._table, self.cold, places)

    def _index_anew(self, size: int) -> None:
        self._table = np.zeros(size, np.int32)
        taken = self.taken()
        self._entered = len(taken)
        kernels.set_places(self._table, self.cold, taken)
