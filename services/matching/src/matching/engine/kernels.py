"""The inner loops, compiled by numba: the points of a pair, the search for a need, the lists that an offering changes.

They count what `domain.facets` declares, in binary numbers. Where rounding could matter, and for what does not fit the packed
form, they give the most that the pair can have and leave the answer to the plain rules; so they are never wrong, only
sometimes unsure. Tests and `self_check` compare them with the plain rules on random pairs.

Nothing here may read a module's variables that change: numba's cache would keep the old ones. So points come as arguments.
"""

# Types are in layout.py and points.py: numba infers them, and annotations would only repeat them.
# pyright: reportMissingParameterType=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

import math

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from matching.engine.layout import BLOCK, ID_WORDS, KEPT, LOOSE, MIXED, SLOTS, STALE, TIERS, N, O
from matching.engine.points import E

NO_PAIR = -1
"""Instead of a score: a gate fails, or the score is too low to matter."""
UNSURE = 1024
"""Added to the most that a pair can have where only the plain rules can tell."""
LISTED = 10
"""As `domain.shortlist.LENGTH`."""

_NEAR = 1e-9
"""The same number computed in another order differs by less; what is nearer to a step than this is unsure."""
_EXACT = 2.0**44
"""Whole numbers below this can be multiplied by a few hundred and stay exact."""

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
inlined = numba.njit(inline="always", error_model="numpy")


@intrinsic
def _count_bits(_typing, word):
    """How many bits of a 64-bit word are set: one instruction."""

    def generate(_context, builder, _signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


# The points of a pair --------------------------------------------------------------------------------------------------


@inlined
def _in_bits(low, high, bit):
    """Whether the bit is set in two words."""
    word = low if bit < 64 else high
    return (word >> np.uint64(bit & 63)) & np.uint64(1) != np.uint64(0)


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
def _front(technology, standards, asked, languages, left, o_technologies, o_served, o_standards, o_languages, o_lead, earned):
    """What the hot columns tell: technology, country, lead time, standards and language. `o_…` are the offering's."""
    points = earned[E.SAME_TECHNOLOGY] if o_technologies & technology else earned[E.SAME_GROUP]
    points += earned[E.SERVED] if o_served else earned[E.OF_INTEREST]
    points += _lead_time(left, o_lead, earned)
    if asked == 0:
        points += earned[E.NO_STANDARD_ASKED]
    else:
        held = np.int64(_count_bits(o_standards & standards))
        points += earned[E.NONE_HELD] if held == 0 else earned[E.ALL_HELD] * held // asked
    if o_languages & languages:
        points += earned[E.SHARED_LANGUAGE]
    else:
        points += earned[E.NO_SHARED_LANGUAGE] if o_languages else earned[E.NO_LANGUAGE]
    return points


@inlined
def _loose_front(technology, left, o_technologies, country, o_lead, earned):
    """The most that a pair can have of which only technology, country and lead time are known."""
    points = earned[E.SAME_TECHNOLOGY] if o_technologies & technology else earned[E.SAME_GROUP]
    lost = earned[E.MOST_TECHNOLOGY] - points
    lost += earned[E.MOST_COUNTRY] - country
    lost += earned[E.MOST_LEAD_TIME] - _lead_time(left, o_lead, earned)
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
        if need["or_next"][n]:
            continue
        if suits:
            met += 1
        elif need["mandatory"][n]:
            return np.int64(NO_PAIR)
        suits = False
    return earned[E.ALL_MET] * met // np.int64(need["requirements"])


@inlined
def _is_whole(number):
    return math.floor(number) == number and number < _EXACT


@inlined
def _total(need, offering):
    """What the need's quantity costs, in the offering's currency. It reaches the first tier."""
    quantity = need["quantity"]
    if not offering["incremental"]:
        tier = 0
        while tier + 1 < TIERS and offering["from_quantity"][tier + 1] <= quantity:
            tier += 1
        return quantity * offering["unit_price"][tier]
    total, begin = 0.0, 0.0
    for tier in range(offering["tiers"]):
        end = quantity
        if tier + 1 < TIERS and offering["from_quantity"][tier + 1] < quantity:
            end = offering["from_quantity"][tier + 1]
        total += (end - begin) * offering["unit_price"][tier]
        begin = end
    return total


@inlined
def _price(need, offering, earned, price, largest_total, per_usd, rate_day):
    """UNSURE is added where a step is too near to be told."""
    if offering["tiers"] == 0:
        return earned[E.NO_PRICE]
    if need["quantity"] < offering["from_quantity"][0]:
        return earned[E.BELOW_FIRST_TIER]
    total = _total(need, offering)
    if total > largest_total * (1 - _NEAR):
        return earned[E.MOST_PRICE] + UNSURE if total < largest_total * (1 + _NEAR) else earned[E.TOTAL_TOO_LARGE]
    budget = need["budget"]
    if math.isnan(budget):
        return earned[E.NO_BUDGET]
    cost, origin, target = total, offering["currency"], need["currency"]
    if origin != target:
        oldest = np.int64(need["today"]) - earned[E.OLDEST_RATE_DAYS]
        for currency in (origin, target):
            if rate_day[currency] == 0:
                return earned[E.NO_RATE]
            if rate_day[currency] < oldest:
                return earned[E.OLD_RATE]
        cost = total * per_usd[target] / per_usd[origin]
    if budget == 0:
        return price[300] if cost == 0 else earned[E.FAR_ABOVE_BUDGET]
    parts = 300 * cost / budget
    if parts >= price.size:
        return earned[E.FAR_ABOVE_BUDGET]
    nearest = math.floor(parts + 0.5)
    step = np.int64(math.ceil(parts))
    unsure = np.int64(0)
    if abs(parts - nearest) <= _NEAR * max(1.0, parts):
        step = np.int64(nearest)
        exact = origin == target and _is_whole(total) and _is_whole(budget) and not offering["incremental"]
        if exact and _is_whole(need["quantity"]):
            step += np.int64(300 * total > nearest * budget)
        else:
            unsure = np.int64(UNSURE)
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
    quantity, minimum, maximum = need["quantity"], offering["minimum"], offering["maximum"]
    if quantity < minimum:
        return _share(earned[E.TOO_FEW], quantity, minimum)
    if quantity > maximum:
        return _share(earned[E.TOO_MANY], maximum, quantity)
    if math.isnan(minimum):
        return earned[E.NO_LIMITS] if math.isnan(maximum) else earned[E.BELOW_MAXIMUM]
    return earned[E.ABOVE_MINIMUM] if math.isnan(maximum) else earned[E.WITHIN_ORDERS]


@inlined
def _whole_score(front, need, offering, at_least, earned, price, largest_total, per_usd, rate_day):
    """The score of a pair whose country fits; NO_PAIR below `at_least`."""
    spare = front + earned[E.MOST_IN_COLD] - at_least
    if offering["wide"]:
        return front + earned[E.MOST_IN_COLD] + UNSURE if spare >= 0 else np.int64(NO_PAIR)
    specification = _specification(need, offering, earned)
    if specification < 0:
        return np.int64(NO_PAIR)
    spare -= earned[E.MOST_SPECIFICATION] - specification
    if spare < 0:
        return np.int64(NO_PAIR)
    unsure = np.int64(0)
    of_price = _price(need, offering, earned, price, largest_total, per_usd, rate_day)
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
    return front + specification + of_price + of_quantity + unsure


@compiled
def score_pairs(need_hot, need_cold, slot, hot, cold, rows, earned, price, largest_total, per_usd, rate_day, scores):
    """The score of one need with every offering, as the searches count it: into `scores`, NO_PAIR and UNSURE as said above."""
    technology, standards = need_hot[N.TECHNOLOGY, slot], need_hot[N.STANDARDS, slot]
    asked, languages = np.int64(need_hot[N.STANDARDS_ASKED, slot]), need_hot[N.LANGUAGES, slot]
    left, country = np.int64(need_hot[N.DAYS_LEFT, slot]), np.int64(need_hot[N.COUNTRY, slot])
    for row in range(rows):
        scores[row] = NO_PAIR
        if _in_bits(hot[O.REACHED, row], hot[O.REACHED + 1, row], country):
            front = _front(
                technology,
                standards,
                asked,
                languages,
                left,
                hot[O.TECHNOLOGIES, row],
                _in_bits(hot[O.SERVED, row], hot[O.SERVED + 1, row], country),
                hot[O.STANDARDS, row],
                hot[O.LANGUAGES, row],
                np.int64(hot[O.LEAD_TIME, row]),
                earned,
            )
            scores[row] = _whole_score(front, need_cold[slot], cold[row], 0, earned, price, largest_total, per_usd, rate_day)


# Lists -----------------------------------------------------------------------------------------------------------------


@inlined
def _id_before(a, b):
    """Whether the id `a` comes before `b`."""
    for word in range(ID_WORDS):
        if a[word] != b[word]:
            return a[word] < b[word]
    return False


@inlined
def _enter(kept, score, row, cold):
    """Put an offering into a list that it belongs on, by score, then by id. On overflow the floor rises to the last kept."""
    length = np.int64(kept["length"])
    place = length
    while place > 0:
        before = np.int64(kept["score"][place - 1])
        if before > score or (before == score and not _id_before(cold[row]["id"], cold[kept["row"][place - 1]]["id"])):
            break
        place -= 1
    if place < KEPT:
        last = min(length, KEPT - 1)
        for n in range(last, place, -1):
            kept["row"][n] = kept["row"][n - 1]
            kept["score"][n] = kept["score"][n - 1]
        kept["row"][place] = row
        kept["score"][place] = score
        kept["length"] = last + 1
    if length == KEPT:
        _raise_floor(kept, cold)


@inlined
def _raise_floor(kept, cold):
    """To the last that is kept."""
    kept["has_floor"] = True
    kept["floor_score"] = kept["score"][KEPT - 1]
    for word in range(ID_WORDS):
        kept["floor_id"][word] = cold[kept["row"][KEPT - 1]]["id"][word]


@inlined
def _leave(kept, row):
    """Take an offering off a list; whether it was on it."""
    length = np.int64(kept["length"])
    for place in range(length):
        if kept["row"][place] == row:
            for n in range(place, length - 1):
                kept["row"][n] = kept["row"][n + 1]
                kept["score"][n] = kept["score"][n + 1]
            kept["length"] = length - 1
            return True
    return False


@inlined
def _is_below_floor(kept, score, row, cold):
    if not kept["has_floor"]:
        return False
    floor = np.int64(kept["floor_score"])
    return score < floor or (score == floor and _id_before(kept["floor_id"], cold[row]["id"]))


@compiled
def enter_judged(kept, need_hot, slot, score, row, cold):
    """Put in an offering that the plain rules judged, if it belongs on the list; whether it did."""
    if _is_below_floor(kept[slot], np.int64(score), row, cold):
        return False
    _enter(kept[slot], np.int64(score), np.int32(row), cold)
    if kept[slot]["has_floor"]:
        need_hot[N.FLOOR, slot] = kept[slot]["floor_score"]
    return True


@compiled
def raise_floor(kept, need_hot, slot, cold):
    """The list is full: only who ranks with its last or better can belong there from now on."""
    _raise_floor(kept[slot], cold)
    need_hot[N.FLOOR, slot] = kept[slot]["floor_score"]


# Search: the best offerings for a need ---------------------------------------------------------------------------------


@inlined
def _most_in_block(block, need_hot, need, slot, earned, price, per_usd, rate_day):
    """The most that any offering of the block can have; NO_PAIR where the country is out of reach of all."""
    country = np.int64(need_hot[N.COUNTRY, slot])
    if not _in_bits(block["reached"][0], block["reached"][1], country):
        return np.int64(NO_PAIR)
    technology, standards = need_hot[N.TECHNOLOGY, slot], need_hot[N.STANDARDS, slot]
    points = earned[E.SAME_TECHNOLOGY] if block["technologies"] & technology else earned[E.SAME_GROUP]
    points += earned[E.SERVED] if _in_bits(block["served"][0], block["served"][1], country) else earned[E.OF_INTEREST]
    left = np.int64(need_hot[N.DAYS_LEFT, slot])
    in_time = _lead_time(left, block["lead_time"], earned)
    points += max(in_time, earned[E.NO_LEAD_TIME]) if block["no_lead_time"] else in_time
    asked = np.int64(need_hot[N.STANDARDS_ASKED, slot])
    if asked == 0:
        points += earned[E.NO_STANDARD_ASKED]
    else:
        held = np.int64(_count_bits(block["standards"] & standards))
        points += earned[E.NONE_HELD] if held == 0 else earned[E.ALL_HELD] * held // asked
    if block["languages"] & need_hot[N.LANGUAGES, slot]:
        points += earned[E.SHARED_LANGUAGE]
    else:
        points += earned[E.NO_LANGUAGE] if block["no_language"] else earned[E.NO_SHARED_LANGUAGE]
    if block["wide"]:
        return points + earned[E.MOST_IN_COLD]
    points += earned[E.MOST_QUANTITY]
    points += _best_price_in_block(block, need, earned, price, per_usd, rate_day)
    of_requirements = _best_specification_in_block(block, need, earned)
    return points + of_requirements if of_requirements >= 0 else np.int64(NO_PAIR)


@inlined
def _best_price_in_block(block, need, earned, price, per_usd, rate_day):
    most = earned[E.MOST_PRICE]
    origin, target, budget = block["currency"], need["currency"], need["budget"]
    if math.isnan(budget):
        return max(earned[E.NO_BUDGET], earned[E.NO_PRICE])
    if origin == MIXED or budget == 0:
        return most
    cheapest = block["cheapest"] * need["quantity"]
    if origin != target:
        if rate_day[origin] == 0 or rate_day[target] == 0:
            return most
        cheapest = cheapest * per_usd[target] / per_usd[origin]
    parts = 300 * cheapest / budget * (1 - _NEAR)
    of_price = price[np.int64(math.ceil(parts))] if parts < price.size - 1 else earned[E.FAR_ABOVE_BUDGET]
    return max(of_price, max(earned[E.NO_PRICE], earned[E.BELOW_FIRST_TIER]))


@inlined
def _best_specification_in_block(block, need, earned):
    if need["requirements"] == 0:
        return earned[E.NOTHING_ASKED]
    met = np.int64(0)
    suits = False
    for n in range(need["asks"]):
        slot = need["slot"][n]
        suits |= need["low"][n] <= block["highest"][slot] and need["high"][n] >= block["lowest"][slot]
        if need["or_next"][n]:
            continue
        if suits:
            met += 1
        elif need["mandatory"][n]:
            return np.int64(NO_PAIR)
        suits = False
    return earned[E.ALL_MET] * met // np.int64(need["requirements"])


@compiled
def search(
    need_hot, need_cold, slot, kept, hot, cold, bounds, blocks, earned, price, largest_total, per_usd, rate_day, work, doubts
):
    """Find the best for the need at `slot` among all offerings, block by block, the most promising first.

    `kept[slot]` becomes its list. `work`: int64, twice as long as there are blocks, for their order. Returns how many pairs
    were unsure and could belong on the list, row and most in `doubts`; minus that number where they were more than it has
    room for.
    """
    need, mine = need_cold[slot], kept[slot]
    mine["length"] = 0
    mine["has_floor"] = False
    most, order = work[:blocks], work[blocks : 2 * blocks]
    possible = earned[E.POSSIBLE]
    begins = np.zeros(possible + 2, np.int64)
    for block in range(blocks):
        most[block] = _most_in_block(bounds[block], need_hot, need, slot, earned, price, per_usd, rate_day)
        if most[block] >= 0:
            begins[possible - most[block] + 1] += 1
    for points in range(possible + 1):
        begins[points + 1] += begins[points]
    promising = begins[possible + 1]
    for block in range(blocks):
        if most[block] >= 0:
            order[begins[possible - most[block]]] = block
            begins[possible - most[block]] += 1
    technology, standards = need_hot[N.TECHNOLOGY, slot], need_hot[N.STANDARDS, slot]
    asked, languages = np.int64(need_hot[N.STANDARDS_ASKED, slot]), need_hot[N.LANGUAGES, slot]
    left, country = np.int64(need_hot[N.DAYS_LEFT, slot]), np.int64(need_hot[N.COUNTRY, slot])
    word, bit = country >> 6, np.uint64(country & 63)
    fronts = np.empty(BLOCK, np.int64)
    floor, unsure = np.int64(0), 0
    for n in range(promising):
        block = order[n]
        if most[block] < floor:
            break
        first = block * BLOCK
        for i in range(BLOCK):
            row = first + i
            reached = (hot[O.REACHED + word, row] >> bit) & np.uint64(1)
            front = _front(
                technology,
                standards,
                asked,
                languages,
                left,
                hot[O.TECHNOLOGIES, row],
                (hot[O.SERVED + word, row] >> bit) & np.uint64(1),
                hot[O.STANDARDS, row],
                hot[O.LANGUAGES, row],
                np.int64(hot[O.LEAD_TIME, row]),
                earned,
            )
            fronts[i] = front if reached else np.int64(-1000)
        for i in range(BLOCK):
            if fronts[i] + earned[E.MOST_IN_COLD] < floor or fronts[i] < 0:
                continue
            row = first + i
            score = _whole_score(fronts[i], need, cold[row], floor, earned, price, largest_total, per_usd, rate_day)
            if score == NO_PAIR:
                continue
            if score >= UNSURE:
                if unsure < doubts.shape[0]:
                    doubts[unsure, 0] = row
                    doubts[unsure, 1] = score - UNSURE
                unsure += 1
            elif not _is_below_floor(mine, score, row, cold):
                _enter(mine, score, np.int32(row), cold)
                if mine["length"] == KEPT:
                    _raise_floor(mine, cold)
                    floor = np.int64(mine["floor_score"])
    need_hot[N.FLOOR, slot] = floor
    need_hot[N.FLAGS, slot] &= ~np.uint64(STALE)
    return unsure if unsure <= doubts.shape[0] else -unsure


@compiled
def loose_bounds(need_hot, any_country, slot, hot, rows, earned, most):
    """For a loose need: the most that each offering can have, NO_PAIR where it cannot be proposed, into `most`."""
    technology, left = need_hot[N.TECHNOLOGY, slot], np.int64(need_hot[N.DAYS_LEFT, slot])
    country = np.int64(need_hot[N.COUNTRY, slot])
    for row in range(rows):
        most[row] = NO_PAIR
        if not hot[O.TECHNOLOGIES, row]:
            continue
        of_country = earned[E.MOST_COUNTRY]
        if not any_country:
            if not _in_bits(hot[O.REACHED, row], hot[O.REACHED + 1, row], country):
                continue
            served = _in_bits(hot[O.SERVED, row], hot[O.SERVED + 1, row], country)
            of_country = earned[E.SERVED] if served else earned[E.OF_INTEREST]
        lead_time = np.int64(hot[O.LEAD_TIME, row])
        most[row] = _loose_front(technology, left, hot[O.TECHNOLOGIES, row], of_country, lead_time, earned)


# Percolation: the lists that changed offerings change ------------------------------------------------------------------


@inlined
def _remember(slot, kept, before, before_slot, marks, mark, n):
    """Keep the list as it was before this transaction changed it; returns how many are kept so."""
    if marks[slot] == mark:
        return n
    marks[slot] = mark
    before[n] = kept[slot]
    before_slot[n] = slot
    return n + 1


@compiled
def percolate(
    old_hot,
    old_cold,
    rows,
    begin,
    hot,
    cold,
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
    state,
):
    """Take what changed at `rows` (before: `old_…`, as long as `rows`; now: in `hot` and `cold`) into every list it touches.

    Goes on from the offering `begin[0]` and the need `begin[1]`. Returns False where `before` or `doubts` have no more room;
    `begin` says then where to go on. `state`: how many lists are remembered, how many pairs are unsure.
    """
    fronts, olds = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    in_cold = earned[E.MOST_IN_COLD]
    for e in range(begin[0], rows.size):
        row = rows[e]
        start = begin[1] if e == begin[0] else 0
        new_lead, old_lead = np.int64(hot[O.LEAD_TIME, row]), np.int64(old_hot[O.LEAD_TIME, e])
        for first in range(start, needs, BLOCK):
            if remembered[0] + BLOCK > before_slot.size or state[0] + BLOCK > doubts.shape[0]:
                begin[0], begin[1] = e, first
                return False
            last = min(first + BLOCK, needs)
            promising = False
            for i in range(last - first):
                slot = first + i
                technology, standards = need_hot[N.TECHNOLOGY, slot], need_hot[N.STANDARDS, slot]
                asked, languages = np.int64(need_hot[N.STANDARDS_ASKED, slot]), need_hot[N.LANGUAGES, slot]
                left, country = np.int64(need_hot[N.DAYS_LEFT, slot]), np.int64(need_hot[N.COUNTRY, slot])
                floor = np.int64(need_hot[N.FLOOR, slot]) - in_cold
                new = _front(
                    technology,
                    standards,
                    asked,
                    languages,
                    left,
                    hot[O.TECHNOLOGIES, row],
                    _in_bits(hot[O.SERVED, row], hot[O.SERVED + 1, row], country),
                    hot[O.STANDARDS, row],
                    hot[O.LANGUAGES, row],
                    new_lead,
                    earned,
                )
                old = _front(
                    technology,
                    standards,
                    asked,
                    languages,
                    left,
                    old_hot[O.TECHNOLOGIES, e],
                    _in_bits(old_hot[O.SERVED, e], old_hot[O.SERVED + 1, e], country),
                    old_hot[O.STANDARDS, e],
                    old_hot[O.LANGUAGES, e],
                    old_lead,
                    earned,
                )
                new_reaches = _in_bits(hot[O.REACHED, row], hot[O.REACHED + 1, row], country)
                old_reaches = _in_bits(old_hot[O.REACHED, e], old_hot[O.REACHED + 1, e], country)
                fronts[i] = new if new_reaches and new >= floor else np.int64(NO_PAIR)
                olds[i] = old if old_reaches and old >= floor else np.int64(NO_PAIR)
                if need_hot[N.FLAGS, slot] != 0:  # the whole list is looked through, and a loose need asks the plain rules
                    olds[i] = UNSURE
                    if need_hot[N.FLAGS, slot] & np.uint64(LOOSE):
                        fronts[i] = UNSURE
                if technology == 0:
                    fronts[i] = olds[i] = NO_PAIR
                promising |= fronts[i] >= 0 or olds[i] >= 0
            if not promising:
                continue
            for i in range(last - first):
                if fronts[i] < 0 and olds[i] < 0:
                    continue
                slot = first + i
                need, mine = need_cold[slot], kept[slot]
                floor = np.int64(need_hot[N.FLOOR, slot])
                if olds[i] >= 0:
                    was_on = True
                    if olds[i] < UNSURE:
                        score = _whole_score(olds[i], need, old_cold[e], floor, earned, price, largest_total, per_usd, rate_day)
                        was_on = score != NO_PAIR
                    if was_on:
                        for place in range(mine["length"]):
                            if mine["row"][place] == row:
                                remembered[0] = _remember(slot, kept, before, before_slot, marks, mark, remembered[0])
                                _leave(mine, row)
                                break
                if fronts[i] < 0:
                    continue
                if fronts[i] == UNSURE:  # a loose need
                    score = np.int64(UNSURE) + earned[E.POSSIBLE]
                    if not hot[O.TECHNOLOGIES, row]:
                        continue
                else:
                    score = _whole_score(fronts[i], need, cold[row], floor, earned, price, largest_total, per_usd, rate_day)
                if score == NO_PAIR:
                    continue
                if score >= UNSURE:
                    doubts[state[0], 0] = slot
                    doubts[state[0], 1] = row
                    state[0] += 1
                elif not _is_below_floor(mine, score, row, cold):
                    remembered[0] = _remember(slot, kept, before, before_slot, marks, mark, remembered[0])
                    _enter(mine, score, np.int32(row), cold)
                    if mine["has_floor"]:
                        need_hot[N.FLOOR, slot] = mine["floor_score"]
    return True


# Bounds of blocks, and the places of ids -------------------------------------------------------------------------------


@compiled
def bound_blocks(blocks, hot, cold, bounds):
    """Work out the bounds of these blocks anew."""
    for n in range(blocks.size):
        block = bounds[blocks[n]]
        for word in range(2):
            block["served"][word] = block["reached"][word] = 0
        block["technologies"] = block["standards"] = block["languages"] = 0
        block["no_language"] = block["wide"] = block["no_lead_time"] = False
        block["lead_time"] = np.int64(2**40)
        block["cheapest"] = np.inf
        for slot in range(SLOTS):
            block["lowest"][slot], block["highest"][slot] = np.inf, -np.inf
        currency = np.int64(-1)
        for row in range(blocks[n] * BLOCK, (blocks[n] + 1) * BLOCK):
            if hot[O.TECHNOLOGIES, row] == 0:
                continue
            block["technologies"] |= hot[O.TECHNOLOGIES, row]
            for word in range(2):
                block["served"][word] |= hot[O.SERVED + word, row]
                block["reached"][word] |= hot[O.REACHED + word, row]
            block["standards"] |= hot[O.STANDARDS, row]
            block["languages"] |= hot[O.LANGUAGES, row]
            if hot[O.LANGUAGES, row] == 0:
                block["no_language"] = True
            lead_time = np.int64(hot[O.LEAD_TIME, row])
            if lead_time < 0:
                block["no_lead_time"] = True
            else:
                block["lead_time"] = min(block["lead_time"], lead_time)
            one = cold[row]
            if one["wide"]:
                block["wide"] = True
            for slot in range(SLOTS):
                value = one["values"][slot]
                if not math.isnan(value):
                    block["lowest"][slot] = min(block["lowest"][slot], value)
                    block["highest"][slot] = max(block["highest"][slot], value)
            if one["tiers"] > 0:
                if currency == -1:
                    currency = np.int64(one["currency"])
                elif currency != one["currency"]:
                    currency = np.int64(MIXED)
                for tier in range(one["tiers"]):
                    block["cheapest"] = min(block["cheapest"], one["unit_price"][tier])
        block["currency"] = MIXED if currency == -1 else currency


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
def find_places(table, cold, ids, places):
    """The place of each id in `cold`, -1 where it is not there. `table`: open addressing, place + 1, 0: empty, -1: was taken."""
    mask = table.size - 1
    for n in range(ids.shape[0]):
        places[n] = -1
        at = _hash(ids[n], mask)
        while table[at] != 0:
            if table[at] > 0 and _same_id(cold[table[at] - 1]["id"], ids[n]):
                places[n] = table[at] - 1
                break
            at = (at + 1) & mask


@compiled
def set_places(table, cold, places):
    """Enter what lies at these places of `cold`."""
    mask = table.size - 1
    for n in range(places.size):
        at = _hash(cold[places[n]]["id"], mask)
        while table[at] > 0:
            at = (at + 1) & mask
        table[at] = places[n] + 1


@compiled
def clear_places(table, cold, places):
    """Forget what lies at these places of `cold`."""
    mask = table.size - 1
    for n in range(places.size):
        at = _hash(cold[places[n]]["id"], mask)
        while table[at] != 0:
            if table[at] == places[n] + 1:
                table[at] = -1
                break
            at = (at + 1) & mask
