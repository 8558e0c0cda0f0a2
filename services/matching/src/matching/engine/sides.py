"""The packed offerings or needs of one field, by place and by id. A place stays the same as long as the id is there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from matching.domain.sides import Need, Offering
from matching.engine import kernels
from matching.engine.layout import (
    BLOCK,
    ID_WORDS,
    NEED,
    NEED_COLUMNS,
    NEED_MAPS,
    OFFERING,
    OFFERING_COLUMNS,
    OFFERING_MAPS,
    Array,
    Words,
    grown,
    words_of,
    zeros,
)

Rows = npt.NDArray[np.int64]
W = TypeVar("W", Need, Offering)

_Bits = Callable[[tuple[Words, ...], Rows, Words], object]
_FULL = 0.6


def offerings() -> "Packed[Offering]":
    """No offerings yet."""
    return Packed(OFFERING_MAPS, OFFERING_COLUMNS, OFFERING, kernels.write_offering_bits, kernels.read_offering_bits)


def needs() -> "Packed[Need]":
    """No needs yet."""
    return Packed(NEED_MAPS, NEED_COLUMNS, NEED, kernels.write_need_bits, kernels.read_need_bits)


class Packed(Generic[W]):
    """Bitmaps, hot columns, cold records, and an index by id. `whole` has, by place, what cannot be read back from these.

    `widths`: of how many words of a packed set each bitmap is made; `write_bits` and `read_bits` are the kernels for these.
    """

    def __init__(
        self, widths: Sequence[int], columns: int, record: "np.dtype[np.void]", write_bits: _Bits, read_bits: _Bits
    ) -> None:
        self._words, self._write_bits, self._read_bits = sum(widths), write_bits, read_bits
        self.maps: tuple[Words, ...] = tuple(np.zeros((1, 1), np.uint64) for _ in widths)
        self.hot: Array = np.zeros((columns, BLOCK), np.int64)
        self.cold: Array = zeros(BLOCK, record)
        self.ids: Words = np.zeros((BLOCK, ID_WORDS), np.uint64)
        self.taken = np.zeros(BLOCK, np.bool_)
        self.whole: dict[int, W] = {}
        self.used = 0
        """Places from here on were never taken."""
        self._free: list[int] = []
        self._table = np.zeros(4 * BLOCK, np.int32)
        self._entered = 0

    def __len__(self) -> int:
        return self.used - len(self._free)

    def __bool__(self) -> bool:
        raise TypeError("say whether it is empty, or there at all")

    @property
    def bytes(self) -> int:
        """What it takes in memory, without what is kept whole."""
        arrays = (*self.maps, self.hot, self.cold, self.ids, self.taken, self._table)
        return sum(array.nbytes for array in arrays)

    @property
    def free(self) -> list[int]:
        """Places that were emptied, to be given away; a copy."""
        return list(self._free)

    def places(self, ids: Words) -> Rows:
        """The place of each id (a row of words each); -1 where it is not here."""
        found = np.empty(len(ids), np.int64)
        kernels.find_places(self._table, self.ids, ids, found)
        return found

    def place(self, id_: str) -> int | None:
        """The place of one id."""
        found = int(self.places(words_of(id_).reshape(1, ID_WORDS))[0])
        return None if found < 0 else found

    def taken_places(self) -> Rows:
        """Every place with something in it."""
        return np.flatnonzero(self.taken)

    def sets(self, places: Rows) -> Words:
        """The words of the sets at these places, as they were packed."""
        found = np.zeros((len(places), self._words), np.uint64)
        self._read_bits(self.maps, places, found)
        return found

    def reserve(self, places: Rows) -> Rows:
        """The same places, with a new one instead of each -1."""
        new = np.flatnonzero(places < 0)
        if len(new):
            places = places.copy()
            places[new] = self._new_places(len(new))
        return places

    def put(self, ids: Words, sets: Words, hot: Array, cold: Array, whole: Mapping[int, W], places: Rows) -> None:
        """Write these at their places: see `packing.PackedOfferings`."""
        new = places[~self.taken[places]]
        self.write(ids, sets, hot, cold, whole, places)
        self.taken[new] = True
        if len(new):
            self._enter(new)

    def write(self, ids: Words, sets: Words, hot: Array, cold: Array, whole: Mapping[int, W], places: Rows) -> None:
        """The same without taking a place that is free."""
        self._write_bits(self.maps, places, sets)
        self.ids[places], self.hot[:, places], self.cold[places] = ids, hot.T, cold
        if self.whole:
            for place in places.tolist():
                self.whole.pop(place, None)
        for number, one in whole.items():
            self.whole[int(places[number])] = one

    def remove(self, places: Rows) -> None:
        """Empty these places. They are given to others only after `reuse`, so that lists still tell them apart."""
        kernels.clear_places(self._table, self.ids, places)
        self._write_bits(self.maps, places, np.zeros((len(places), self._words), np.uint64))
        self.taken[places] = False
        for place in places.tolist():
            self.whole.pop(place, None)

    def reuse(self, places: Iterable[int]) -> None:
        """Nothing speaks of these removed places any more."""
        self._free.extend(places)

    def go_back_to(self, used: int, free: list[int], taken: Mapping[int, bool]) -> None:
        """Places were written as they were before: these were taken or not; have the index so, too."""
        self.used, self._free = used, free
        for place, was_taken in taken.items():
            self.taken[place] = was_taken
        self._index_anew(len(self._table))

    def have_names(self, names: Sequence[int]) -> None:
        """Every bitmap has a row for so many names. Kernels rely on that for each name that a packed side has."""
        if any(wanted > len(bitmap) for wanted, bitmap in zip(names, self.maps, strict=True)):
            pairs = zip(names, self.maps, strict=True)
            self.maps = tuple(grown(bitmap.T, max(wanted, len(bitmap))).T.copy() for wanted, bitmap in pairs)

    def _new_places(self, n: int) -> Rows:
        again = self._free[len(self._free) - min(n, len(self._free)) :]
        del self._free[len(self._free) - len(again) :]
        fresh = n - len(again)
        if self.used + fresh > len(self.cold):
            blocks = -(-max(self.used + fresh, len(self.cold) + len(self.cold) // 8) // BLOCK)
            self.hot, self.cold = grown(self.hot, blocks * BLOCK), grown(self.cold, blocks * BLOCK)
            self.taken, self.ids = grown(self.taken, blocks * BLOCK), grown(self.ids.T, blocks * BLOCK).T.copy()
            self.maps = tuple(grown(bitmap, blocks) for bitmap in self.maps)
        found = np.array([*again, *range(self.used, self.used + fresh)], np.int64)
        self.used += fresh
        return found

    def _enter(self, places: Rows) -> None:
        self._entered += len(places)
        if self._entered > _FULL * len(self._table):
            self._index_anew(max(len(self._table), 1 << int(len(self) / _FULL).bit_length()))
        else:
            kernels.set_places(self._table, self.ids, places)

    def _index_anew(self, size: int) -> None:
        self._table = np.zeros(size, np.int32)
        taken = self.taken_places()
        self._entered = len(taken)
        kernels.set_places(self._table, self.ids, taken)
