"""The best that are kept of a need: who enters a list and leaves it, its floor, and how it was before a transaction."""

# Types are in layout.py and points.py: numba infers them, and annotations would only repeat them.
# pyright: reportMissingParameterType=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

import numpy as np

from matching.engine.compiling import compiled, inlined
from matching.engine.layout import ID_WORDS, KEPT, N


@inlined
def _id_before(a, b):
    """Whether the id `a` comes before `b`."""
    for word in range(ID_WORDS):
        if a[word] != b[word]:
            return a[word] < b[word]
    return False


@inlined
def _comes_before(a, b, cold, ids):
    """The same for the offerings at two places. Their records were just read; the whole ids lie far away."""
    if cold[a]["id_begins"] != cold[b]["id_begins"]:
        return cold[a]["id_begins"] < cold[b]["id_begins"]
    return _id_before(ids[a], ids[b])


@inlined
def enter(kept, score, row, room, cold, ids):
    """Put an offering into a list by score, then by id; the last of a full list makes room. Whether it was full."""
    length = np.int64(kept["length"])
    place = length
    while place > 0:
        before = np.int64(kept["score"][place - 1])
        if before > score or (before == score and not _comes_before(row, kept["row"][place - 1], cold, ids)):
            break
        place -= 1
    if place < room:
        last = min(length, room - 1)
        for n in range(last, place, -1):
            kept["row"][n] = kept["row"][n - 1]
            kept["score"][n] = kept["score"][n - 1]
        kept["row"][place] = row
        kept["score"][place] = score
        kept["length"] = last + 1
    return length == room


@inlined
def lift_floor(kept, room, ids):
    """To the last that is kept."""
    kept["has_floor"] = True
    kept["floor_score"] = kept["score"][room - 1]
    for word in range(ID_WORDS):
        kept["floor_id"][word] = ids[kept["row"][room - 1], word]


@inlined
def leave(kept, row):
    """Take an offering off a list that it is on."""
    length = np.int64(kept["length"])
    for place in range(length):
        if kept["row"][place] == row:
            for n in range(place, length - 1):
                kept["row"][n] = kept["row"][n + 1]
                kept["score"][n] = kept["score"][n + 1]
            kept["row"][length - 1] = -1
            kept["length"] = length - 1
            break


@inlined
def is_on(kept, row):
    """Whether the list has this offering; without a jump, so that it takes three instructions."""
    found = False
    for place in range(KEPT):
        found |= kept["row"][place] == row
    return found


@inlined
def is_below_floor(kept, score, row, ids):
    if not kept["has_floor"]:
        return False
    floor = np.int64(kept["floor_score"])
    return score < floor or (score == floor and _id_before(kept["floor_id"], ids[row]))


@compiled
def enter_judged(kept, need_hot, slot, score, row, cold, ids):
    """Put in an offering that the plain rules judged, if it belongs on the list."""
    if not is_below_floor(kept[slot], np.int64(score), row, ids):
        if enter(kept[slot], np.int64(score), np.int32(row), KEPT, cold, ids):
            lift_floor(kept[slot], KEPT, ids)
        if kept[slot]["has_floor"]:
            need_hot[N.FLOOR, slot] = kept[slot]["floor_score"]


@compiled
def raise_floor(kept, need_hot, slot, ids):
    """The list is full: only who ranks with its last or better can belong there from now on."""
    lift_floor(kept[slot], KEPT, ids)
    need_hot[N.FLOOR, slot] = kept[slot]["floor_score"]


@inlined
def remember(slot, kept, before, before_slot, marks, mark, remembered):
    """Keep the list as it was before this transaction changed it."""
    if marks[slot] != mark:
        marks[slot] = mark
        before[remembered[0]] = kept[slot]
        before_slot[remembered[0]] = slot
        remembered[0] += 1


@compiled
def remember_lists(slots, kept, before, before_slot, marks, mark, remembered):
    """Keep the lists of these needs as they were before this transaction changed them. There is room for all."""
    for slot in slots:
        if slot >= 0:
            remember(slot, kept, before, before_slot, marks, mark, remembered)
