"""The kernel that tells which lists read differently than before a transaction."""

# Types are in layout.py: numba infers them, and annotations would only repeat them.
# pyright: reportMissingParameterType=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

import numpy as np

from matching.engine.compiling import compiled, inlined
from matching.engine.layout import ID_WORDS, LISTED


@inlined
def _swapped(word):
    """Its bytes in the other order."""
    found = np.uint64(0)
    for byte in range(8):
        found |= (word >> np.uint64(8 * byte) & np.uint64(255)) << np.uint64(56 - 8 * byte)
    return found


@inlined
def _reads_differently(now, then, offering_marks, offering_mark):
    listed = min(np.int64(now["length"]), LISTED)
    differs = listed != min(np.int64(then["length"]), LISTED)
    for place in range(listed):
        row = now["row"][place]
        differs |= row != then["row"][place] or now["score"][place] != then["score"][place]
        differs |= offering_marks[row] == offering_mark
    return differs


@compiled
def lists_that_changed(
    before,
    kept,
    slots,
    need_taken,
    need_marks,
    need_mark,
    need_ids,
    offering_marks,
    offering_mark,
    offering_ids,
    names,
    scores,
    renewed,
):
    """Of the lists at `slots` (kept before the transaction as `before`) those that read differently now: other places or
    scores among the ten, or an offering there that changed itself; and those of needs that changed. Returns how many.

    `names` gets the bytes of the need's id, then of those listed; `scores` theirs, -1 behind the last; `renewed` who of them
    changed.
    """
    n = 0
    for i in range(slots.size):
        slot, now = slots[i], kept[slots[i]]
        differs = need_marks[slot] == need_mark or _reads_differently(now, before[i], offering_marks, offering_mark)
        if not differs or not need_taken[slot]:
            continue
        for word in range(ID_WORDS):
            names[n, 0, word] = _swapped(need_ids[slot, word])
        for place in range(LISTED):
            scores[n, place] = -1
            if place < now["length"]:
                row = now["row"][place]
                scores[n, place] = now["score"][place]
                renewed[n, place] = offering_marks[row] == offering_mark
                for word in range(ID_WORDS):
                    names[n, place + 1, word] = _swapped(offering_ids[row, word])
        n += 1
    return n
