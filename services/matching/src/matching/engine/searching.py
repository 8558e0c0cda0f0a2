"""The kernels that find the best offerings for a need."""

# Types are in layout.py and points.py: numba infers them, and annotations would only repeat them.
# pyright: reportMissingParameterType=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

import numpy as np

from matching.engine.compiling import compiled, fetch, first_bit, inlined
from matching.engine.layout import BLOCK, CURRENCIES, STANDARDS_ASKED, N
from matching.engine.lists import enter, lift_floor
from matching.engine.points import E
from matching.engine.scoring import (
    NO_PAIR,
    UNSURE,
    compared,
    front_points,
    has_bit,
    lead_time_points,
    loose_bound,
    speaks,
    whole_score,
)

WORK_ROWS = STANDARDS_ASKED + 2
SHARED, SILENT, OTHER = 0, 1, 2
"""How an offering stands to the need's languages: shares one, states none, states others."""


@inlined
def _stand_to_languages(shares, silent, kind):
    """Who stands so to the need's languages, in a block."""
    if kind == SHARED:
        return shares
    return silent & ~shares if kind == SILENT else ~(shares | silent)


@compiled
def _classes(asked, earned):
    """Every way in which bitmaps can tell an offering from others, the best first.

    Columns: points without those for lead time; same technology; country served; how it stands to the languages; standards
    that it has of those asked for.
    """
    found = np.empty((2 * 2 * 3 * (asked + 1), 5), np.int64)
    n = 0
    for same in range(2):
        for served in range(2):
            for kind in range(3):
                for held in range(asked + 1):
                    lead_time = earned[E.NO_LEAD_TIME]
                    front = front_points(same, served, held, asked, kind == SHARED, kind == SILENT, 0, -1, earned)
                    found[n] = front - lead_time, same, served, kind, held
                    n += 1
    return found[np.argsort(-found[:, 0], kind="mergesort")]


@inlined
def _count_held(standards, need, asked, block, exactly):
    """Who has exactly so many of the standards asked for, in a block: `exactly[n, block]`."""
    exactly[0, block] = ~np.uint64(0)
    for n in range(asked):
        has = standards[need["standard"][n], block]
        exactly[n + 1, block] = exactly[n, block] & has
        for held in range(n, 0, -1):
            exactly[held, block] = (exactly[held, block] & ~has) | (exactly[held - 1, block] & has)
        exactly[0, block] &= ~has


@compiled
def search(
    need_hot,
    need_cold,
    slot,
    kept,
    room,
    maps,
    lead_times,
    cold,
    ids,
    blocks,
    earned,
    price,
    largest_total,
    per_usd,
    rate_day,
    work,
    doubts,
):
    """Find the best for the need at `slot` among all offerings: class by class (see `_classes`), the most promising first.

    `kept[slot]` becomes its list, with room for so many. `work`: words, `WORK_ROWS` rows of at least as many as there are blocks.
    Returns how many pairs were unsure and could belong on the list, place and most in `doubts`; minus that number where they
    were more than it has room for.
    """
    need, mine, left = need_cold[slot], kept[slot], need_hot[N.DAYS_LEFT, slot]
    technologies, served, reached, standards, languages = maps
    same, serves, reach, silent = (
        technologies[need["technology"]],
        served[need["country"]],
        reached[need["country"]],
        languages[0],
    )
    asked = np.int64(need["standards"])
    shares, exactly = work[0], work[1:]
    for block in range(blocks):
        if reach[block]:
            shares[block] = speaks(languages, need, block)
            _count_held(standards, need, asked, block, exactly)
    mine["length"] = 0
    mine["has_floor"] = False
    mine["row"][:] = -1
    parts, not_compared = np.zeros(CURRENCIES), np.zeros(CURRENCIES, np.int64)
    waiting, waits = np.empty((2 * BLOCK, 2), np.int64), 0
    floor, unsure = np.int64(0), np.int64(0)
    classes = _classes(asked, earned)
    for n in range(classes.shape[0]):
        points, is_same, is_served = classes[n, 0], classes[n, 1], classes[n, 2]
        kind, held = classes[n, 3], classes[n, 4]
        if points + earned[E.MOST_LEAD_TIME] + earned[E.MOST_IN_COLD] < floor:
            break
        for block in range(blocks):
            rest = reach[block]
            if not rest:
                continue
            rest &= same[block] if is_same else ~same[block]
            rest &= serves[block] if is_served else ~serves[block]
            rest &= _stand_to_languages(shares[block], silent[block], kind) & exactly[held, block]
            while rest:
                place = block * BLOCK + np.int64(first_bit(rest))
                rest &= rest - np.uint64(1)
                front = points + lead_time_points(left, lead_times[place], earned)
                if front + earned[E.MOST_IN_COLD] >= floor:
                    fetch(cold, place)
                    waiting[waits, 0], waiting[waits, 1] = place, front
                    waits += 1
            if waits >= BLOCK // 2:
                floor, unsure = _take_in(
                    waiting,
                    waits,
                    floor,
                    unsure,
                    need,
                    mine,
                    room,
                    cold,
                    ids,
                    parts,
                    not_compared,
                    earned,
                    price,
                    largest_total,
                    per_usd,
                    rate_day,
                    doubts,
                )
                waits = 0
    floor, unsure = _take_in(
        waiting,
        waits,
        floor,
        unsure,
        need,
        mine,
        room,
        cold,
        ids,
        parts,
        not_compared,
        earned,
        price,
        largest_total,
        per_usd,
        rate_day,
        doubts,
    )
    if mine["length"] == room:
        lift_floor(mine, room, ids)
    need_hot[N.FLOOR, slot] = floor
    return unsure if unsure <= doubts.shape[0] else -unsure


@compiled
def _take_in(
    waiting,
    waits,
    floor,
    unsure,
    need,
    kept,
    room,
    cold,
    ids,
    parts,
    not_compared,
    earned,
    price,
    largest_total,
    per_usd,
    rate_day,
    doubts,
):
    """Put those who wait (place, points so far) on the list, if they belong there; returns the new floor, and how many are
    unsure by now. `parts` and `not_compared`: what `compared` says of each currency, as far as it was asked."""
    for n in range(waits):
        place, front = waiting[n, 0], waiting[n, 1]
        if front + earned[E.MOST_IN_COLD] < floor:
            continue
        origin = cold[place]["currency"]
        if parts[origin] == 0:
            parts[origin], not_compared[origin] = compared(need, origin, earned, per_usd, rate_day)
        score = whole_score(front, need, cold[place], floor, parts[origin], not_compared[origin], earned, price, largest_total)
        if score == NO_PAIR:
            continue
        if score >= UNSURE:
            if unsure < doubts.shape[0]:
                doubts[unsure, 0], doubts[unsure, 1] = place, score - UNSURE
            unsure += 1
        else:
            enter(kept, score, np.int32(place), room, cold, ids)
            if kept["length"] == room:
                floor = np.int64(kept["score"][room - 1])
    return floor, unsure


@compiled
def loose_bounds(need_hot, need_cold, slot, maps, lead_times, used, earned, most):
    """For a loose need: the most that each offering can have, NO_PAIR where it cannot be proposed, into `most`."""
    need, left = need_cold[slot], need_hot[N.DAYS_LEFT, slot]
    technologies, served, reached = maps[0][need["technology"]], maps[1][need["country"]], maps[2][need["country"]]
    for place in range(used):
        most[place] = NO_PAIR
        if has_bit(reached, place):
            most[place] = loose_bound(has_bit(technologies, place), has_bit(served, place), left, lead_times[place], earned)
