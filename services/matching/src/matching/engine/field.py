"""One field: all offerings and open needs of a technology group that are counted in one unit, and the best of each need.

What a transaction changes here can be undone: `begin` opens a journal, `keep` closes it, `undo` has everything as it was at
`begin`. Changes are told by `changed_lists`, against what the lists were then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np

from matching.domain.circumstances import Circumstances
from matching.domain.gates import is_expired
from matching.domain.shortlist import KEPT, LENGTH, Rank, Standing, judge
from matching.domain.sides import Need, Offering
from matching.engine import lists, percolating, scoring, searching, sides, telling
from matching.engine.layout import (
    BLOCK,
    ID_WORDS,
    KEPT_LIST,
    LEAD_TIME,
    NO_LIST,
    Array,
    N,
    Words,
    grown,
    id_from,
    ids_from,
    ids_of,
)
from matching.engine.lexicon import Lexicon
from matching.engine.list_change import ListChange
from matching.engine.market import Market
from matching.engine.packing import PackedNeeds, PackedOfferings, pack_needs, pack_offerings, unpack_need, unpack_offering
from matching.engine.points import points
from matching.engine.sides import Packed, Rows

_ROOM = 4096
"""Pairs and lists that a kernel can tell of at once; where there are more it is called again."""


@dataclass(slots=True)
class Counts:
    """How often the slow, plain way had to be gone."""

    judged_plainly: int = 0
    searches: int = 0
    loose_searches: int = 0


class _Asking(NamedTuple):
    """Needs and what is kept of each one's best, by the same places; `room`: how many of these."""

    needs: Packed[Need]
    kept: Array
    room: int


class Field:
    """See above. `group` is the technology group, `unit` the unit of quantity."""

    def __init__(self, group: str, unit: str, market: Market) -> None:
        self.market = market
        self.lexicon = Lexicon(group, unit, market.currencies)
        self.offerings: Packed[Offering] = sides.offerings()
        self.needs: Packed[Need] = sides.needs()
        self.counts = Counts()
        self._kept: Array = np.full(BLOCK, NO_LIST)
        self._marks = np.zeros(BLOCK, np.int64)
        self._mark = 0
        self._before: Array = np.zeros(_ROOM, KEPT_LIST)
        self._before_slot, self._short = np.zeros(_ROOM, np.int64), np.zeros(_ROOM, np.int64)
        self._remembered = np.zeros(1, np.int64)
        self._doubts = np.zeros((_ROOM, 2), np.int64)
        self._work = np.zeros((searching.WORK_ROWS, 0), np.uint64)
        self._visitor = _Asking(sides.needs(), np.zeros(BLOCK, KEPT_LIST), LENGTH)
        self.begin()

    # The journal -------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """From here on everything can be undone, and is told by `changed_lists`."""
        self.offerings.begin()
        self.needs.begin()
        self._begin()

    def keep(self) -> None:
        """What changed since `begin` stays; begin anew."""
        self.offerings.keep()
        self.needs.keep()
        self._begin()

    def undo(self) -> None:
        """Have everything as it was at `begin`, and begin anew."""
        n = int(self._remembered[0])
        slots = self._before_slot[:n]
        self._kept[slots] = self._before[:n]
        self.offerings.undo()
        self.needs.undo()
        self.needs.hot[N.FLOOR, slots] = np.where(self._kept["has_floor"][slots], self._kept["floor_score"][slots], 0)
        self._look_in_new_slots(self._slots_before)
        self.begin()

    def _begin(self) -> None:
        self._mark += 1
        self._remembered[0] = 0
        self._slots_before = len(self.lexicon.slots.known)

    # Changes -----------------------------------------------------------------------------------------------------------

    def change_offerings(self, offerings: Sequence[Offering], gone: Sequence[str] = ()) -> None:
        """These offerings are new or changed, those ids are gone; every list is brought up to date. Each id once."""
        slots = len(self.lexicon.slots.known)
        packed = pack_offerings(offerings, self.lexicon)
        self._look_in_new_slots(slots)
        self.change_packed(packed, gone)

    def change_packed(self, packed: PackedOfferings, gone: Sequence[str] = ()) -> None:
        """The same for offerings that are packed already."""
        self.have_names()
        places, old_sets = self.offerings.change(*packed, ids_of(gone))
        self._percolate(places, old_sets, packed.sets, packed.hot)

    def change_needs(self, needs: Sequence[tuple[Need, date]], gone: Sequence[str] = ()) -> None:
        """These needs are new, changed, or judged for another day (each with its day); those ids are gone. Each id once.

        A need that is closed, or whose deadline has passed on its day, is gone too.
        """
        alive = [(need, today) for need, today in needs if _is_alive(need, today)]
        over = [need.id for need, today in needs if not _is_alive(need, today)]
        self.change_packed_needs(pack_needs(alive, self.lexicon), [*gone, *over])

    def change_packed_needs(self, packed: PackedNeeds, gone: Sequence[str] = ()) -> None:
        """The same for needs that are packed already."""
        self.have_names()
        places, _ = self.needs.change(*packed, ids_of(gone))
        self._grow_lists()
        self._remember_lists(places)
        came = len(packed.ids)
        for slot in places[came:].tolist():
            if slot >= 0:
                self._kept[slot] = NO_LIST
        for slot in places[:came].tolist():
            self._search(self._own, slot)

    def load(self, offerings: Sequence[Offering], needs: Sequence[tuple[Need, date]]) -> None:
        """Fill an empty field. Cannot be undone."""
        alive = [(need, today) for need, today in needs if _is_alive(need, today)]
        pack_needs(alive, self.lexicon)  # so that what needs ask for has a place before what offerings just mention
        self.change_offerings(offerings)
        self.change_needs(alive)
        self.keep()

    @property
    def lists(self) -> Array:
        """What is kept of each need's best, by place."""
        return self._kept[: self.needs.used]

    def take_lists(self, lists: Array) -> None:
        """Have these `lists`, of the needs and offerings that were thawed here, and begin anew."""
        self._grow_lists()
        self._kept[: self.needs.used] = lists.view(KEPT_LIST)
        self.begin()

    # What is known -----------------------------------------------------------------------------------------------------

    def changed_lists(self) -> list[ListChange]:
        """The needs whose ten best are others than at `begin`, or changed themselves; new needs in any case."""
        n = int(self._remembered[0])
        if not n:
            return []
        ids, scores = np.zeros((n, LENGTH + 1, ID_WORDS), np.uint64), np.empty((n, LENGTH), np.int16)
        renewed, offerings, needs = np.zeros((n, LENGTH), np.bool_), self.offerings, self.needs
        number = telling.lists_that_changed(
            self._before,
            self._kept,
            self._before_slot[:n],
            needs.taken,
            needs.marks,
            needs.mark,
            needs.ids,
            offerings.marks,
            offerings.mark,
            offerings.ids,
            ids,
            scores,
            renewed,
        )
        names = ids[:number].view(f"S{8 * ID_WORDS}")[:, :, 0]
        need_ids = names[:, 0].tolist()
        parts = zip(need_ids, names[:, 1:], scores, renewed, strict=False)
        return [ListChange(need_id.decode(), *listed) for need_id, *listed in parts]

    def standing(self, need_id: str) -> Standing | None:
        """What is kept of a need's best; None where the need is not open in this field."""
        slot = self.needs.place(need_id)
        return None if slot is None else self._standing(slot)

    def best(self, need: Need, today: date) -> Standing:
        """The best for a need that is only asked about and not taken in; it is open on that day."""
        packed = pack_needs([(need, today)], self.lexicon)
        self.have_names()
        return self._standing_of(self.best_packed(packed.hot[0], packed.cold[0], packed.whole.get(0)))

    def best_packed(self, hot: Array, cold: Array, whole: Need | None = None) -> Array:
        """The same for a packed need, as `layout.KEPT_LIST`; valid until the next call."""
        needs, kept, _ = self._visitor
        needs.hot[:, 0], needs.cold[0] = hot, cold
        if whole is not None or needs.whole:
            needs.whole = {} if whole is None else {0: whole}
        self._search(self._visitor, 0)
        return kept[0]

    def scores(self, need_id: str) -> dict[str, int | None]:
        """The score of a need with every offering here, as the kernels count it; None where a gate fails. For comparing."""
        slot = self.needs.place(need_id)
        if slot is None:
            raise KeyError(need_id)
        counted = np.empty(self.offerings.used, np.int64)
        needs, side = self.needs, self.offerings
        scoring.score_pairs(
            needs.hot,
            needs.cold,
            slot,
            side.maps,
            side.hot[LEAD_TIME],
            side.cold,
            len(counted),
            *points(),
            self.market.per_usd,
            self.market.day,
            counted,
        )
        found: dict[str, int | None] = {}
        for place in side.taken_places().tolist():
            score = int(counted[place])
            unsure = bool(needs.hot[N.LOOSE, slot]) or score >= scoring.UNSURE
            found[id_from(side.ids[place])] = self._plain_score(needs, slot, place) if unsure else None if score < 0 else score
        return found

    @property
    def bytes(self) -> tuple[int, int]:
        """Memory of the offerings and of the needs with their lists, without what is kept whole."""
        return self.offerings.bytes, self.needs.bytes + self._kept.nbytes + self._marks.nbytes

    def _standing(self, slot: int) -> Standing:
        return self._standing_of(self._kept[slot])

    def _standing_of(self, kept: Array) -> Standing:
        length = int(kept["length"])
        ids = ids_from(self.offerings.ids[kept["row"][:length]])
        ranks = [Rank.of(score, id_) for score, id_ in zip(kept["score"][:length].tolist(), ids, strict=True)]
        floor = Rank.of(int(kept["floor_score"]), id_from(kept["floor_id"])) if kept["has_floor"] else None
        return Standing(ranks, floor)

    # How ---------------------------------------------------------------------------------------------------------------

    def have_names(self) -> None:
        """Give every name in the lexicon its row in the bitmaps, before packed sides with new names are used."""
        known = self.lexicon
        technologies, countries, languages = (len(one.known) for one in (known.technologies, known.countries, known.languages))
        self.offerings.have_names((technologies, countries, countries, len(known.standards.known), languages))
        self.needs.have_names((technologies, countries, languages))

    def _look_in_new_slots(self, known: int) -> None:
        """Where an attribute has one more slot than the `known`, whoever asks for it has to look there too."""
        if not any(slot.nth for slot in self.lexicon.slots.known[known:]):
            return
        places = self.needs.taken_places()
        days = [date.fromordinal(day) for day in self.needs.cold["today"][places].tolist()]
        needs = [self._need(slot, self.needs) for slot in places.tolist()]
        packed = pack_needs(list(zip(needs, days, strict=True)), self.lexicon)
        packed.hot[:, N.FLOOR] = self.needs.hot[N.FLOOR, places]
        self.have_names()
        self.needs.change(*packed, ids_of(()))

    def _grow_lists(self) -> None:
        if len(self._kept) < len(self.needs.cold):
            before = len(self._kept)
            self._kept, self._marks = grown(self._kept, len(self.needs.cold)), grown(self._marks, len(self.needs.cold))
            self._kept[before:] = NO_LIST

    def _remember_lists(self, slots: Rows) -> None:
        self._make_room_to_remember(len(slots))
        lists.remember_lists(slots, self._kept, self._before, self._before_slot, self._marks, self._mark, self._remembered)

    def _make_room_to_remember(self, more: int) -> None:
        wanted = int(self._remembered[0]) + more
        if wanted > len(self._before):
            self._before = grown(self._before, max(wanted, 2 * len(self._before)))
            self._before_slot = grown(self._before_slot, len(self._before))
            self._short = np.zeros(len(self._before), np.int64)

    def _percolate(self, places: Rows, old_sets: Words, new_sets: Words, new_hot: Array) -> None:
        begin, unsure, short = np.zeros(2, np.int64), np.zeros(1, np.int64), -1
        too_short: list[int] = []
        while short < 0:
            self._make_room_to_remember(percolating.AT_ONCE)
            short = percolating.percolate(
                old_sets,
                new_sets,
                new_hot,
                places,
                begin,
                self.offerings.cold,
                self.offerings.ids,
                self.needs.maps,
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
                self._short,
            )
            too_short = self._short[:short].tolist() if short > 0 else []
            for slot, place in self._doubts[: int(unsure[0])].tolist() if unsure[0] else ():
                self._remember_lists(np.array([slot]))
                self._judge(self._own, slot, place)
            unsure[0] = 0
        for slot in too_short:
            self._search(self._own, slot)

    @property
    def _own(self) -> _Asking:
        return _Asking(self.needs, self._kept, KEPT)

    def _judge(self, asking: _Asking, slot: int, place: int) -> None:
        """Let the plain rules judge a pair, and put the offering on the need's list if it belongs there."""
        score = self._plain_score(asking.needs, slot, place)
        if score is not None:
            lists.enter_judged(asking.kept, asking.needs.hot, slot, score, place, self.offerings.cold, self.offerings.ids)

    def _plain_score(self, needs: Packed[Need], slot: int, place: int) -> int | None:
        self.counts.judged_plainly += 1
        today = date.fromordinal(int(needs.cold["today"][slot]))
        judged = judge(self._need(slot, needs), self._offering(place), Circumstances(today, self.market.rates))
        return judged and judged.rank.score

    def _need(self, slot: int, needs: Packed[Need]) -> Need:
        return needs.whole.get(slot) or unpack_need(needs.ids[slot], needs.cold[slot], self.lexicon)

    def _offering(self, place: int) -> Offering:
        side = self.offerings
        return side.whole.get(place) or unpack_offering(
            side.ids[place], side.sets(np.array([place]))[0], side.hot[:, place], side.cold[place], self.lexicon
        )

    def _search(self, asking: _Asking, slot: int) -> None:
        self.counts.searches += 1
        if asking.needs.hot[N.LOOSE, slot]:
            self._search_loosely(asking, slot)
            return
        unsure = self._find(asking, slot)
        if unsure < 0:
            self._doubts = np.zeros((2 * -unsure, 2), np.int64)
            unsure = self._find(asking, slot)
        for place, most in self._doubts[:unsure].tolist():
            if most >= asking.needs.hot[N.FLOOR, slot]:
                self._judge(asking, slot, place)

    def _find(self, asking: _Asking, slot: int) -> int:
        side = self.offerings
        blocks = -(-side.used // BLOCK)
        if self._work.shape[1] < blocks:
            self._work = np.zeros((searching.WORK_ROWS, 2 * blocks), np.uint64)
        return searching.search(
            asking.needs.hot,
            asking.needs.cold,
            slot,
            asking.kept,
            asking.room,
            side.maps,
            side.hot[LEAD_TIME],
            side.cold,
            side.ids,
            blocks,
            *points(),
            self.market.per_usd,
            self.market.day,
            self._work,
            self._doubts,
        )

    def _search_loosely(self, asking: _Asking, slot: int) -> None:
        """The plain rules judge one offering after the other, the most promising first, until none can belong on the list."""
        self.counts.loose_searches += 1
        needs, kept, _ = asking
        side, most = self.offerings, np.empty(self.offerings.used, np.int64)
        searching.loose_bounds(needs.hot, needs.cold, slot, side.maps, side.hot[LEAD_TIME], len(most), points().earned, most)
        kept[slot] = NO_LIST
        needs.hot[N.FLOOR, slot] = 0
        for place in np.argsort(-most, kind="stable").tolist():
            if most[place] < needs.hot[N.FLOOR, slot]:
                break
            self._judge(asking, slot, place)
            if kept[slot]["length"] == KEPT and not kept[slot]["has_floor"]:
                lists.raise_floor(kept, needs.hot, slot, side.ids)


def _is_alive(need: Need, today: date) -> bool:
    return need.open and not is_expired(need, Circumstances(today, {}))
