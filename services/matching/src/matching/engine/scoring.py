"""The points of a pair, in binary numbers, as the searches count them; inlined into these.

They are what `domain.facets` declares. Where rounding could matter, and for what does not fit the packed form, they give the
most that the pair can have and leave the answer to the plain rules; so they are never wrong, only sometimes unsure. Tests and
`self_check` compare them with the plain rules on random pairs.

Nothing in a kernel may read a module's variables that change: numba's cache would keep the old ones. So points come as arguments.
"""

# Types are in layout.py and points.py: numba infers them, and annotations would only repeat them.
# pyright: reportMissingParameterType=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

import math

import numpy as np

from matching.engine.compiling import compiled, inlined
from matching.engine.layout import TIERS, N
from matching.engine.points import E

NO_PAIR = -1
"""Instead of a score: a gate fails, or the score is too low to matter."""
UNSURE = 1024
"""Added to the most that a pair can have where only the plain rules can tell."""

PARTS = 300.0
_NEAR = 1e-9
"""The same number computed in another order differs by less; what is nearer to a step than this is unsure."""
_EXACT = 2.0**44
"""Whole numbers below this can be multiplied by a few hundred and stay exact."""


@inlined
def lead_time_points(left, lead_time, earned):
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
def front_points(same, served, held, asked, shared, states_none, left, lead_time, earned):
    """What bitmaps and hot columns tell: technology, country, standards, language and lead time."""
    points = earned[E.SAME_TECHNOLOGY] if same else earned[E.SAME_GROUP]
    points += earned[E.SERVED] if served else earned[E.OF_INTEREST]
    if shared:
        points += earned[E.SHARED_LANGUAGE]
    else:
        points += earned[E.NO_LANGUAGE] if states_none else earned[E.NO_SHARED_LANGUAGE]
    return points + standards_points(held, asked, earned) + lead_time_points(left, lead_time, earned)


@inlined
def standards_points(held, asked, earned):
    if asked == 0:
        return earned[E.NO_STANDARD_ASKED]
    return earned[E.NONE_HELD] if held == 0 else earned[E.ALL_HELD] * held // asked


@inlined
def loose_bound(same, served, left, lead_time, earned):
    """The most that a pair can have of which only technology, country and lead time are known."""
    lost = earned[E.MOST_TECHNOLOGY] - (earned[E.SAME_TECHNOLOGY] if same else earned[E.SAME_GROUP])
    lost += earned[E.MOST_COUNTRY] - (earned[E.SERVED] if served else earned[E.OF_INTEREST])
    lost += earned[E.MOST_LEAD_TIME] - lead_time_points(left, lead_time, earned)
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
def compared(need, origin, earned, per_usd, rate_day):
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
    """UNSURE is added where a step is too near to be told. The first numbers are from `compared`."""
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
def whole_score(front, need, offering, at_least, parts_of_one, not_compared, earned, price, largest_total):
    """The score of a pair whose country fits; NO_PAIR below `at_least`. For `parts_of_one` see `compared`."""
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
def has_bit(bitmap, place):
    return (bitmap[place >> 6] >> np.uint64(place & 63)) & np.uint64(1) != np.uint64(0)


@inlined
def speaks(languages, need, block):
    """Whose language the need shares, in a block."""
    word = np.uint64(0)
    for n in range(need["languages"]):
        word |= languages[need["language"][n], block]
    return word


@inlined
def _standards_held(standards, need, place):
    held = np.int64(0)
    for n in range(need["standards"]):
        held += np.int64(has_bit(standards[need["standard"][n]], place))
    return held


@inlined
def _front_at(need, left, place, maps, lead_times, earned):
    """The same for the offering at this place, which reaches the need's country."""
    technologies, served, _, standards, languages = maps
    return front_points(
        has_bit(technologies[need["technology"]], place),
        has_bit(served[need["country"]], place),
        _standards_held(standards, need, place),
        np.int64(need["standards"]),
        (speaks(languages, need, place >> 6) >> np.uint64(place & 63)) & np.uint64(1) != np.uint64(0),
        has_bit(languages[0], place),
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
        if has_bit(reached, place):
            front = _front_at(need, need_hot[N.DAYS_LEFT, slot], place, maps, lead_times, earned)
            parts, none = compared(need, cold[place]["currency"], earned, per_usd, rate_day)
            scores[place] = whole_score(front, need, cold[place], 0, parts, none, earned, price, largest_total)
