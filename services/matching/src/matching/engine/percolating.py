"""The kernel that takes changed offerings into every list that they touch."""

# Types are in layout.py and points.py: numba infers them, and annotations would only repeat them.
# pyright: reportMissingParameterType=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

import numpy as np

from matching.engine.compiling import compiled, fetch_line, first_bit, inlined
from matching.engine.layout import BLOCK, KEPT, LEAD_TIME, LISTED, OFFERING_MAPS, N
from matching.engine.lists import enter, is_below_floor, is_on, leave, lift_floor, remember
from matching.engine.points import E
from matching.engine.scoring import NO_PAIR, UNSURE, compared, lead_time_points, loose_bound, standards_points, whole_score

_FIRST_SERVED = OFFERING_MAPS[0]
_FIRST_REACHED = _FIRST_SERVED + OFFERING_MAPS[1]
_FIRST_STANDARD = _FIRST_REACHED + OFFERING_MAPS[2]
_FIRST_LANGUAGE = _FIRST_STANDARD + OFFERING_MAPS[3]


@inlined
def _named_by(bitmap, words, first, names, chosen):
    """The rows of a bitmap whose bit is set in the offering's words from `first` on, into `chosen`; returns how many."""
    n = 0
    for word in range((names + 63) >> 6):
        rest = words[first + word]
        while rest:
            name = word * 64 + np.int64(first_bit(rest))
            rest &= rest - np.uint64(1)
            if name < bitmap.shape[0]:
                chosen[n] = name
                n += 1
    return n


@inlined
def _any_of(bitmap, chosen, n, block):
    word = np.uint64(0)
    for i in range(n):
        word |= bitmap[chosen[i], block]
    return word


@inlined
def _states(words, first, name):
    """Whether the bit of this name is set in an offering's words."""
    return (words[first + (name >> 6)] >> np.uint64(name & 63)) & np.uint64(1) != np.uint64(0)


@inlined
def _class_of(same, served, shared, bit):
    """The number of the class to which the need of this bit belongs: see `_most_of_classes`."""
    one = np.uint64(1)
    return np.int64((same >> bit & one) | (served >> bit & one) << one | (shared >> bit & one) << np.uint64(2))


@inlined
def _most_of_standards(earned):
    return max(earned[E.NO_STANDARD_ASKED], earned[E.ALL_HELD], earned[E.NONE_HELD])


@inlined
def _most_of_classes(states_none, earned, most):
    """The most that an offering can have with a need of the same technology (1), in a country served (2), sharing a language
    (4), by the sum of these numbers. What is on a list has no less than the list's floor, so that both sides of a change need
    only be looked at where this reaches it."""
    rest = _most_of_standards(earned) + earned[E.MOST_LEAD_TIME] + earned[E.MOST_IN_COLD]
    for n in range(8):
        most[n] = rest + (earned[E.SAME_TECHNOLOGY] if n & 1 else earned[E.SAME_GROUP])
        most[n] += earned[E.SERVED] if n & 2 else earned[E.OF_INTEREST]
        if n & 4:
            most[n] += earned[E.SHARED_LANGUAGE]
        else:
            most[n] += earned[E.NO_LANGUAGE] if states_none else earned[E.NO_SHARED_LANGUAGE]


@compiled
def _enter_lists(
    waiting, waits, place, words, cold, ids, need_hot, need_cold, kept, earned, price, largest_total, per_usd, rate_day,
    before, before_slot, marks, mark, remembered, doubts, unsure,
):  # fmt: skip
    """Put the offering at `place` on the lists of the needs that wait (slot, the most that the pair can have), where it
    belongs there."""
    offering, known = cold[place], earned[E.MOST_IN_COLD] + _most_of_standards(earned)
    for w in range(waits):
        slot = waiting[w, 0]
        need, floor = need_cold[slot], need_hot[N.FLOOR, slot]
        held, asked = np.int64(0), np.int64(need["standards"])
        for n in range(asked):
            held += np.int64(_states(words, _FIRST_STANDARD, np.int64(need["standard"][n])))
        front = waiting[w, 1] - known + standards_points(held, asked, earned)
        if front + earned[E.MOST_IN_COLD] < floor:
            continue
        parts, none = compared(need, offering["currency"], earned, per_usd, rate_day)
        score = whole_score(front, need, offering, floor, parts, none, earned, price, largest_total)
        if score == NO_PAIR:
            continue
        mine = kept[slot]
        if score >= UNSURE:
            doubts[unsure[0], 0], doubts[unsure[0], 1] = slot, place
            unsure[0] += 1
        elif not is_below_floor(mine, score, place, ids):
            remember(slot, kept, before, before_slot, marks, mark, remembered)
            if enter(mine, score, np.int32(place), KEPT, cold, ids):
                lift_floor(mine, KEPT, ids)
            if mine["has_floor"]:
                need_hot[N.FLOOR, slot] = mine["floor_score"]


AT_ONCE = 3 * BLOCK
"""Needs that can wait, and be remembered, between two looks at how much room there is."""


@compiled
def percolate(
    old_sets,
    new_sets,
    new_hot,
    places,
    begin,
    cold,
    ids,
    need_maps,
    need_hot,
    need_cold,
    needs,
    kept,
    earned,
    price,
    largest_total,
    per_usd,
    rate_day,
    before,
    before_slot,
    marks,
    mark,
    remembered,
    doubts,
    unsure,
    short,
):
    """Take the offerings that changed at `places` into every list that they touch.

    `old_sets` has their bitmaps' words as they were (none: they are new), `new_sets` and `new_hot` as they are; those behind
    the last of these are gone. Goes on from the offering `begin[0]` and the block of needs `begin[1]`.

    Returns how many lists became too short, their slots in `short`; -1 where `before` or `doubts` (slot and place of pairs
    that are unsure) have no more room: `begin` says then where to go on.
    """
    technology_of, country_of, language_of = need_maps
    nothing = np.zeros(old_sets.shape[1], np.uint64)
    blocks = (needs + BLOCK - 1) // BLOCK
    chosen, count = np.empty((8, 64 * max(OFFERING_MAPS)), np.int64), np.empty(8, np.int64)
    most, most_before = np.empty(8, np.int64), np.empty(8, np.int64)
    waiting = np.empty((2 * BLOCK, 2), np.int64)
    for e in range(begin[0], places.size):
        place, old = places[e], old_sets[e]
        if place < 0:
            continue
        stays = e < new_sets.shape[0]
        new, lead_time = new_sets[e] if stays else nothing, new_hot[e, LEAD_TIME] if stays else np.int64(0)
        for n in range(2):
            words = old if n else new
            count[4 * n] = _named_by(technology_of, words, 0, technology_of.shape[0], chosen[4 * n])
            count[4 * n + 1] = _named_by(country_of, words, _FIRST_SERVED, country_of.shape[0], chosen[4 * n + 1])
            count[4 * n + 2] = _named_by(country_of, words, _FIRST_REACHED, country_of.shape[0], chosen[4 * n + 2])
            count[4 * n + 3] = _named_by(language_of, words, _FIRST_LANGUAGE, language_of.shape[0], chosen[4 * n + 3])
        waits = 0
        _most_of_classes(new[_FIRST_LANGUAGE] & np.uint64(1), earned, most)
        _most_of_classes(old[_FIRST_LANGUAGE] & np.uint64(1), earned, most_before)
        for block in range(begin[1] if e == begin[0] else 0, blocks):
            comes = _any_of(country_of, chosen[2], count[2], block)
            was = _any_of(country_of, chosen[6], count[6], block)
            if not comes | was:
                continue
            if remembered[0] + AT_ONCE > before_slot.size or unsure[0] + AT_ONCE > doubts.shape[0]:
                _enter_lists(
                    waiting, waits, place, new, cold, ids, need_hot, need_cold, kept, earned, price, largest_total, per_usd,
                    rate_day, before, before_slot, marks, mark, remembered, doubts, unsure,
                )  # fmt: skip
                begin[0], begin[1] = e, block
                return -1
            if was:
                same = _any_of(technology_of, chosen[4], count[4], block)
                served = _any_of(country_of, chosen[5], count[5], block)
                shared = _any_of(language_of, chosen[7], count[7], block)
                while was:
                    bit = first_bit(was)
                    was &= was - np.uint64(1)
                    slot = block * BLOCK + np.int64(bit)
                    if (
                        most_before[_class_of(same, served, shared, bit)] < need_hot[N.FLOOR, slot]
                        and not need_hot[N.LOOSE, slot]
                    ):
                        continue
                    if is_on(kept[slot], place):
                        remember(slot, kept, before, before_slot, marks, mark, remembered)
                        leave(kept[slot], place)
            same = _any_of(technology_of, chosen[0], count[0], block)
            served = _any_of(country_of, chosen[1], count[1], block)
            shared = _any_of(language_of, chosen[3], count[3], block)
            while comes:
                bit = first_bit(comes)
                comes &= comes - np.uint64(1)
                slot, class_ = block * BLOCK + np.int64(bit), _class_of(same, served, shared, bit)
                floor, loose = need_hot[N.FLOOR, slot], need_hot[N.LOOSE, slot]
                if most[class_] < floor and not loose:
                    continue
                of_lead_time = lead_time_points(need_hot[N.DAYS_LEFT, slot], lead_time, earned)
                points = most[class_] - earned[E.MOST_LEAD_TIME] + of_lead_time
                if loose:
                    if loose_bound(class_ & 1, class_ & 2, need_hot[N.DAYS_LEFT, slot], lead_time, earned) >= floor:
                        doubts[unsure[0], 0], doubts[unsure[0], 1] = slot, place
                        unsure[0] += 1
                elif points >= floor:
                    fetch_line(need_cold, slot)
                    waiting[waits, 0], waiting[waits, 1] = slot, points
                    waits += 1
            if waits >= BLOCK:
                _enter_lists(
                    waiting, waits, place, new, cold, ids, need_hot, need_cold, kept, earned, price, largest_total, per_usd,
                    rate_day, before, before_slot, marks, mark, remembered, doubts, unsure,
                )  # fmt: skip
                waits = 0
        _enter_lists(
            waiting, waits, place, new, cold, ids, need_hot, need_cold, kept, earned, price, largest_total, per_usd,
            rate_day, before, before_slot, marks, mark, remembered, doubts, unsure,
        )  # fmt: skip
    n = 0
    for i in range(remembered[0]):
        mine = kept[before_slot[i]]
        if mine["length"] < LISTED and mine["has_floor"]:
            short[n] = before_slot[i]
            n += 1
    return n
