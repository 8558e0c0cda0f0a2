"""The kernels that put a side where it belongs: its bits into the bitmaps, its id into the index, all of it into the journal."""

# Types are in layout.py: numba infers them, and annotations would only repeat them.
# pyright: reportMissingParameterType=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

import numpy as np

from matching.engine.compiling import compiled, first_bit, inlined
from matching.engine.layout import ID_WORDS, S


@inlined
def _write_bits(bitmap, place, was, words, first):
    """Have the bits at a place say what `words` do, where these differ from what they `was`."""
    block, bit = place >> 6, np.uint64(1) << np.uint64(place & 63)
    for word in range((bitmap.shape[0] + 63) >> 6):
        differs = was[first + word] ^ words[first + word]
        while differs:
            name = word * 64 + np.int64(first_bit(differs))
            differs &= differs - np.uint64(1)
            if name < bitmap.shape[0]:
                bitmap[name, block] ^= bit


@inlined
def _read_bits(bitmap, place, words, first):
    block, shift = place >> 6, np.uint64(place & 63)
    for name in range(bitmap.shape[0]):
        words[first + (name >> 6)] |= (bitmap[name, block] >> shift & np.uint64(1)) << np.uint64(name & 63)


@compiled
def read_bits(maps, firsts, places, sets):
    """The bits at these places, into their sets, which are empty. `firsts`: the first word of a set for each bitmap."""
    for n in range(places.size):
        for number in range(len(maps)):
            _read_bits(maps[number], places[n], sets[n], firsts[number])


@compiled
def write_bits(maps, firsts, places, sets):
    """Set the bits at these places as their sets say."""
    was = np.empty(sets.shape[1], np.uint64)
    for n in range(places.size):
        was[:] = 0
        for number in range(len(maps)):
            _read_bits(maps[number], places[n], was, firsts[number])
            _write_bits(maps[number], places[n], was, sets[n], firsts[number])


@inlined
def _hash(id_, mask):
    found = np.uint64(0x9E3779B97F4A7C15)
    for word in range(ID_WORDS):
        found = (found ^ id_[word]) * np.uint64(0xBF58476D1CE4E5B9)
        found ^= found >> np.uint64(29)
    return np.int64(found & np.uint64(mask))


@inlined
def _same_id(a, b):
    same = True
    for word in range(ID_WORDS):
        same &= a[word] == b[word]
    return same


@compiled
def _find(table, known, id_):
    mask = table.size - 1
    at = _hash(id_, mask)
    while table[at] != 0:
        if table[at] > 0 and _same_id(known[table[at] - 1], id_):
            return np.int64(table[at]) - 1
        at = (at + 1) & mask
    return np.int64(-1)


@compiled
def _set(table, id_, place):
    mask = table.size - 1
    at = _hash(id_, mask)
    while table[at] > 0:
        at = (at + 1) & mask
    table[at] = place + 1


@compiled
def _clear(table, id_, place):
    mask = table.size - 1
    at = _hash(id_, mask)
    while table[at] != 0:
        if table[at] == place + 1:
            table[at] = -1
            break
        at = (at + 1) & mask


@compiled
def find_places(table, known, ids, places):
    """The place of each id among the `known`, -1 where it is not there.

    `table`: open addressing; place + 1, 0: empty, -1: was taken.
    """
    for n in range(ids.shape[0]):
        places[n] = _find(table, known, ids[n])


@compiled
def set_places(table, known, places):
    """Enter the ids at these places."""
    for n in range(places.size):
        _set(table, known[places[n]], places[n])


@inlined
def _place_for(state, free):
    """One that is free."""
    if state[S.FREE] > 0:
        state[S.FREE] -= 1
        return np.int64(free[state[S.FREE]])
    state[S.USED] += 1
    return state[S.USED] - 1


@inlined
def _write_down(place, state, marks, taken, ids, was, hot, cold, journal, journal_cold):
    """Into the journal, unless the place is there already: see `sides.Journal`."""
    if marks[place] != state[S.MARK]:
        marks[place] = state[S.MARK]
        line = journal[state[S.WRITTEN]]
        line[0], line[1] = place, taken[place]
        n = 2
        for word in range(ID_WORDS):
            line[n] = ids[place, word]
            n += 1
        for word in range(was.size):
            line[n] = was[word]
            n += 1
        for column in range(hot.shape[0]):
            line[n] = np.uint64(hot[column, place])
            n += 1
        journal_cold[state[S.WRITTEN]] = cold[place]
        state[S.WRITTEN] += 1


@compiled
def change_places(
    table,
    state,
    free,
    removed,
    taken,
    marks,
    ids,
    maps,
    firsts,
    hot,
    cold,
    journal,
    journal_cold,
    new_ids,
    new_sets,
    new_hot,
    new_cold,
    gone,
    places,
    old_sets,
):
    """Write the new and changed at their places, empty the places of the ids that are `gone`, and keep a journal of it.

    There is room for all. The places come into `places` (-1: an id that was not there), the sets that lay there before
    into `old_sets`, which are empty.
    """
    came, nothing = new_ids.shape[0], np.zeros(new_sets.shape[1], np.uint64)
    for e in range(places.size):
        id_ = new_ids[e] if e < came else gone[e - came]
        place = _find(table, ids, id_)
        is_new = place < 0
        places[e] = place
        if is_new:
            if e >= came:
                continue
            place = _place_for(state, free)
            places[e] = place
        was = old_sets[e]
        if not is_new:
            for number in range(len(maps)):
                _read_bits(maps[number], place, was, firsts[number])
        _write_down(place, state, marks, taken, ids, was, hot, cold, journal, journal_cold)
        sets = new_sets[e] if e < came else nothing
        for number in range(len(maps)):
            _write_bits(maps[number], place, was, sets, firsts[number])
        if e < came:
            for word in range(ID_WORDS):
                ids[place, word] = id_[word]
            for column in range(hot.shape[0]):
                hot[column, place] = new_hot[e, column]
            cold[place] = new_cold[e]
            if is_new:
                taken[place] = True
                _set(table, id_, place)
                state[S.ENTERED] += 1
        else:
            _clear(table, id_, place)
            taken[place] = False
            removed[state[S.REMOVED]] = place
            state[S.REMOVED] += 1
