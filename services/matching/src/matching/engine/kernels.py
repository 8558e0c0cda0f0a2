"""The inner loops, compiled by numba: the points of a pair, the search for a need, the lists that an offering changes.

They count what `domain.facets` declares, in binary numbers. Where rounding could matter, and for what does not fit the packed
form, they give the most that the pair can have and leave the answer to the plain rules; so they are never wrong, only
sometimes unsure. Tests and `self_check` compare them with the plain rules on random pairs.

Nothing here may read a module's variables that change: numba's cache would keep the old ones. So points come as arguments.
"""

# Types are in layout.py and points.py: numba infers them, and annotations would only repeat them.
# pyright: reportMissingParameterType=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

import math

import numpy as np

from matching.engine.compiling import compiled, fetch, fetch_line, first_bit, inlined
from matching.engine.layout import (
    BLOCK,
    CURRENCIES,
    ID_WORDS,
    KEPT,
    LEAD_TIME,
    OFFERING_MAPS,
    STANDARDS_ASKED,
    TIERS,
    N,
)
from matching.engine.points import E
from matching.engine.telling import LISTED

NO_PAIR = -1
"""Instead of a score: a gate fails, or the score is too low to matter."""
UNSURE = 1024
"""Added to the most that a pair can have where only the plain rules can tell."""

PARTS = 300.0
_NEAR = 1e-9
"""The same number computed in another order differs by less; what is nearer to a step than this is unsure."""
_EXACT = 2.0**44
"""Whole numbers below this can be multiplied by a few hundred and stay exact."""

# The points of a pair --------------------------------------------------------------------------------------------------


@inlined
def _lead_time(left, lead_time, earned):
    if lead_time < 0:
        return earned[E.NO_LEAD_TIME]
    spare = left - lead_time
    if spare >= earned[E.SPARE_1_DAYS]:
        return earned[E.SPARE_1]
    if spare >= earned[E.SPARE_2_DAYS]:
        return earned[E.SPARE_2]
    if spare >= 0:
        return earned[E.SPARE_3]
    return max(np.int64(0), earned[E.LATE] - (-spare) // earned[E.DAYS_LATE_PER_POINT])


@inlined
def _front(same, served, held, asked, shared, states_none, left, lead_time, earned):
    """What bitmaps and hot columns tell: technology, country, standards, language and lead time."""
    points = earned[E.SAME_TECHNOLOGY] if same else earned[E.SAME_GROUP]
    points += earned[E.SERVED] if served else earned[E.OF_INTEREST]
    if shared:
        points += earned[E.SHARED_LANGUAGE]
    else:
        points += earned[E.NO_LANGUAGE] if states_none else earned[E.NO_SHARED_LANGUAGE]
    return points + _standards(held, asked, earned) + _lead_time(left, lead_time, earned)


@inlined
def _standards(held, asked, earned):
    if asked == 0:
        return earned[E.NO_STANDARD_ASKED]
    return earned[E.NONE_HELD] if held == 0 else earned[E.ALL_HELD] * held // asked


@inlined
def _loose_front(same, served, left, lead_time, earned):
    """The most that a pair can have of which only technology, country and lead time are known."""
    lost = earned[E.MOST_TECHNOLOGY] - (earned[E.SAME_TECHNOLOGY] if same else earned[E.SAME_GROUP])
    lost += earned[E.MOST_COUNTRY] - (earned[E.SERVED] if served else earned[E.OF_INTEREST])
    lost += earned[E.MOST_LEAD_TIME] - _lead_time(left, lead_time, earned)
    return earned[E.POSSIBLE] - lost


@inlined
def _specification(need, offering, earned):
    """NO_PAIR where a mandatory requirement is not met. What is not stated is no number, and no number lies between two."""
    if need["requirements"] == 0:
        return earned[E.NOTHING_ASKED]
    met = np.int64(0)
    suits = False
    for n in range(need["asks"]):
        value = offering["values"][need["slot"][n]]
        suits |= need["low"][n] <= value <= need["high"][n]
        if need["or_next"] >> n & 1:
            continue
        if suits:
            met += 1
        elif need["mandatory"] >> n & 1:
            return np.int64(NO_PAIR)
        suits = False
    return earned[E.ALL_MET] * met // np.int64(need["requirements"])


@inlined
def _is_whole(number):
    return math.floor(number) == number and number < _EXACT


@inlined
def _compared(need, origin, earned, per_usd, rate_day):
    """How many 300ths of the need's budget one unit of the currency `origin` is; not a number where they are not compared,
    and then the points for that."""
    target, budget = need["currency"], need["budget"]
    if math.isnan(budget):
        return np.nan, earned[E.NO_BUDGET]
    if origin == target:
        return PARTS / budget, np.int64(0)
    oldest = np.int64(need["today"]) - earned[E.OLDEST_RATE_DAYS]
    for currency in (origin, target):
        if rate_day[currency] == 0:
            return np.nan, earned[E.NO_RATE]
        if rate_day[currency] < oldest:
            return np.nan, earned[E.OLD_RATE]
    return PARTS / budget * per_usd[target] / per_usd[origin], np.int64(0)


_TEN_TO = np.array([10.0**power for power in range(-128, 128)])


@inlined
def _total_of_tiers(offering, tier, quantity):
    """Each tier prices its own; what is below the second costs the first."""
    total, begin = 0.0, 0.0
    for n in range(tier):
        end = np.float64(offering["from_quantity"][n + 1])
        total += (end - begin) * offering["unit_price"][n]
        begin = end
    return total + (quantity - begin) * offering["unit_price"][tier]


@inlined
def _price(need, offering, parts_of_one, not_compared, earned, price, largest_total):
    """UNSURE is added where a step is too near to be told. The first numbers are from `_compared`."""
    quantity = need["quantity"]
    tier = -1
    for n in range(TIERS):
        tier += offering["from_quantity"][n] <= quantity
    if tier < 0:
        return earned[E.NO_PRICE] if offering["tiers"] == 0 else earned[E.BELOW_FIRST_TIER]
    total = quantity * offering["unit_price"][tier]
    if offering["incremental"]:
        total = _total_of_tiers(offering, tier, quantity)
    total *= _TEN_TO[offering["price_power"] + 128]
    if total > largest_total * (1 - _NEAR):
        return earned[E.MOST_PRICE] + UNSURE if total < largest_total * (1 + _NEAR) else earned[E.TOTAL_TOO_LARGE]
    if math.isnan(parts_of_one):
        return not_compared
    parts = total * parts_of_one
    if not parts < price.size:  # or 0 of 0: the budget is nothing
        return earned[E.FAR_ABOVE_BUDGET] if total > 0 else price[np.int64(PARTS)]
    step = np.int64(parts)
    part = parts - step
    near = _NEAR * (1 + parts)
    if near < part < 1 - near:
        return price[step + 1] if step + 1 < price.size else earned[E.FAR_ABOVE_BUDGET]
    return _price_at_step(need, offering, total, step + np.int64(part > 0.5), earned, price)


@compiled
def _price_at_step(need, offering, total, step, earned, price):
    """A price on a step, or too near to it: sure only if whole numbers in one currency tell."""
    unsure = np.int64(UNSURE)
    same_currency = offering["currency"] == need["currency"] and not offering["incremental"]
    if same_currency and _is_whole(total) and _is_whole(need["budget"]) and _is_whole(need["quantity"]):
        step += np.int64(PARTS * total > step * need["budget"])
        unsure = np.int64(0)
    return (price[step] if step < price.size else earned[E.FAR_ABOVE_BUDGET]) + unsure


@inlined
def _share(points, part, whole):
    """So much of the points as is had of the whole, rounded down. UNSURE is added where that is too near to be told."""
    share = points * part / whole
    nearest = math.floor(share + 0.5)
    if abs(share - nearest) > _NEAR or (_is_whole(part) and _is_whole(whole)):
        return np.int64(math.floor(share))
    return np.int64(nearest) + UNSURE


@inlined
def _quantity(need, offering, earned):
    quantity, minimum, maximum = need["quantity"], np.float64(offering["minimum"]), np.float64(offering["maximum"])
    if quantity < minimum:
        return _share(earned[E.TOO_FEW], quantity, minimum)
    if quantity > maximum:
        return _share(earned[E.TOO_MANY], maximum, quantity)
    if math.isnan(minimum):
        return earned[E.NO_LIMITS] if math.isnan(maximum) else earned[E.BELOW_MAXIMUM]
    return earned[E.ABOVE_MINIMUM] if math.isnan(maximum) else earned[E.WITHIN_ORDERS]


@inlined
def _whole_score(front, need, offering, at_least, parts_of_one, not_compared, earned, price, largest_total):
    """The score of a pair whose country fits; NO_PAIR below `at_least`. For `parts_of_one` see `_compared`."""
    spare = front + earned[E.MOST_IN_COLD] - at_least
    if offering["wide"]:
        return front + earned[E.MOST_IN_COLD] + UNSURE if spare >= 0 else np.int64(NO_PAIR)
    unsure = np.int64(0)
    of_price = _price(need, offering, parts_of_one, not_compared, earned, price, largest_total)
    if of_price >= UNSURE:
        of_price -= UNSURE
        unsure = np.int64(UNSURE)
    spare -= earned[E.MOST_PRICE] - of_price
    if spare < 0:
        return np.int64(NO_PAIR)
    of_quantity = _quantity(need, offering, earned)
    if of_quantity >= UNSURE:
        of_quantity -= UNSURE
        unsure = np.int64(UNSURE)
    spare -= earned[E.MOST_QUANTITY] - of_quantity
    if spare < 0:
        return np.int64(NO_PAIR)
    specification = _specification(need, offering, earned)
    if specification < 0:
        return np.int64(NO_PAIR)
    spare -= earned[E.MOST_SPECIFICATION] - specification
    if spare < 0:
        return np.int64(NO_PAIR)
    return front + of_price + of_quantity + specification + unsure


@inlined
def _bit(bitmap, place):
    return (bitmap[place >> 6] >> np.uint64(place & 63)) & np.uint64(1) != np.uint64(0)


@inlined
def _speaks(languages, need, block):
    """Whose language the need shares, in a block."""
    word = np.uint64(0)
    for n in range(need["languages"]):
        word |= languages[need["language"][n], block]
    return word


@inlined
def _standards_held(standards, need, place):
    held = np.int64(0)
    for n in range(need["standards"]):
        held += np.int64(_bit(standards[need["standard"][n]], place))
    return held


@inlined
def _front_at(need, left, place, maps, lead_times, earned):
    """The same for the offering at this place, which reaches the need's country."""
    technologies, served, _, standards, languages = maps
    return _front(
        _bit(technologies[need["technology"]], place),
        _bit(served[need["country"]], place),
        _standards_held(standards, need, place),
        np.int64(need["standards"]),
        (_speaks(languages, need, place >> 6) >> np.uint64(place & 63)) & np.uint64(1) != np.uint64(0),
        _bit(languages[0], place),
        left,
        lead_times[place],
        earned,
    )


@compiled
def score_pairs(need_hot, need_cold, slot, maps, lead_times, cold, used, earned, price, largest_total, per_usd, rate_day, scores):
    """The score of one need with every offering, as the searches count it: into `scores`, NO_PAIR and UNSURE as said above."""
    need, reached = need_cold[slot], maps[2][need_cold[slot]["country"]]
    for place in range(used):
        scores[place] = NO_PAIR
        if _bit(reached, place):
            front = _front_at(need, need_hot[N.DAYS_LEFT, slot], place, maps, lead_times, earned)
            parts, none = _compared(need, cold[place]["currency"], earned, per_usd, rate_day)
            scores[place] = _whole_score(front, need, cold[place], 0, parts, none, earned, price, largest_total)


# Lists -----------------------------------------------------------------------------------------------------------------


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
def _enter(kept, score, row, room, cold, ids):
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
def _raise_floor(kept, room, ids):
    """To the last that is kept."""
    kept["has_floor"] = True
    kept["floor_score"] = kept["score"][room - 1]
    for word in range(ID_WORDS):
        kept["floor_id"][word] = ids[kept["row"][room - 1], word]


@inlined
def _leave(kept, row):
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
def _is_on(kept, row):
    """Whether the list has this offering; without a jump, so that it takes three instructions."""
    found = False
    for place in range(KEPT):
        found |= kept["row"][place] == row
    return found


@inlined
def _is_below_floor(kept, score, row, ids):
    if not kept["has_floor"]:
        return False
    floor = np.int64(kept["floor_score"])
    return score < floor or (score == floor and _id_before(kept["floor_id"], ids[row]))


@compiled
def enter_judged(kept, need_hot, slot, score, row, cold, ids):
    """Put in an offering that the plain rules judged, if it belongs on the list."""
    if not _is_below_floor(kept[slot], np.int64(score), row, ids):
        if _enter(kept[slot], np.int64(score), np.int32(row), KEPT, cold, ids):
            _raise_floor(kept[slot], KEPT, ids)
        if kept[slot]["has_floor"]:
            need_hot[N.FLOOR, slot] = kept[slot]["floor_score"]


@compiled
def raise_floor(kept, need_hot, slot, ids):
    """The list is full: only who ranks with its last or better can belong there from now on."""
    _raise_floor(kept[slot], KEPT, ids)
    need_hot[N.FLOOR, slot] = kept[slot]["floor_score"]


# Search: the best offerings for a need ---------------------------------------------------------------------------------


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
                    front = _front(same, served, held, asked, kind == SHARED, kind == SILENT, 0, -1, earned)
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
            shares[block] = _speaks(languages, need, block)
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
                front = points + _lead_time(left, lead_times[place], earned)
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
        _raise_floor(mine, room, ids)
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
    unsure by now. `parts` and `not_compared`: what `_compared` says of each currency, as far as it was asked."""
    for n in range(waits):
        place, front = waiting[n, 0], waiting[n, 1]
        if front + earned[E.MOST_IN_COLD] < floor:
            continue
        origin = cold[place]["currency"]
        if parts[origin] == 0:
            parts[origin], not_compared[origin] = _compared(need, origin, earned, per_usd, rate_day)
        score = _whole_score(front, need, cold[place], floor, parts[origin], not_compared[origin], earned, price, largest_total)
        if score == NO_PAIR:
            continue
        if score >= UNSURE:
            if unsure < doubts.shape[0]:
                doubts[unsure, 0], doubts[unsure, 1] = place, score - UNSURE
            unsure += 1
        else:
            _enter(kept, score, np.int32(place), room, cold, ids)
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
        if _bit(reached, place):
            most[place] = _loose_front(_bit(technologies, place), _bit(served, place), left, lead_times[place], earned)


# Percolation: the lists that changed offerings change ------------------------------------------------------------------

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


@inlined
def _remember(slot, kept, before, before_slot, marks, mark, remembered):
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
            _remember(slot, kept, before, before_slot, marks, mark, remembered)


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
        front = waiting[w, 1] - known + _standards(held, asked, earned)
        if front + earned[E.MOST_IN_COLD] < floor:
            continue
        parts, none = _compared(need, offering["currency"], earned, per_usd, rate_day)
        score = _whole_score(front, need, offering, floor, parts, none, earned, price, largest_total)
        if score == NO_PAIR:
            continue
        mine = kept[slot]
        if score >= UNSURE:
            doubts[unsure[0], 0], doubts[unsure[0], 1] = slot, place
            unsure[0] += 1
        elif not _is_below_floor(mine, score, place, ids):
            _remember(slot, kept, before, before_slot, marks, mark, remembered)
            if _enter(mine, score, np.int32(place), KEPT, cold, ids):
                _raise_floor(mine, KEPT, ids)
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
                    if _is_on(kept[slot], place):
                        _remember(slot, kept, before, before_slot, marks, mark, remembered)
                        _leave(kept[slot], place)
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
                of_lead_time = _lead_time(need_hot[N.DAYS_LEFT, slot], lead_time, earned)
                points = most[class_] - earned[E.MOST_LEAD_TIME] + of_lead_time
                if loose:
                    if _loose_front(class_ & 1, class_ & 2, need_hot[N.DAYS_LEFT, slot], lead_time, earned) >= floor:
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
