"""Every sentence by which matching explains itself: a case for each reason, and each figure in it computed anew from the inputs.

Nothing of the rules' arithmetic is used here, only what the two sides state. `python -m tests.matching.explanations` writes the
sentences into `explanations.txt`, where they are read by people before they are committed.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from babel.numbers import get_currency_precision

from common.contracts.catalog import OfferingListed
from common.contracts.needs import NeedPosted
from matching.domain.blocking import what_blocks
from matching.domain.changes import Said
from matching.domain.circumstances import Circumstances
from matching.domain.facet import Reason
from matching.domain.facets import FACETS
from matching.domain.near_misses import near_miss
from matching.domain.reach import OpenNeed, levers
from matching.domain.shortlist import LENGTH, best_of
from matching.domain.sides import Need, Offering, plain
from matching.domain.words import say
from tests.matching.pairs import DIMMING, EFFICACY, NOW, TODAY, need_fact, offering_fact, priced

SNAPSHOT = Path(__file__).with_name("explanations.txt")
Figure = Decimal | date

# What a sentence says ----------------------------------------------------------------------------------------------------

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec"]
_DAY = re.compile(rf"(\d{{1,2}}) ({'|'.join(_MONTHS)}) (\d{{4}})|(\d{{4}})年(\d{{1,2}})月(\d{{1,2}})日")
_NUMBER = re.compile(r"(?<![A-Za-z\d.,])-?\d[\d,]*(?:\.\d+)?")


def figures_in(sentence: str, names: Iterable[str]) -> list[Figure]:
    """Every number and day in it, but for those inside of names that a side gave (`IEC 60598`)."""
    sentence = sentence.replace("\u00a0", " ")
    for name in sorted(names, key=len, reverse=True):
        sentence = sentence.replace(name, "")
    found: list[Figure] = []

    def day(match: re.Match[str]) -> str:
        d, month, y, ja_year, ja_month, ja_day = match.groups()
        found.append(date(int(y), _MONTHS.index(month) + 1, int(d)) if y else date(int(ja_year), int(ja_month), int(ja_day)))
        return ""

    rest = _DAY.sub(day, sentence)
    return found + [Decimal(number.replace(",", "")) for number in _NUMBER.findall(rest)]


def names_of(need: NeedPosted, offering: OfferingListed, now: Circumstances) -> set[str]:
    """The texts that either side, or whoever published a rate, wrote."""
    texts = {*need.standards, *offering.standards, *offering.certificates, *(rate.source for rate in now.rates.values())}
    for one in need.requirements:
        wanted = one.value if isinstance(one.value, list) else [one.value]
        texts |= {value for value in wanted if isinstance(value, str)}
    return texts | {one.value for one in offering.attributes if isinstance(one.value, str)}


# What it has to say: computed from what the sides state -------------------------------------------------------------------


def as_said(amount: Fraction | Decimal, currency: str) -> Decimal:
    """Money is said in whole cents (or what the currency has), small unit prices with four places."""
    exact = Fraction(amount)
    places = 4 if 0 < exact < 1 else get_currency_precision(currency)
    return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


@dataclass(frozen=True)
class Facts:
    """A pair and its day, with the plain arithmetic on them."""

    need: NeedPosted
    offering: OfferingListed
    now: Circumstances

    @property
    def days_left(self) -> int:
        return (self.need.deadline - self.now.today).days

    @property
    def lead_time(self) -> int:
        assert self.offering.lead_time_days is not None
        return self.offering.lead_time_days

    @property
    def minimum(self) -> Decimal:
        assert self.offering.minimum_order is not None
        return self.offering.minimum_order

    @property
    def maximum(self) -> Decimal:
        assert self.offering.maximum_order is not None
        return self.offering.maximum_order

    @property
    def tier(self) -> int:
        assert self.offering.prices
        return sum(1 for one in self.offering.prices.tiers if one.quantity <= self.need.quantity)

    @property
    def unit_price(self) -> Fraction:
        """Unit by unit: what each costs, added up and divided."""
        prices = self.offering.prices
        assert prices
        if prices.basis == "all_units":
            return Fraction(prices.tiers[self.tier - 1].unit_price)
        total, priced_so_far = Fraction(0), Fraction(0)
        ends = [Fraction(one.quantity) for one in prices.tiers[1:]] + [None]
        for one, end in zip(prices.tiers, ends, strict=True):
            upto = Fraction(self.need.quantity) if end is None else min(end, Fraction(self.need.quantity))
            if upto > priced_so_far:
                total += (upto - priced_so_far) * Fraction(one.unit_price)
                priced_so_far = upto
        return total / Fraction(self.need.quantity)

    @property
    def unit_budget(self) -> Fraction:
        assert self.need.budget
        return Fraction(self.need.budget.amount) / Fraction(self.need.quantity)

    @property
    def in_budget_currency(self) -> Fraction:
        assert self.offering.prices and self.need.budget
        origin, target = self.offering.prices.currency, self.need.budget.currency
        dollars = self.unit_price if origin == "USD" else self.unit_price / Fraction(self.now.rates[origin].per_usd)
        return dollars if target == "USD" else dollars * Fraction(self.now.rates[target].per_usd)

    @property
    def price_figures(self) -> list[Figure]:
        assert self.offering.prices
        return [as_said(self.unit_price, self.offering.prices.currency), self.need.quantity, Decimal(self.tier)]

    def rate_figures(self) -> list[Figure]:
        assert self.offering.prices and self.need.budget
        found: list[Figure] = [as_said(self.in_budget_currency, self.need.budget.currency)]
        for currency in (self.offering.prices.currency, self.need.budget.currency):
            if currency != "USD":
                rate = self.now.rates[currency]
                found += [Decimal(1), as_said(rate.per_usd, currency), rate.as_of]
        return found

    def against_budget(self, code: str, *more: Figure) -> list[Figure]:
        assert self.need.budget
        rates = self.rate_figures() if code.endswith("_converted") else []
        return [*self.price_figures, *rates, as_said(self.unit_budget, self.need.budget.currency), *more]

    def comparisons(self, *, met: bool) -> list[Figure]:
        """The numbers asked for and stated, of the first three requirements that are (not) met."""
        shown = [one for one in map(self.compared, self.need.requirements) if one.met == met][:3]
        return [number for one in shown for number in (*one.asked, *one.stated)]

    def compared(self, asked: Any) -> "Compared":
        wanted = asked.value if isinstance(asked.value, list) else [asked.value]
        answers = [one for one in self.offering.attributes if plain(one.name) == plain(asked.attribute)]
        same_unit = [one for one in answers if plain(one.unit or "") == plain(asked.unit or "")]
        for one in same_unit:
            if any(_suits(asked.op, want, one.value) for want in wanted):
                return Compared(True, _numbers(wanted), _numbers([one.value]))
        nearest = (same_unit or answers)[:1]
        return Compared(False, _numbers(wanted), _numbers([one.value for one in nearest]))


class Compared(NamedTuple):
    met: bool
    asked: list[Figure]
    stated: list[Figure]


def _numbers(values: Iterable[Any]) -> list[Figure]:
    return [value for value in values if isinstance(value, Decimal)]


def _suits(op: str, wanted: Any, stated: Any) -> bool:
    if isinstance(wanted, Decimal) != isinstance(stated, Decimal):
        return False
    if op == ">=":
        return stated >= wanted
    if op == "<=":
        return stated <= wanted
    return stated == wanted if isinstance(stated, Decimal) else plain(stated) == plain(wanted)


Only = Callable[[Facts], list[Figure]]
_FIGURES: dict[tuple[str, str], Only] = {
    ("quantity", "within_orders"): lambda f: [f.minimum, f.maximum, f.need.quantity],
    ("quantity", "above_minimum"): lambda f: [f.minimum, f.need.quantity],
    ("quantity", "below_maximum"): lambda f: [f.maximum, f.need.quantity],
    ("quantity", "too_few"): lambda f: [f.minimum, f.minimum - f.need.quantity, f.need.quantity],
    ("quantity", "too_many"): lambda f: [f.maximum, f.need.quantity - f.maximum, f.need.quantity],
    ("lead_time", "in_time"): lambda f: [
        Decimal(f.lead_time),
        Decimal(f.days_left),
        f.need.deadline,
        Decimal(f.days_left - f.lead_time),
    ],
    ("lead_time", "late"): lambda f: [
        Decimal(f.lead_time),
        Decimal(f.days_left),
        f.need.deadline,
        Decimal(f.lead_time - f.days_left),
    ],
    ("specification", "all_met"): lambda f: f.comparisons(met=True),
    ("specification", "some_met"): lambda f: [
        Decimal(sum(1 for one in f.need.requirements if f.compared(one).met)),
        Decimal(len(f.need.requirements)),
        *f.comparisons(met=False),
    ],
    ("price", "no_price"): lambda f: [],
    ("price", "below_first_tier"): lambda f: [
        f.offering.prices.tiers[0].quantity if f.offering.prices else Decimal(-1),
        f.need.quantity,
    ],
    ("price", "total_too_large"): lambda f: [],
    ("price", "no_budget"): lambda f: f.price_figures,
    ("price", "no_rate"): lambda f: f.price_figures,
    ("price", "old_rate"): lambda f: [
        *f.price_figures,
        f.now.rates[f.offering.prices.currency if f.offering.prices else ""].as_of,
        Decimal(35),
    ],
}
_WITHOUT = {
    "technology": {"same_technology", "same_group", "other_group"},
    "country": {"served", "of_interest", "not_reached"},
    "quantity": {"no_limits"},
    "lead_time": {"lead_time_not_stated"},
    "specification": {"nothing_asked"},
    "standards": {"no_standard_asked", "all_held", "some_held", "none_held"},
    "language": {"shared", "none_shared", "languages_not_stated"},
}
"""Reasons that name no figure of their own."""


def figures_of(facet: str, code: str, facts: Facts, language: str) -> list[Figure]:
    """Every figure that the sentence of this reason has to say; KeyError for a reason that nobody has thought of here."""
    if code in _WITHOUT.get(facet, ()):
        return []
    family = code.removesuffix("_converted").removesuffix("_average")
    if facet == "price" and "budget" in family and family != "no_budget":
        return _of_budget(family, code, facts, language)
    return _FIGURES[facet, family](facts)


def _of_budget(family: str, code: str, facts: Facts, language: str) -> list[Figure]:
    price, budget = facts.in_budget_currency if code.endswith("_converted") else facts.unit_price, facts.unit_budget
    percent = Decimal(int(abs(price - budget) * 100 / budget))
    match family:
        case "below_budget":
            assert percent > 0 and price < budget
            return facts.against_budget(code, percent)
        case "on_budget":
            assert percent == 0 and price <= budget
            return facts.against_budget(code)
        case "above_budget":
            assert budget < price <= 2 * budget
            # Below one percent both languages say "less than 1".
            return facts.against_budget(code, max(Decimal(1), percent))
        case "far_above_budget":
            assert price > 2 * budget
            return facts.against_budget(code, *([Decimal(2)] if language == "ja" else []))
        case _:
            raise KeyError(family)


# The cases of the facets --------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A pair for which the facet gives this reason."""

    facet: str
    code: str
    need: dict[str, Any] = {}
    offering: dict[str, Any] = {}

    @property
    def facts(self) -> Facts:
        return Facts(need_fact(**self.need), offering_fact(**self.offering), NOW)


def _budget(unit: int | str, currency: str = "USD") -> dict[str, Any]:
    return {"budget": {"amount": Decimal(unit) * 3600, "currency": currency}}


def _prices() -> Iterable[Case]:
    """Each outcome in each way in which its price can be said: USD 180 a lamp, plainly, on average, converted, or both."""
    ways = {
        "": priced("USD", (100, 200), (1000, 180), (5000, 160)),
        "_average": priced("USD", (1, 200), (1200, 170), basis="incremental"),
        "_converted": priced("VND", (1, 5_000_000), (3000, 4_500_000)),
        "_average_converted": priced("VND", (1, 5_000_000), (1200, 4_250_000), basis="incremental"),
    }
    budgets = {"below_budget": 195, "on_budget": 180, "above_budget": 165, "far_above_budget": 85}
    for outcome, unit in budgets.items():
        for way, prices in ways.items():
            yield Case("price", outcome + way, _budget(unit), prices)
    yield Case("price", "below_budget_converted", _budget(29_250, "JPY"), ways["_converted"])
    yield Case("price", "above_budget", _budget("179.5"), ways[""])
    for way in ("", "_average"):
        yield Case("price", f"no_budget{way}", {"budget": None}, ways[way])
        baht, rupiah = ({"prices": {**ways[way]["prices"], "currency": currency}} for currency in ("THB", "IDR"))
        yield Case("price", f"no_rate{way}", {}, baht)
        yield Case("price", f"old_rate{way}", {}, rupiah)
    yield Case("price", "no_price", {}, {"prices": None})
    yield Case("price", "below_first_tier", {}, priced("USD", (5000, 160)))
    yield Case("price", "total_too_large", {"budget": None}, priced("USD", (1, 10**17)))


DIM_120 = {"attributes": [{"name": "efficacy", "value": 120, "unit": "lm/W"}, {"name": "dimming", "value": "0-10 V"}]}
CASES = (
    Case("technology", "same_technology"),
    Case("technology", "same_group", {}, {"technologies": ["lighting.tunnel_led"]}),
    Case("technology", "other_group", {}, {"technologies": ["office.it"], "unit": "unit"}),
    Case("country", "served"),
    Case("country", "of_interest", {}, {"countries_served": ["JP"], "countries_of_interest": ["VN"]}),
    Case("country", "not_reached", {}, {"countries_served": ["JP"]}),
    Case("quantity", "within_orders"),
    Case("quantity", "above_minimum", {}, {"maximum_order": None}),
    Case("quantity", "below_maximum", {}, {"minimum_order": None}),
    Case("quantity", "no_limits", {}, {"minimum_order": None, "maximum_order": None}),
    Case("quantity", "too_few", {}, {"minimum_order": 4000}),
    Case("quantity", "too_many", {}, {"maximum_order": 1800}),
    *_prices(),
    Case("lead_time", "in_time"),
    Case("lead_time", "late", {}, {"lead_time_days": 170}),
    Case("lead_time", "lead_time_not_stated", {}, {"lead_time_days": None}),
    Case("specification", "nothing_asked", {"requirements": []}),
    Case("specification", "all_met"),
    Case("specification", "some_met", {}, DIM_120),
    Case("specification", "some_met", {}, {"attributes": [{"name": "efficacy", "value": 165, "unit": "lm/W"}]}),
    Case("standards", "no_standard_asked", {"standards": []}),
    Case("standards", "all_held"),
    Case("standards", "some_held", {}, {"certificates": []}),
    Case("standards", "none_held", {}, {"standards": [], "certificates": []}),
    Case("language", "shared"),
    Case("language", "none_shared", {}, {"languages": ["ja", "en"]}),
    Case("language", "languages_not_stated", {}, {"languages": []}),
)

# Near misses, what blocks, and what a company would reach --------------------------------------------------------------------

MUST = {**EFFICACY, "mandatory": True}
MUST_DIM = {**DIMMING, "mandatory": True}
LEFT = 141  # days from 24 November 2026 to 14 April 2027


@dataclass(frozen=True)
class Sentence:
    """A sentence outside of the facets, with the figures that it has to say."""

    said: Said
    figures: tuple[Figure | int, ...] = ()
    names: frozenset[str] = field(default_factory=frozenset)


def _change(of_need: dict[str, Any], of_offering: dict[str, Any], obstacle: list[Any], change: list[Any]) -> Iterable[Sentence]:
    need, offering = need_fact(**of_need), offering_fact(**of_offering)
    miss = near_miss(Need.of(need), Offering.of(offering), NOW)
    assert miss is not None
    names = frozenset(names_of(need, offering, NOW))
    yield Sentence(miss.changes[0].obstacle, tuple(obstacle), names)
    yield Sentence(miss.changes[0].what, tuple(change), names)


def near_miss_sentences() -> Iterable[Sentence]:
    """The day on which 170 days end is counted from today; 141 of them are left."""
    stated = {"name": "efficacy", "value": 120, "unit": "lm/W"}
    yield from _change({}, {"countries_served": ["JP"]}, [], [])
    yield from _change({"requirements": [MUST]}, {"attributes": [stated]}, [150, 120], [120, 150])
    yield from _change({"requirements": [MUST_DIM]}, {"attributes": [{"name": "dimming", "value": "0-10 V"}]}, [], [])
    yield from _change({"requirements": [MUST]}, {"attributes": []}, [], [150])
    yield from _change({"requirements": [MUST]}, {"attributes": [{**stated, "unit": "lm"}]}, [120], [150])
    yield from _change({}, {"lead_time_days": 170}, [170, 170 - LEFT], [TODAY + timedelta(days=170)])
    yield from _change({}, {"minimum_order": 8000}, [8000], [8000 - 3600])
    yield from _change({}, {"maximum_order": 500}, [500], [500])


def blocking_sentences() -> Iterable[Sentence]:
    field = [{"countries_served": ["JP"]}, {"countries_served": ["TH"]}, {}]
    bare = [{"attributes": []}, {}, {}, {}]
    for of_need, of_offerings, figures in (
        ({"status": "closed"}, [], ()),
        ({"deadline": "2026-11-23"}, [], ()),
        ({}, [], ()),
        ({}, field, (2, 3)),
        ({"requirements": [MUST]}, bare, (150, 1, 4)),
        ({}, [{}], ()),
    ):
        offerings = [Offering.of(offering_fact(**one)) for one in of_offerings]
        yield Sentence(what_blocks(Need.of(need_fact(**of_need)), offerings, NOW), figures)


def reach_sentences() -> Iterable[Sentence]:
    """USD 210 a lamp have to fall by 8 % to be within 195: 7 % off are 195.30."""
    for of_need, of_offering, figures in (
        ({}, {"countries_served": ["JP"]}, ()),
        ({"requirements": [MUST]}, {"attributes": []}, ()),
        ({}, {"lead_time_days": 170}, (LEFT, 170)),
        ({}, {"minimum_order": 8000}, (3600, 8000)),
        ({}, {"maximum_order": 500}, (3600, 500)),
        ({}, priced("USD", (1, 210)), (8,)),
    ):
        need, mine = Need.of(need_fact(**of_need)), Offering.of(offering_fact(**of_offering))
        listed = tuple(one.rank for one in best_of(need, [mine], NOW))
        (lever,) = levers([mine], [OpenNeed(need, TODAY, listed)], NOW.rates)
        yield Sentence(lever.change, figures)
        for one in lever.reached:
            if one.asked:
                yield Sentence(one.asked, (150,))
    yield from _onto_a_full_list()


def _onto_a_full_list() -> Iterable[Sentence]:
    need = Need.of(need_fact())
    for mine, rivals, code, figures in (
        ({"lead_time_days": None}, {"lead_time_days": None}, "state_lead_time", (LEFT,)),
        ({"certificates": []}, {"certificates": []}, "state_standard", ()),
        ({"prices": None}, {"prices": None}, "state_price", ()),
    ):
        others = [replace(Offering.of(offering_fact(**rivals)), id=f"0{number}") for number in range(LENGTH)]
        listed = tuple(one.rank for one in best_of(need, others, NOW)[:LENGTH])
        offering = replace(Offering.of(offering_fact(**mine)), id="z")
        found = levers([offering], [OpenNeed(need, TODAY, listed)], NOW.rates)
        said = next(one.change for one in found if one.change.reason.code == code)
        yield Sentence(said, figures, frozenset({"TCVN 7722", "IEC 60598"}))


# The snapshot ---------------------------------------------------------------------------------------------------------------


def earned_by(case: Case) -> tuple[Reason, int, Said]:
    facet = next(one for one in FACETS if one.name == case.facet)
    earned = facet.earn(Need.of(case.facts.need), Offering.of(case.facts.offering), NOW)
    return earned.reason, earned.points, Said(earned.reason, earned.values)


def in_words(said: Said, language: str) -> str:
    return say(getattr(said.reason, language), said.values, language)


def snapshot() -> str:
    """All sentences, in both languages."""
    parts = []
    for case in CASES:
        reason, points, said = earned_by(case)
        parts.append((f"{case.facet}: {reason.code} ({points})", said))
    for title, sentences in (
        ("near miss", near_miss_sentences()),
        ("what blocks", blocking_sentences()),
        ("reach", reach_sentences()),
    ):
        parts += [(f"{title}: {one.said.reason.code}", one.said) for one in sentences]
    texts = [f"{title}\n  {in_words(said, 'en')}\n  {in_words(said, 'ja')}\n" for title, said in parts]
    return "\n".join(texts).replace("\u00a0", " ")


if __name__ == "__main__":
    SNAPSHOT.write_text(snapshot(), encoding="utf-8")
