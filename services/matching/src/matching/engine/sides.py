"""The packed offerings or needs of one field, by place and by id. A place stays the same as long as the id is there.

What a transaction changes is written into a journal first, each place once, so that `undo` has it back.
"""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from matching.domain.sides import Need, Offering
from matching.engine import placing
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
    S,
    Words,
    grown,
    words_of,
    zeros,
)

Rows = npt.NDArray[np.int64]
W = TypeVar("W", Need, Offering)

_FULL = 0.6


def offerings() -> "Packed[Offering]":
    """No offerings yet."""
    return Packed(OFFERING_MAPS, OFFERING_COLUMNS, OFFERING)


def needs() -> "Packed[Need]":
    """No needs yet."""
    return Packed(NEED_MAPS, NEED_COLUMNS, NEED)


class Packed(Generic[W]):
    """Bitmaps, hot columns, cold records, and an index by id. `whole` has, by place, what cannot be read back from these.

    `widths`: of how many words of a packed set each bitmap is made.
    """

    def __init__(self, widths: Sequence[int], columns: int, record: "np.dtype[np.void]") -> None:
        self._words, self._firsts = sum(widths), np.cumsum((0, *widths[:-1]))
        self.maps: tuple[Words, ...] = tuple(np.zeros((1, 1), np.uint64) for _ in widths)
        self.hot: Array = np.zeros((columns, BLOCK), np.int64)
        self.cold: Array = zeros(BLOCK, record)
        self.ids: Words = np.zeros((BLOCK, ID_WORDS), np.uint64)
        self.taken = np.zeros(BLOCK, np.bool_)
        self.marks = np.zeros(BLOCK, np.int64)
        """The last transaction that changed the place; `mark` is this one."""
        self.whole: dict[int, W] = {}
        self._whole_before: dict[int, W | None] = {}
        self._state = np.zeros(len(S), np.int64)
        self._free, self._removed = np.zeros(BLOCK, np.int32), np.zeros(BLOCK, np.int32)
        self._table = np.zeros(4 * BLOCK, np.int32)
        self._journal: Words = np.zeros((BLOCK, 2 + ID_WORDS + self._words + columns), np.uint64)
        self._journal_cold: Array = zeros(BLOCK, record)
        self.begin()

    def __len__(self) -> int:
        return self.used - int(self._state[S.FREE])

    def __bool__(self) -> bool:
        raise TypeError("say whether it is empty, or there at all")

    @property
    def used(self) -> int:
        """Places from here on were never taken."""
        return int(self._state[S.USED])

    @property
    def mark(self) -> int:
        """The number of this transaction."""
        return int(self._state[S.MARK])

    @property
    def bytes(self) -> int:
        """What it takes in memory, without what is kept whole and the journal."""
        places = (self.hot, self.cold, self.ids, self.taken, self.marks, self._free, self._removed)
        return sum(array.nbytes for array in (*self.maps, *places, self._table))

    def places(self, ids: Words) -> Rows:
        """The place of each id (a row of words each); -1 where it is not here."""
        found = np.empty(len(ids), np.int64)
        placing.find_places(self._table, self.ids, ids, found)
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
        placing.read_bits(self.maps, self._firsts, places, found)
        return found

    # At rest -----------------------------------------------------------------------------------------------------------

    def frozen(self) -> dict[str, Array]:
        """A copy of all places that were ever taken, without what is kept whole. Nothing may have changed since `begin`."""
        used, free, blocks = self.used, int(self._state[S.FREE]), -(-self.used // BLOCK)
        found = {"hot": self.hot[:, :used], "cold": self.cold[:used], "ids": self.ids[:used], "taken": self.taken[:used]}
        found |= {"free": self._free[:free]} | {f"map {n}": bitmap[:, :blocks] for n, bitmap in enumerate(self.maps)}
        return {name: array.copy() for name, array in found.items()}

    def thaw(self, frozen: Mapping[str, Array], whole: Mapping[int, W]) -> None:
        """Have what `frozen` gave, and what was kept whole; nothing else was ever here."""
        used, free = len(frozen["ids"]), len(frozen["free"])
        self.have_names([len(frozen[f"map {n}"]) for n in range(len(self.maps))])
        self._make_room(used, 0)
        for n, bitmap in enumerate(self.maps):
            bitmap[: len(frozen[f"map {n}"]), : frozen[f"map {n}"].shape[1]] = frozen[f"map {n}"]
        self.hot[:, :used], self.cold[:used] = frozen["hot"], frozen["cold"].view(self.cold.dtype)
        self.ids[:used], self.taken[:used], self._free[:free] = frozen["ids"], frozen["taken"], frozen["free"]
        self._state[S.USED], self._state[S.FREE] = used, free
        self._index_anew(len(self._table))
        self.whole = dict(whole)
        self.begin()

    # Transactions ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """From here on everything can be undone."""
        state = self._state
        state[S.MARK] += 1
        state[S.WRITTEN] = state[S.REMOVED] = 0
        state[S.USED_BEFORE], state[S.FREE_BEFORE] = state[S.USED], state[S.FREE]
        if self._whole_before:
            self._whole_before = {}

    def keep(self) -> None:
        """What changed stays, and what was removed is told by nothing any more: its places are given away again. Begin anew."""
        free, removed = int(self._state[S.FREE]), int(self._state[S.REMOVED])
        if removed:
            self._free[free : free + removed] = self._removed[:removed]
            self._state[S.FREE] += removed
        self.begin()

    def undo(self) -> None:
        """Have everything as it was at `begin`, and begin anew."""
        state, written = self._state, int(self._state[S.WRITTEN])
        lines = self._journal[:written]
        places, ids, sets = lines[:, 0].astype(np.int64), lines[:, 2 : 2 + ID_WORDS], lines[:, 2 + ID_WORDS :]
        placing.write_bits(self.maps, self._firsts, places, np.ascontiguousarray(sets[:, : self._words]))
        self.ids[places], self.taken[places] = ids, lines[:, 1].astype(np.bool_)
        self.hot[:, places], self.cold[places] = sets[:, self._words :].astype(np.int64).T, self._journal_cold[:written]
        for place, one in self._whole_before.items():
            self.whole.pop(place, None)
            if one is not None:
                self.whole[place] = one
        state[S.USED], state[S.FREE] = state[S.USED_BEFORE], state[S.FREE_BEFORE]
        self._index_anew(len(self._table))
        self.begin()

    def change(self, ids: Words, sets: Words, hot: Array, cold: Array, whole: Mapping[int, W], gone: Words) -> tuple[Rows, Words]:
        """Put these (see `packing.PackedOfferings`), and empty the places of the ids that are `gone`; each id once.

        Returns the places of all, first of those put, -1 for an id that was not there; and the sets that lay there before.
        Emptied places are given to others only after `keep`, so that lists still tell them apart.
        """
        came, number = len(ids), len(ids) + len(gone)
        self._make_room(came, number)
        places, old_sets = np.empty(number, np.int64), np.zeros((number, self._words), np.uint64)
        placing.change_places(
            self._table,
            self._state,
            self._free,
            self._removed,
            self.taken,
            self.marks,
            self.ids,
            self.maps,
            self._firsts,
            self.hot,
            self.cold,
            self._journal,
            self._journal_cold,
            ids,
            sets,
            hot,
            cold,
            gone,
            places,
            old_sets,
        )
        if self.whole or whole:
            self._change_whole(places.tolist(), whole)
        return places, old_sets

    def _change_whole(self, places: list[int], whole: Mapping[int, W]) -> None:
        for number, place in enumerate(places):
            before = self.whole.pop(place, None)
            self._whole_before.setdefault(place, before)
            if number in whole:
                self.whole[place] = whole[number]

    def have_names(self, names: Sequence[int]) -> None:
        """Every bitmap has a row for so many names. Kernels rely on that for each name that a packed side has."""
        if any(wanted > len(bitmap) for wanted, bitmap in zip(names, self.maps, strict=True)):
            pairs = zip(names, self.maps, strict=True)
            self.maps = tuple(grown(bitmap.T, max(wanted, len(bitmap))).T.copy() for wanted, bitmap in pairs)

    def _make_room(self, new: int, changed: int) -> None:
        """For so many new places, and so many changes in the journal."""
        used, _, entered, _, written, *_ = self._state.tolist()
        if used + new > len(self.cold):
            capacity = BLOCK * -(-max(used + new, len(self.cold) + len(self.cold) // 8) // BLOCK)
            self.hot, self.cold, self.taken, self.marks, self._free, self._removed = (
                grown(one, capacity) for one in (self.hot, self.cold, self.taken, self.marks, self._free, self._removed)
            )
            self.ids = grown(self.ids.T, capacity).T.copy()
            self.maps = tuple(grown(bitmap, capacity // BLOCK) for bitmap in self.maps)
        if entered + new > _FULL * len(self._table):
            self._index_anew(max(len(self._table), 1 << int((len(self) + new) / _FULL).bit_length()))
        if written + changed > len(self._journal):
            room = max(written + changed, 2 * len(self._journal))
            self._journal, self._journal_cold = grown(self._journal.T, room).T.copy(), grown(self._journal_cold, room)

    def _index_anew(self, size: int) -> None:
        self._table = np.zeros(size, np.int32)
        taken = self.taken_places()
        self._state[S.ENTERED] = len(taken)
        placing.set_places(self._table, self.ids, taken)
