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

from matching.engine.layout import BLOCK, ID_WORDS, KEPT, LEAD_TIME, MIXED, OFFERING_MAPS, SLOTS, TIERS, N
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
def _first_bit(_typing, word):
    """The number of the lowest bit that is set; there is one."""

    def generate(context, builder, _signature, arguments):
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.uint64(types.uint64), generate


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
            scores[place] = _whole_score(front, need, cold[place], 0, earned, price, largest_total, per_usd, rate_day)


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
def _most_in_block(block, bounds, need, left, maps, reached, asked, earned, price, per_usd, rate_day):
    """The most that any offering of the block can have that reaches the need's country; NO_PAIR where none can be proposed."""
    technologies, served, _, standards, languages = maps
    points = earned[E.SAME_TECHNOLOGY] if technologies[need["technology"], block] & reached else earned[E.SAME_GROUP]
    points += earned[E.SERVED] if served[need["country"], block] & reached else earned[E.OF_INTEREST]
    if _speaks(languages, need, block) & reached:
        points += earned[E.SHARED_LANGUAGE]
    else:
        points += earned[E.NO_LANGUAGE] if languages[0, block] & reached else earned[E.NO_SHARED_LANGUAGE]
    held = np.int64(0)
    for n in range(need["standards"]):
        held += np.int64(standards[need["standard"][n], block] & reached != np.uint64(0))
    points += _standards(held, asked, earned)
    in_time = _lead_time(left, np.int64(bounds["lead_time"]), earned)
    points += max(in_time, earned[E.NO_LEAD_TIME]) if bounds["no_lead_time"] else in_time
    if bounds["wide"]:
        return points + earned[E.MOST_IN_COLD]
    of_requirements = _best_specification_in_block(bounds, need, earned)
    if of_requirements < 0:
        return np.int64(NO_PAIR)
    of_price = _best_price_in_block(bounds, need, earned, price, per_usd, rate_day)
    return points + of_requirements + of_price + earned[E.MOST_QUANTITY]


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


@inlined
def _in_question(reached, block, need, maps, spare, earned):
    """Of those that reach the need's country, who can still belong on the list if only `spare` points may be lost."""
    technologies, served, _, _, languages = maps
    left = reached
    if earned[E.MOST_TECHNOLOGY] - earned[E.SAME_GROUP] > spare:
        left &= technologies[need["technology"], block]
    if earned[E.MOST_COUNTRY] - earned[E.OF_INTEREST] > spare:
        left &= served[need["country"], block]
    if earned[E.SHARED_LANGUAGE] - earned[E.NO_SHARED_LANGUAGE] > spare:
        speaks = _speaks(languages, need, block)
        if earned[E.SHARED_LANGUAGE] - earned[E.NO_LANGUAGE] <= spare:
            speaks |= languages[0, block]
        left &= speaks
    return left


@compiled
def search(
    need_hot,
    need_cold,
    slot,
    kept,
    maps,
    lead_times,
    cold,
    bounds,
    blocks,
    earned,
    price,
    largest_total,
    per_usd,
    rate_day,
    work,
    doubts,
):
    """Find the best for the need at `slot` among all offerings, block by block, the most promising first.

    `kept[slot]` becomes its list. `work`: int64, twice as long as there are blocks, for their order. Returns how many pairs
    were unsure and could belong on the list, place and most in `doubts`; minus that number where they were more than it has
    room for.
    """
    need, mine, left = need_cold[slot], kept[slot], need_hot[N.DAYS_LEFT, slot]
    technologies, served, reached, standards, languages = maps
    asked, possible = np.int64(need["standards"]), earned[E.POSSIBLE]
    reach = reached[need["country"]]
    mine["length"] = 0
    mine["has_floor"] = False
    mine["row"][:] = -1
    most, order = work[:blocks], work[blocks : 2 * blocks]
    begins = np.zeros(possible + 2, np.int64)
    for block in range(blocks):
        most[block] = NO_PAIR
        if reach[block]:
            most[block] = _most_in_block(
                block, bounds[block], need, left, maps, reach[block], asked, earned, price, per_usd, rate_day
            )
        if most[block] >= 0:
            begins[possible - most[block] + 1] += 1
    for points in range(possible + 1):
        begins[points + 1] += begins[points]
    promising = begins[possible + 1]
    for block in range(blocks):
        if most[block] >= 0:
            order[begins[possible - most[block]]] = block
            begins[possible - most[block]] += 1
    floor, unsure = np.int64(0), 0
    for n in range(promising):
        block = order[n]
        if most[block] < floor:
            break
        same, serves, none = technologies[need["technology"], block], served[need["country"], block], languages[0, block]
        speaks = _speaks(languages, need, block)
        rest = _in_question(reach[block], block, need, maps, possible - floor, earned)
        while rest:
            bit = _first_bit(rest)
            rest &= rest - np.uint64(1)
            place = block * BLOCK + np.int64(bit)
            held = np.int64(0)
            for n_asked in range(asked):
                held += np.int64((standards[need["standard"][n_asked], block] >> bit) & np.uint64(1))
            front = _front(
                (same >> bit) & np.uint64(1),
                (serves >> bit) & np.uint64(1),
                held,
                asked,
                (speaks >> bit) & np.uint64(1),
                (none >> bit) & np.uint64(1),
                left,
                lead_times[place],
                earned,
            )
            if front + earned[E.MOST_IN_COLD] < floor:
                continue
            score = _whole_score(front, need, cold[place], floor, earned, price, largest_total, per_usd, rate_day)
            if score == NO_PAIR:
                continue
            if score >= UNSURE:
                if unsure < doubts.shape[0]:
                    doubts[unsure, 0] = place
                    doubts[unsure, 1] = score - UNSURE
                unsure += 1
            elif not _is_below_floor(mine, score, place, cold):
                _enter(mine, score, np.int32(place), cold)
                if mine["length"] == KEPT:
                    _raise_floor(mine, cold)
                    floor = np.int64(mine["floor_score"])
    need_hot[N.FLOOR, slot] = floor
    return unsure if unsure <= doubts.shape[0] else -unsure


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
            name = word * 64 + np.int64(_first_bit(rest))
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
def _remember(slot, kept, before, before_slot, marks, mark, remembered):
    """Keep the list as it was before this transaction changed it."""
    if marks[slot] != mark:
        marks[slot] = mark
        before[remembered[0]] = kept[slot]
        before_slot[remembered[0]] = slot
        remembered[0] += 1


@compiled
def percolate(
    old_sets,
    new_sets,
    new_hot,
    places,
    begin,
    cold,
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
):
    """Take the offerings that changed at `places` into every list that they touch.

    `old_sets` has their bitmaps' words as they were (none: they are new), `new_sets` and `new_hot` as they are (none: they are
    gone). Goes on from the offering `begin[0]` and the block of needs `begin[1]`. Returns False where `before` or `doubts`
    (slot and place of pairs that are unsure) have no more room; `begin` says then where to go on.
    """
    technology_of, country_of, language_of = need_maps
    blocks = (needs + BLOCK - 1) // BLOCK
    chosen = np.empty((5, 64 * max(OFFERING_MAPS)), np.int64)
    in_cold = earned[E.MOST_IN_COLD]
    for e in range(begin[0], places.size):
        place, new, old = places[e], new_sets[e], old_sets[e]
        technologies = _named_by(technology_of, new, 0, technology_of.shape[0], chosen[0])
        serves = _named_by(country_of, new, _FIRST_SERVED, country_of.shape[0], chosen[1])
        reaches = _named_by(country_of, new, _FIRST_REACHED, country_of.shape[0], chosen[2])
        reached = _named_by(country_of, old, _FIRST_REACHED, country_of.shape[0], chosen[3])
        speaks = _named_by(language_of, new, _FIRST_LANGUAGE, language_of.shape[0], chosen[4])
        states_none = new[_FIRST_LANGUAGE] & np.uint64(1)
        lead_time = new_hot[e, LEAD_TIME]
        for block in range(begin[1] if e == begin[0] else 0, blocks):
            comes = _any_of(country_of, chosen[2], reaches, block)
            was = _any_of(country_of, chosen[3], reached, block)
            rest = comes | was
            if not rest:
                continue
            if remembered[0] + BLOCK > before_slot.size or unsure[0] + BLOCK > doubts.shape[0]:
                begin[0], begin[1] = e, block
                return False
            same = _any_of(technology_of, chosen[0], technologies, block)
            served = _any_of(country_of, chosen[1], serves, block)
            shared = _any_of(language_of, chosen[4], speaks, block)
            while rest:
                bit = _first_bit(rest)
                rest &= rest - np.uint64(1)
                slot = block * BLOCK + np.int64(bit)
                mine = kept[slot]
                if (was >> bit) & np.uint64(1) and _is_on(mine, place):
                    _remember(slot, kept, before, before_slot, marks, mark, remembered)
                    _leave(mine, place)
                if not (comes >> bit) & np.uint64(1):
                    continue
                need, floor, left = need_cold[slot], need_hot[N.FLOOR, slot], need_hot[N.DAYS_LEFT, slot]
                is_same, is_served = (same >> bit) & np.uint64(1), (served >> bit) & np.uint64(1)
                if need_hot[N.LOOSE, slot]:
                    if _loose_front(is_same, is_served, left, lead_time, earned) >= floor:
                        doubts[unsure[0], 0], doubts[unsure[0], 1] = slot, place
                        unsure[0] += 1
                    continue
                held, asked = np.int64(0), np.int64(need["standards"])
                for n in range(asked):
                    held += np.int64(_states(new, _FIRST_STANDARD, np.int64(need["standard"][n])))
                front = _front(
                    is_same, is_served, held, asked, (shared >> bit) & np.uint64(1), states_none, left, lead_time, earned
                )
                if front + in_cold < floor:
                    continue
                score = _whole_score(front, need, cold[place], floor, earned, price, largest_total, per_usd, rate_day)
                if score == NO_PAIR:
                    continue
                if score >= UNSURE:
                    doubts[unsure[0], 0], doubts[unsure[0], 1] = slot, place
                    unsure[0] += 1
                elif not _is_below_floor(mine, score, place, cold):
                    _remember(slot, kept, before, before_slot, marks, mark, remembered)
                    _enter(mine, score, np.int32(place), cold)
                    if mine["has_floor"]:
                        need_hot[N.FLOOR, slot] = mine["floor_score"]
    return True


# Bitmaps, bounds of blocks, and the places of ids ----------------------------------------------------------------------


@compiled
def write_bits(bitmap, places, sets, first, words):
    """Set the bits of these places as the words from `first` on say."""
    names = min(bitmap.shape[0], 64 * words)
    for n in range(places.size):
        block, bit = places[n] >> 6, np.uint64(1) << np.uint64(places[n] & 63)
        for name in range(names):
            if _states(sets[n], first, name):
                bitmap[name, block] |= bit
            else:
                bitmap[name, block] &= ~bit


@compiled
def read_bits(bitmap, places, sets, first):
    """The bits of these places, into the words from `first` on."""
    for n in range(places.size):
        for name in range(bitmap.shape[0]):
            if _bit(bitmap[name], places[n]):
                sets[n, first + (name >> 6)] |= np.uint64(1) << np.uint64(name & 63)


@compiled
def bound_blocks(blocks, taken, lead_times, cold, bounds):
    """Work out the bounds of these blocks anew."""
    for n in range(blocks.size):
        block = bounds[blocks[n]]
        block["wide"] = block["no_lead_time"] = False
        block["lead_time"] = np.int32(2**30)
        block["cheapest"] = np.inf
        for slot in range(SLOTS):
            block["lowest"][slot], block["highest"][slot] = np.inf, -np.inf
        currency = np.int64(-1)
        for place in range(blocks[n] * BLOCK, (blocks[n] + 1) * BLOCK):
            if not taken[place]:
                continue
            if lead_times[place] < 0:
                block["no_lead_time"] = True
            elif lead_times[place] < block["lead_time"]:
                block["lead_time"] = lead_times[place]
            one = cold[place]
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
