"""Which needs a company would reach if…: the changes that it can make, each with the needs that it would bring.

The mirror of near misses. A change is tried on the offering, and the rules judge the pair as it would then be. A need is *won*
where the offering would come onto the shortlist, *opened* where it would be considered but ten others fit better, and *eased*
where it is on the list already and what counted against it would be mended.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from itertools import islice
from typing import Any, Literal, NamedTuple

from matching.domain.changes import Said, says
from matching.domain.circumstances import Circumstances, Rates
from matching.domain.gates import Failure, failures
from matching.domain.measures import MEASURES, Measure
from matching.domain.shortlist import LENGTH, Rank, judge
from matching.domain.sides import Attribute, Need, Offering, Prices

Gain = Literal["won", "opened", "eased"]
GAINS: tuple[Gain, ...] = ("won", "opened", "eased")

ADD_COUNTRY = says("add_country", "Add {country:country} to the countries of interest", "関心国に{country:country}を加える")
STATE_ATTRIBUTE = says("state_attribute", "State {attribute}, if it suits", "{attribute}を記載する（条件に合う場合）")
STATE_STANDARD = says("state_standard", "State {standard}, if it is met", "{standard}を記載する（適合している場合）")
STATE_PRICE = says("state_price", "State a price, if it is within the budget", "価格を記載する（予算内の場合）")
LEVERS = (ADD_COUNTRY, STATE_ATTRIBUTE, STATE_STANDARD, STATE_PRICE, *(measure.reason for measure in MEASURES))

ASKED = says("asked", "Asked for {asked:asked}", "希望は{asked:asked}")
"""What one need asks of an attribute that many ask for."""

RUNGS = 3
"""Of "a little shorter", "shorter still", … so many are shown of one offering."""


@dataclass(frozen=True, slots=True)
class OpenNeed:
    """An open need and the shortlist that stands for it, judged for the day `today`."""

    need: Need
    today: date
    listed: tuple[Rank, ...]

    def lists(self, offering: Offering) -> bool:
        return any(one.offering_id == offering.id for one in self.listed)

    def would_list(self, rank: Rank) -> bool:
        """Whether an offering that is not on the list would be, at this place."""
        return len(self.listed) < LENGTH or rank < max(self.listed)


class Reached(NamedTuple):
    """A need that a change would bring to an offering, with the score after it. `asked` says what the change has to meet."""

    need: Need
    offering_id: str
    gain: Gain
    score_after: int
    asked: Said | None = None


@dataclass(frozen=True, slots=True)
class Lever:
    """A change and the needs that it would bring, the surest first."""

    change: Said
    reached: tuple[Reached, ...]

    @property
    def best(self) -> list[Reached]:
        """Each need once, with the offering of which the most becomes."""
        found: dict[str, Reached] = {}
        for one in self.reached:
            found.setdefault(one.need.id, one)
        return list(found.values())

    def count(self, gain: Gain) -> int:
        """The needs of this gain; one that several offerings come to counts once."""
        return sum(1 for one in self.best if one.gain == gain)

    @property
    def needs(self) -> list[Need]:
        return [one.need for one in self.best]

    @property
    def offering_ids(self) -> list[str]:
        return sorted({one.offering_id for one in self.reached})

    @property
    def units(self) -> dict[str, Decimal]:
        """The needs' quantities by unit."""
        return _sums((need.unit, need.quantity) for need in self.needs)

    @property
    def budgets(self) -> dict[str, Decimal]:
        """The needs' budgets by currency, of those that state one."""
        return _sums((need.currency, need.budget) for need in self.needs if need.budget is not None)


def _sums(parts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for name, amount in parts:
        found[name] += amount
    return dict(sorted(found.items()))


def levers(offerings: Iterable[Offering], needs: Iterable[OpenNeed], rates: Rates) -> list[Lever]:
    """What would bring these offerings of one company the most: needs won, then opened, then eased; then budget and units.

    Adding a country, or stating an attribute or a standard, is one change for all of them; everything else is one for each.
    """
    fields: dict[tuple[str, str], list[OpenNeed]] = defaultdict(list)
    for one in needs:
        fields[one.need.group, one.need.unit].append(one)
    found: dict[_Key, _Step] = {}
    for offering in offerings:
        for group in sorted(offering.groups) if offering.listed else ():
            for key, step in _steps(offering, fields[group, offering.unit], rates):
                found.setdefault(key, _Step(step.change, [])).reached.extend(step.reached)
    made = [Lever(step.change, tuple(sorted(step.reached, key=_surest))) for step in found.values()]
    return sorted(made, key=lambda lever: _worth(lever, rates))


_Key = tuple[str, ...]
"""What makes it one change: the reason's code and, say, the country."""


class _Step(NamedTuple):
    change: Said
    reached: list[Reached]


def _surest(one: Reached) -> tuple[int, int, str, str]:
    return GAINS.index(one.gain), -one.score_after, one.need.id, one.offering_id


def _worth(lever: Lever, rates: Rates) -> tuple[Any, ...]:
    """Budgets are added up in dollars only to rank, whatever the age of the rate; those without a rate count nothing."""
    dollars = Decimal(0)
    for currency, amount in lever.budgets.items():
        rate = rates.get(currency)
        dollars += amount if currency == "USD" else amount / rate.per_usd if rate else 0
    counts = [-lever.count(gain) for gain in GAINS]
    return (*counts, -dollars, -sum(lever.units.values()), lever.change.reason.code, lever.offering_ids, str(lever.change.values))


def _steps(offering: Offering, needs: Iterable[OpenNeed], rates: Rates) -> Iterator[tuple[_Key, _Step]]:
    """Every change of this offering that brings something."""
    found: dict[_Key, _Step] = {}
    passing: list[OpenNeed] = []
    for one in needs:
        failed = list(islice(failures(one.need, offering, Circumstances(one.today, rates)), 2))
        if not failed:
            passing.append(one)
        elif len(failed) == 1:
            _add(found, _open(offering, one, failed[0]), one, rates, "opened")
    for one in passing:
        for stated in _statements(offering, one):
            _add(found, stated, one, rates, None)
    yield from found.items()
    for measure in MEASURES:
        yield from _rungs(measure, offering, passing, rates)


class _Try(NamedTuple):
    """A change for one need, to be judged: what makes it one with others, its words, the offering after it."""

    key: _Key
    change: Said
    after: Offering
    asked: Said | None = None


def _add(found: dict[_Key, _Step], tried: _Try | None, one: OpenNeed, rates: Rates, else_: Gain | None) -> None:
    if tried and (reached := _reached(one, tried.after, rates, else_, tried.asked)):
        found.setdefault(tried.key, _Step(tried.change, [])).reached.append(reached)


def _reached(one: OpenNeed, after: Offering, rates: Rates, else_: Gain | None, asked: Said | None = None) -> Reached | None:
    """What the changed offering is to this need; `else_` is what it gains where it does not come onto the list by this."""
    judged = judge(one.need, after, Circumstances(one.today, rates))
    if judged is None:
        return None
    gain = "won" if not one.lists(after) and one.would_list(judged.rank) else else_
    return Reached(one.need, after.id, gain, judged.rank.score, asked) if gain else None


def _open(offering: Offering, one: OpenNeed, failed: Failure) -> _Try | None:
    """What opens the one gate that is shut."""
    if failed.gate == "country":
        country = one.need.country
        after = replace(offering, interested_in=offering.interested_in | {country})
        return _Try((ADD_COUNTRY.code, country), Said(ADD_COUNTRY, {"country": country}), after)
    asked = failed.requirement
    if asked is None or not asked.values or (failed.stated is not None and failed.stated.unit_key == asked.unit_key):
        return None  # an empty choice is met by nothing, and nobody changes by writing what the product is
    stating_it = Attribute(asked.key, asked.name, asked.unit_key, asked.unit, asked.values[0])
    return _Try(
        (STATE_ATTRIBUTE.code, asked.key),
        Said(STATE_ATTRIBUTE, {"attribute": asked.name.replace("_", " ")}),
        replace(offering, attributes=(*offering.attributes, stating_it)),
        Said(ASKED, {"asked": asked}),
    )


def _statements(offering: Offering, one: OpenNeed) -> Iterator[_Try]:
    """What might bring it onto a list that it is not on, by stating what is not stated yet."""
    need = one.need
    if one.lists(offering):
        return
    for standard in need.standards:
        if standard.key not in offering.standards:
            after = replace(offering, standards=offering.standards | {standard.key})
            yield _Try((STATE_STANDARD.code, standard.key), Said(STATE_STANDARD, {"standard": standard.name}), after)
    if offering.prices is None and need.unit_budget:
        unit_price = need.unit_budget.quantize(Decimal("0.000001"), ROUND_FLOOR)
        at_budget = Prices(need.currency, "all_units", (need.quantity,), (unit_price,))
        yield _Try((STATE_PRICE.code, offering.id), Said(STATE_PRICE, {}), replace(offering, prices=at_budget))


def _rungs(measure: Measure, offering: Offering, needs: Iterable[OpenNeed], rates: Rates) -> Iterator[tuple[_Key, _Step]]:
    """The measure in several sizes, each with all the needs that a step of that size brings."""
    wanted: list[tuple[Decimal, Gain | None, OpenNeed]] = []
    for one in needs:
        for target in measure.targets(one.need, offering, Circumstances(one.today, rates)):
            else_: Gain | None = "eased" if target.mends and one.lists(offering) else None
            if _reached(one, measure.after(offering, target.size), rates, else_):
                wanted.append((target.size, else_, one))
                break
    for size in _spread(sorted({size for size, _, _ in wanted})):
        after = measure.after(offering, size)
        reached = (_reached(one, after, rates, else_) for needed, else_, one in wanted if needed <= size)
        change = Said(measure.reason, measure.values(offering, size))
        yield (measure.reason.code, offering.id, str(size)), _Step(change, [one for one in reached if one])


def _spread(sizes: Sequence[Decimal]) -> Sequence[Decimal]:
    """The smallest, the largest and some between."""
    if len(sizes) <= RUNGS:
        return sizes
    return [sizes[n * (len(sizes) - 1) // (RUNGS - 1)] for n in range(RUNGS)]
