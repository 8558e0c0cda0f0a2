"""One field: all offerings and open needs of a technology group that are counted in one unit, and the best of each need.

What a transaction changes here can be undone: `begin` opens a journal, `keep` closes it, `undo` has everything as it was at
`begin`. Changes are told by `changed_lists`, against what the lists were then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from matching.domain.circumstances import Circumstances
from matching.domain.gates import is_expired
from matching.domain.shortlist import KEPT, LENGTH, Rank, Standing, judge
from matching.domain.sides import Need, Offering
from matching.engine import kernels
from matching.engine.layout import (
    BLOCK,
    BOUNDS,
    ID_WORDS,
    KEPT_LIST,
    LOOSE,
    NEED,
    NEED_COLUMNS,
    OFFERING,
    OFFERING_COLUMNS,
    STALE,
    Array,
    N,
    Words,
    grown,
    id_from,
    words_of,
)
from matching.engine.lexicon import Lexicon
from matching.engine.market import Market
from matching.engine.packing import (
    PackedNeeds,
    PackedOfferings,
    pack_need,
    pack_offering,
    unpack_need,
    unpack_offering,
)
from matching.engine.points import points
from matching.engine.sides import Packed, Rows

_ROOM = 4096
"""Pairs and lists that a kernel can tell of at once; where there are more it is called again."""


class ListChange(NamedTuple):
    """A need whose list reads differently: its ten best now, and which of them changed themselves."""

    need_id: str
    listed: list[Rank]
    renewed: frozenset[str]


@dataclass(slots=True)
class Counts:
    """How often the slow, plain way had to be gone."""

    judged_plainly: int = 0
    searches: int = 0
    loose_searches: int = 0


W = TypeVar("W", Need, Offering)


class _Journal(Generic[W]):
    """What the places of one side held before the transaction, each place once."""

    def __init__(self, side: Packed[W]) -> None:
        self._side = side
        self._known: set[int] = set()
        self._parts: list[tuple[Words, Array, dict[int, W], Rows]] = []
        self._used, self._free = side.used, side.free
        self.removed: list[int] = []

    @property
    def places(self) -> set[int]:
        """Every place that was changed."""
        return self._known

    def remember(self, places: Rows) -> None:
        new = np.array([one for one in places.tolist() if one not in self._known], np.int64)
        if len(new):
            self._known.update(new.tolist())
            side = self._side
            whole = {n: side.whole[one] for n, one in enumerate(new.tolist()) if one in side.whole}
            self._parts.append((side.hot[:, new], side.cold[new], whole, new))

    def undo(self) -> None:
        for hot, cold, whole, places in self._parts:
            self._side.write(hot, cold, whole, places)
        self._side.go_back_to(self._used, self._free)


class Field:
    """See above. `group` is the technology group, `unit` the unit of quantity."""

    def __init__(self, group: str, unit: str, market: Market) -> None:
        self.market = market
        self.lexicon = Lexicon(group, unit, market.currencies)
        self.offerings: Packed[Offering] = Packed(OFFERING_COLUMNS, OFFERING)
        self.needs: Packed[Need] = Packed(NEED_COLUMNS, NEED)
        self.counts = Counts()
        self._bounds: Array = np.zeros(1, BOUNDS)
        self._kept: Array = np.zeros(BLOCK, KEPT_LIST)
        self._marks = np.zeros(BLOCK, np.int64)
        self._mark = 0
        self._before: Array = np.zeros(_ROOM, KEPT_LIST)
        self._before_slot = np.zeros(_ROOM, np.int64)
        self._remembered = np.zeros(1, np.int64)
        self._doubts = np.zeros((_ROOM, 2), np.int64)
        self._work = np.zeros(0, np.int64)
        self.begin()

    # The journal -------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """From here on everything can be undone, and is told by `changed_lists`."""
        self._mark += 1
        self._remembered[0] = 0
        self._offerings_before = _Journal(self.offerings)
        self._needs_before = _Journal(self.needs)
        self._slots_before = len(self.lexicon.slots.known)

    def keep(self) -> None:
        """What changed since `begin` stays; begin anew."""
        self.offerings.reuse(self._offerings_before.removed)
        self.needs.reuse(self._needs_before.removed)
        self.begin()

    def undo(self) -> None:
        """Have everything as it was at `begin`, and begin anew."""
        n = int(self._remembered[0])
        slots = self._before_slot[:n]
        self._kept[slots] = self._before[:n]
        blocks = np.unique(np.array(sorted(self._offerings_before.places), np.int64) // BLOCK)
        self._offerings_before.undo()
        self._needs_before.undo()
        self.needs.hot[N.FLOOR, slots] = np.where(self._kept["has_floor"][slots], self._kept["floor_score"][slots], 0)
        self.needs.hot[N.FLAGS, slots] |= np.uint64(STALE)  # they may have been so, and it only costs a longer look
        kernels.bound_blocks(blocks, self.offerings.hot, self.offerings.cold, self._bounds)
        self._look_in_new_slots(self._slots_before)
        self.begin()

    # Changes -----------------------------------------------------------------------------------------------------------

    def change_offerings(self, offerings: Sequence[Offering], gone: Sequence[str] = ()) -> None:
        """These offerings are new or changed, those ids are gone; every list is brought up to date. Each id once."""
        slots = len(self.lexicon.slots.known)
        packed = [pack_offering(one, self.lexicon) for one in offerings]
        self._look_in_new_slots(slots)
        self.change_packed(PackedOfferings.of(packed), gone)

    def change_packed(self, packed: PackedOfferings, gone: Sequence[str] = ()) -> None:
        """The same for offerings that are packed already."""
        hot, cold, whole = packed
        new = len(cold)
        places = self.offerings.places(cold["id"])
        left = self.offerings.places(_ids(gone))
        left = left[left >= 0]
        old_hot = np.zeros((OFFERING_COLUMNS, new + len(left)), np.uint64)
        old_cold = np.zeros(new + len(left), OFFERING)
        known = np.flatnonzero(places >= 0)
        old_hot[:, known], old_cold[known] = self.offerings.hot[:, places[known]], self.offerings.cold[places[known]]
        old_hot[:, new:], old_cold[new:] = self.offerings.hot[:, left], self.offerings.cold[left]
        self._offerings_before.remember(np.concatenate([places[known], left]))
        places = self.offerings.reserve(places)
        self._offerings_before.remember(places)
        self.offerings.put(hot, cold, whole, places)
        self.offerings.remove(left)
        self._offerings_before.removed.extend(left.tolist())
        rows = np.concatenate([places, left])
        self._bound(np.unique(rows // BLOCK))
        self._percolate(rows, old_hot, old_cold)

    def change_needs(self, needs: Sequence[tuple[Need, date]], gone: Sequence[str] = ()) -> None:
        """These needs are new, changed, or judged for another day (each with its day); those ids are gone. Each id once.

        A need that is closed, or whose deadline has passed on its day, is gone too.
        """
        alive = [(need, today) for need, today in needs if _is_alive(need, today)]
        over = [need.id for need, today in needs if not _is_alive(need, today)]
        packed = PackedNeeds.of([pack_need(need, today, self.lexicon) for need, today in alive])
        self.change_packed_needs(packed, [*gone, *over])

    def change_packed_needs(self, packed: PackedNeeds, gone: Sequence[str] = ()) -> None:
        """The same for needs that are packed already."""
        left = self.needs.places(_ids(gone))
        left = left[left >= 0]
        self._needs_before.remember(left)
        self._remember_lists(left)
        self.needs.remove(left)
        self._kept[left] = np.zeros(1, KEPT_LIST)
        self._needs_before.removed.extend(left.tolist())
        places = self.needs.places(packed.cold["id"])
        self._needs_before.remember(places[places >= 0])
        places = self.needs.reserve(places)
        self._grow_lists()
        self._needs_before.remember(places)
        self._remember_lists(places)
        self.needs.put(*packed, places)
        for slot in places.tolist():
            self._search(slot)

    def load(self, offerings: Sequence[Offering], needs: Sequence[tuple[Need, date]]) -> None:
        """Fill an empty field, offerings that are alike side by side, so that bounds are close. Cannot be undone."""
        alive = [(need, today) for need, today in needs if _is_alive(need, today)]
        for need, today in alive:
            pack_need(need, today, self.lexicon)  # what needs ask for has a place before what offerings just mention
        self.load_packed(PackedOfferings.of([pack_offering(one, self.lexicon) for one in offerings]))
        self.change_needs(alive)
        self.keep()

    def load_packed(self, packed: PackedOfferings) -> None:
        """The same for offerings that are packed already, into a field without needs."""
        order = _side_by_side(packed.hot, packed.cold)
        whole = {at: packed.whole[one] for at, one in enumerate(order.tolist()) if one in packed.whole}
        places = self.offerings.reserve(np.full(len(order), -1, np.int64))
        self.offerings.put(packed.hot[:, order], packed.cold[order], whole, places)
        self._bound(np.arange(-(-self.offerings.used // BLOCK)))

    def rates_changed(self) -> None:
        """The market has other rates now: lists are exact again once their needs were given to `change_needs` again."""
        self.needs.hot[N.FLAGS, self.needs.taken()] |= np.uint64(STALE)

    # What is known -----------------------------------------------------------------------------------------------------

    def changed_lists(self) -> list[ListChange]:
        """The needs whose ten best are others than at `begin`, or changed themselves; new needs in any case."""
        found = []
        changed = self._offerings_before.places
        for n, slot in enumerate(self._before_slot[: int(self._remembered[0])].tolist()):
            if not self.needs.hot[N.TECHNOLOGY, slot]:
                continue
            now, then = self._kept[slot], self._before[n]
            listed = min(int(now["length"]), LENGTH)
            rows = now["row"][:listed]
            renewed = changed.intersection(rows.tolist())
            same = min(int(then["length"]), LENGTH) == listed and (
                (rows == then["row"][:listed]).all() and (now["score"][:listed] == then["score"][:listed]).all()
            )
            if renewed or not same or slot in self._needs_before.places:
                ids = frozenset(id_from(self.offerings.cold["id"][row]) for row in renewed)
                found.append(ListChange(id_from(self.needs.cold["id"][slot]), self._standing(slot).listed, ids))
        return found

    def standing(self, need_id: str) -> Standing | None:
        """What is kept of a need's best; None where the need is not open in this field."""
        slot = self.needs.place(need_id)
        return None if slot is None else self._standing(slot)

    def scores(self, need_id: str) -> dict[str, int | None]:
        """The score of a need with every offering here, as the kernels count it; None where a gate fails. For comparing."""
        slot = self.needs.place(need_id)
        if slot is None:
            raise KeyError(need_id)
        counted = np.empty(self.offerings.used, np.int64)
        sides = (self.needs.hot, self.needs.cold, slot, self.offerings.hot, self.offerings.cold, len(counted))
        loose = bool(self.needs.hot[N.FLAGS, slot] & np.uint64(LOOSE))
        kernels.score_pairs(*sides, *points(), self.market.per_usd, self.market.day, counted)
        found: dict[str, int | None] = {}
        for row in self.offerings.taken().tolist():
            score = int(counted[row])
            unsure = loose or score >= kernels.UNSURE
            found[id_from(self.offerings.cold["id"][row])] = (
                self._plain_score(slot, row) if unsure else None if score < 0 else score
            )
        return found

    @property
    def bytes(self) -> tuple[int, int]:
        """Memory of the offerings and of the needs with their lists, without what is kept whole."""
        return self.offerings.bytes + self._bounds.nbytes, self.needs.bytes + self._kept.nbytes + self._marks.nbytes

    def _standing(self, slot: int) -> Standing:
        kept = self._kept[slot]
        length = int(kept["length"])
        ids = [id_from(words) for words in self.offerings.cold["id"][kept["row"][:length]]]
        ranks = [Rank.of(int(score), id_) for score, id_ in zip(kept["score"][:length], ids, strict=True)]
        floor = Rank.of(int(kept["floor_score"]), id_from(kept["floor_id"])) if kept["has_floor"] else None
        return Standing(ranks, floor)

    # How ---------------------------------------------------------------------------------------------------------------

    def _bound(self, blocks: Rows) -> None:
        have = len(self.offerings.cold) // BLOCK
        if len(self._bounds) < have:
            self._bounds = grown(self._bounds, have)
        kernels.bound_blocks(blocks, self.offerings.hot, self.offerings.cold, self._bounds)

    def _look_in_new_slots(self, known: int) -> None:
        """Where an attribute has one more slot than the `known`, whoever asks for it has to look there too."""
        if not any(slot.nth for slot in self.lexicon.slots.known[known:]):
            return
        for slot in self.needs.taken().tolist():
            need = self._need(slot)
            packed = pack_need(need, date.fromordinal(int(self.needs.cold["today"][slot])), self.lexicon)
            place = np.array([slot])
            self._needs_before.remember(place)
            packed.hot[N.FLOOR] = self.needs.hot[N.FLOOR, slot]
            packed.hot[N.FLAGS] |= self.needs.hot[N.FLAGS, slot] & np.uint64(STALE)
            self.needs.put(*PackedNeeds.of([packed]), place)

    def _grow_lists(self) -> None:
        if len(self._kept) < len(self.needs.cold):
            self._kept = grown(self._kept, len(self.needs.cold))
            self._marks = grown(self._marks, len(self.needs.cold))

    def _remember_lists(self, slots: Rows) -> None:
        for slot in slots[self._marks[slots] != self._mark].tolist():
            n = int(self._remembered[0])
            self._make_room_to_remember(1)
            self._before[n], self._before_slot[n] = self._kept[slot], slot
            self._marks[slot] = self._mark
            self._remembered[0] = n + 1

    def _make_room_to_remember(self, more: int) -> None:
        if int(self._remembered[0]) + more > len(self._before):
            self._before = grown(self._before, 2 * len(self._before))
            self._before_slot = grown(self._before_slot, len(self._before))

    def _percolate(self, rows: Rows, old_hot: Words, old_cold: Array) -> None:
        begin, unsure = np.zeros(2, np.int64), np.zeros(1, np.int64)
        done = False
        while not done:
            self._make_room_to_remember(BLOCK)
            done = kernels.percolate(
                old_hot,
                old_cold,
                rows,
                begin,
                self.offerings.hot,
                self.offerings.cold,
                self.needs.hot,
                self.needs.cold,
                self.needs.used,
                self._kept,
                *points(),
                self.market.per_usd,
                self.market.day,
                self._before,
                self._before_slot,
                self._marks,
                self._mark,
                self._remembered,
                self._doubts,
                unsure,
            )
            for slot, row in self._doubts[: int(unsure[0])].tolist():
                self._judge(slot, row)
            unsure[0] = 0
        touched = self._before_slot[: int(self._remembered[0])]
        kept = self._kept[touched]
        for slot in touched[(kept["length"] < LENGTH) & kept["has_floor"]].tolist():
            if self.needs.hot[N.TECHNOLOGY, slot]:
                self._search(slot)

    def _judge(self, slot: int, row: int) -> None:
        """Let the plain rules judge a pair, and put the offering on the need's list if it belongs there."""
        score = self._plain_score(slot, row)
        if score is not None:
            self._remember_lists(np.array([slot]))
            kernels.enter_judged(self._kept, self.needs.hot, slot, score, row, self.offerings.cold)

    def _need(self, slot: int) -> Need:
        return self.needs.whole.get(slot) or unpack_need(self.needs.hot[:, slot], self.needs.cold[slot], self.lexicon)

    def _plain_score(self, slot: int, row: int) -> int | None:
        self.counts.judged_plainly += 1
        need = self._need(slot)
        offering = self.offerings.whole.get(row) or unpack_offering(
            self.offerings.hot[:, row], self.offerings.cold[row], self.lexicon
        )
        today = date.fromordinal(int(self.needs.cold["today"][slot]))
        judged = judge(need, offering, Circumstances(today, self.market.rates))
        return judged and judged.rank.score

    def _search(self, slot: int) -> None:
        self.counts.searches += 1
        if self.needs.hot[N.FLAGS, slot] & np.uint64(LOOSE):
            self._search_loosely(slot)
            return
        unsure = self._find(slot)
        if unsure < 0:
            self._doubts = np.zeros((2 * -unsure, 2), np.int64)
            unsure = self._find(slot)
        for row, most in self._doubts[:unsure].tolist():
            if most >= int(self.needs.hot[N.FLOOR, slot]):
                self._judge(slot, row)

    def _find(self, slot: int) -> int:
        blocks = -(-self.offerings.used // BLOCK)
        if len(self._work) < 2 * blocks:
            self._work = np.zeros(4 * blocks, np.int64)
        return kernels.search(
            self.needs.hot,
            self.needs.cold,
            slot,
            self._kept,
            self.offerings.hot,
            self.offerings.cold,
            self._bounds,
            blocks,
            *points(),
            self.market.per_usd,
            self.market.day,
            self._work,
            self._doubts,
        )

    def _search_loosely(self, slot: int) -> None:
        """The plain rules judge one offering after the other, the most promising first, until none can belong on the list."""
        self.counts.loose_searches += 1
        most = np.empty(self.offerings.used, np.int64)
        any_country = bool(self.needs.cold["any_country"][slot])
        kernels.loose_bounds(self.needs.hot, any_country, slot, self.offerings.hot, len(most), points().earned, most)
        self._kept[slot] = np.zeros(1, KEPT_LIST)[0]
        self.needs.hot[N.FLOOR, slot] = 0
        self.needs.hot[N.FLAGS, slot] = LOOSE
        for row in np.argsort(-most, kind="stable").tolist():
            if most[row] < int(self.needs.hot[N.FLOOR, slot]):
                break
            self._judge(slot, row)
            kept = self._kept[slot]
            if kept["length"] == KEPT and not kept["has_floor"]:
                kernels.raise_floor(self._kept, self.needs.hot, slot, self.offerings.cold)


def _is_alive(need: Need, today: date) -> bool:
    return need.open and not is_expired(need, Circumstances(today, {}))


def _ids(ids: Iterable[str]) -> Words:
    return np.array([words_of(id_) for id_ in ids], np.uint64).reshape(-1, ID_WORDS)


def _side_by_side(hot: Words, cold: Array) -> Rows:
    """An order in which neighbours are alike in what bounds look at: technology, currency, price, countries."""
    if not len(cold):
        return np.zeros(0, np.int64)
    cheapest = np.where(cold["tiers"] > 0, cold["unit_price"][:, 0], -1.0)
    band = np.argsort(np.argsort(cheapest, kind="stable")) * 8 // len(cold)
    return np.lexsort((cheapest, hot[1], cold["values"][:, 0], band, cold["currency"], hot[0]))
