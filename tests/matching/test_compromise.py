"""What keeps needs apart, and the cheapest compromise: exact against trying everything, and never a promise that is not kept."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.domain.common_ground import meets
from matching.domain.compromise import CONCESSIONS, Asking, Compromise, Pool, Step, compromise
from matching.domain.requirements import stated_for
from matching.domain.sides import Attribute, Need, Stated, plain
from matching.domain.words import say
from tests.matching.pairs import DIMMING, EFFICACY, need, offering

S = "\u00a0"


def asking(name: str, *requirements: dict[str, Any], quantity: int = 100, city: str = "", **other: Any) -> Asking:
    return Asking(need(id=name, requirements=list(requirements), quantity=quantity, **other), city or name)


def efficacy(op: str, value: Any, unit: str = "lm/W", *, must: bool = False) -> dict[str, Any]:
    return {"attribute": "efficacy", "op": op, "value": value, "unit": unit, "mandatory": must}


def names(several: Iterable[Asking]) -> list[str]:
    return [one.need.id for one in several]


def words(step: Step, language: str = "en") -> list[str]:
    return [say(getattr(one.what.reason, language), one.what.values, language) for one in step.concessions]


def asks(pool: Pool) -> list[tuple[str, str, list[Any]]]:
    return [(one.key, one.op, [value.text or value.number for value in one.values]) for one in pool.specification]


def test_the_stricter_bound_meets_both() -> None:
    found = compromise([asking("a", efficacy(">=", 150)), asking("b", efficacy(">=", 120), efficacy("<=", 180))])
    (pool,) = found.pools
    assert (names(pool.members), pool.cities, pool.units) == (["a", "b"], 2, Decimal(200))
    assert asks(pool) == [("efficacy", ">=", [150]), ("efficacy", "<=", [180])]
    assert (found.alone, found.dividers, found.steps, found.exact) == ((), (), (), True)


def test_sets_meet_at_what_they_share_and_a_bound_narrows_them() -> None:
    found = compromise(
        [asking("a", efficacy("in", [120, 150, 180])), asking("b", efficacy("in", [150, 180])), asking("c", efficacy("<=", 160))]
    )
    assert asks(found.pools[0]) == [("efficacy", "=", [150])]


def test_who_asks_nothing_and_whatever_standards_are_welcome_fit_everywhere() -> None:
    found = compromise([asking("a", EFFICACY, standards=["IEC 60598"]), asking("b", standards=["JIS C 8105"])])
    assert names(found.pools[0].members) == ["a", "b"]


def test_sets_that_meet_two_by_two_may_not_meet_all_three() -> None:
    pairs = (["DALI", "Zhaga"], ["Zhaga", "NEMA"], ["DALI", "NEMA"])
    found = compromise([asking(name, {**DIMMING, "op": "in", "value": two}) for name, two in zip("abc", pairs, strict=True)])
    assert (names(found.pools[0].members), names(found.alone)) == (["a", "b"], ["c"])


def test_the_city_that_stands_apart_comes_a_little_way() -> None:
    found = compromise(
        [
            asking("a", efficacy("<=", 140)),
            asking("b", efficacy("<=", 140)),
            asking("c", efficacy(">=", 150), quantity=900, city="Hue"),
        ]
    )
    (step,) = found.steps
    assert (step.conceding.city, names(step.joining), step.mandatory, step.distance) == ("Hue", ["c"], 0, Fraction(1, 15))
    assert words(step) == [f"For efficacy ask for at least 140{S}lm/W instead of at least 150{S}lm/W"]
    assert words(step, "ja") == [f"efficacyの条件を、150{S}lm/W以上から140{S}lm/W以上に変える"]
    assert (step.pool.cities, step.pool.units) == (3, Decimal(1100))
    (divider,) = found.dividers
    assert (divider.name, names(divider.outside), divider.positions, divider.freed) == ("efficacy", ["c"], 2, 1)


def test_a_city_accepts_another_value_beside_its_own() -> None:
    zhaga = {**DIMMING, "value": "Zhaga"}
    found = compromise([asking("a", DIMMING), asking("b", zhaga), asking("c", zhaga)])
    (step,) = found.steps
    assert (words(step), words(step, "ja")) == (["Accept Zhaga for dimming, beside DALI"], ["dimmingに、DALIのほかZhagaも認める"])
    assert [value.text for value in step.concessions[0].after.values] == ["DALI", "Zhaga"]


def test_what_is_preferred_is_conceded_before_what_is_mandatory() -> None:
    dali, zhaga = {**DIMMING, "mandatory": True}, {**DIMMING, "value": "Zhaga"}
    found = compromise(
        [asking("a", dali, quantity=500), asking("b", zhaga), asking("c", {**DIMMING, "value": "NEMA", "mandatory": True})]
    )
    assert names(found.pools[0].members if found.pools else found.alone) == ["a", "b", "c"]
    assert [(step.conceding.city, step.mandatory) for step in found.steps] == [("b", 0), ("c", 1)]


def test_a_member_concedes_where_it_alone_keeps_another_out_and_that_is_cheaper() -> None:
    must = {**DIMMING, "mandatory": True}
    found = compromise([asking("a", quantity=500), asking("b", {**DIMMING, "value": "Zhaga"}, quantity=300), asking("c", must)])
    (step,) = found.steps
    assert names(found.pools[0].members) == ["a", "b"]
    assert (step.conceding.city, names(step.joining), words(step)) == ("b", ["c"], ["Accept DALI for dimming, beside Zhaga"])


def test_units_are_not_converted() -> None:
    found = compromise([asking("a", efficacy(">=", 150)), asking("b", efficacy(">=", 0.15, "klm/W"))])
    assert found.pools == ()
    assert words(found.steps[0]) == [f"For efficacy ask for 150{S}lm/W instead of at least 0.15{S}klm/W"]


def test_a_need_that_contradicts_itself_is_alone_until_it_changes() -> None:
    found = compromise(
        [asking("a", efficacy(">=", 150), efficacy("<=", 120)), asking("b"), asking("c", {**DIMMING, "op": "in", "value": []})]
    )
    assert (found.pools, names(found.alone)) == ((), ["a", "b", "c"])
    assert [(step.conceding.city, names(step.joining)) for step in found.steps] == [("a", ["a"])]
    assert names(found.outside) == ["c"], "nobody names a value that it could accept"


def test_a_value_is_named_where_none_would_do() -> None:
    found = compromise([asking("a", DIMMING), asking("b", {**DIMMING, "op": "in", "value": []})])
    assert [words(step) for step in found.steps] == [["For dimming, where no value would do now, ask for DALI"]]


def test_two_needs_of_a_city_are_one_city() -> None:
    found = compromise([asking("a", city="Hue"), asking("b", city="Hue"), asking("c")])
    assert (found.pools[0].cities, len(found.pools[0].members)) == (2, 3)


def test_only_different_needs_of_one_technology_are_looked_at() -> None:
    with pytest.raises(ValueError, match="twice"):
        compromise([asking("a"), asking("a")])
    with pytest.raises(ValueError, match="technologies"):
        compromise([asking("a"), asking("b", technology="lighting.tunnel_led")])
    assert compromise([]) == Compromise(Pool((), ()), (), (), (), (), (), exact=True)


def test_a_search_that_is_ended_early_says_so_and_still_keeps_its_word() -> None:
    several = _many(30)
    found = compromise(several, limit=1)
    assert not found.exact
    assert_kept(found)
    assert compromise(several).exact


def test_a_hundred_and_fifty_needs_are_searched_exactly() -> None:
    found = compromise(_many(150))
    assert found.exact and len(found.steps) == 50
    assert_kept(found)


def _many(count: int) -> list[Asking]:
    """Needs that differ in five attributes, three to seven values of each."""
    return [
        asking(
            f"{n:03}",
            efficacy(">=", 100 + 10 * (n * 7 % 6)),
            efficacy("<=", 130 + 10 * (n * 5 % 4)),
            {**DIMMING, "value": ("DALI", "Zhaga", "NEMA")[n * n % 3], "mandatory": n % 2 == 0},
            {"attribute": "pole", "op": "=", "value": 4 + n * 11 % 7, "unit": "m"},
            {"attribute": "colour", "op": "in", "value": [2700 + 500 * (n % 3), 4000]},
            quantity=10 + n,
        )
        for n in range(count)
    ]


# Properties ------------------------------------------------------------------------------------------------------------

NUMBERS, TEXTS = (0, 3, 4, 6), ("DALI", "Zhaga", "ＤＡＬＩ")


@st.composite
def requirements(draw: st.DrawFn) -> dict[str, Any]:
    op = draw(st.sampled_from(["=", ">=", "<=", "in"]))
    number, text = st.sampled_from(NUMBERS), st.sampled_from(TEXTS)
    either = st.one_of(number, text)
    value = draw(number if op in (">=", "<=") else either if op == "=" else st.lists(either, max_size=3))
    return {
        "attribute": draw(st.sampled_from(["height", "Dimming"])),
        "op": op,
        "value": value,
        "unit": draw(st.sampled_from([None, None, None, "m"])),
        "mandatory": draw(st.booleans()),
    }


@st.composite
def several_needs(draw: st.DrawFn) -> list[Asking]:
    asked = draw(st.lists(st.lists(requirements(), max_size=3), max_size=5))
    return [
        asking(f"{n}", *each, quantity=draw(st.integers(1, 9)), city=draw(st.sampled_from("xyz"))) for n, each in enumerate(asked)
    ]


def have_a_specification(needs: Sequence[Need]) -> bool:
    """Tried with every product that states one value of each attribute, by the rule that judges offerings."""
    values = [Stated.of(Decimal(one)) for one in (*NUMBERS, 99)] + [Stated.of(text) for text in (*TEXTS, "other")]
    stated = [
        [Attribute(plain(name), name, plain(unit), unit, value) for unit in ("", "m") for value in values]
        for name in ("height", "Dimming")
    ]
    asked = [one for need in needs for one in need.requirements]
    return all(
        any(all(stated_for(one, _with(point))[0] for one in asked if one.key == point.key) for point in points)
        for points in stated
    )


def _with(point: Attribute) -> Any:
    return replace(offering(), attributes=(point,))


def assert_kept(found: Compromise) -> None:
    """Every pool has a specification that suits its members; no step loses anybody, and each brings those whom it names."""
    for pool in (*found.pools, *(step.pool for step in found.steps)):
        assert_suits(pool)
    before = set(names(found.start.members))
    for step in found.steps:
        after = {one.need.id for one in step.pool.members}
        joining = {one.need.id for one in step.joining}
        assert before <= after and joining and joining <= after and not joining & before
        assert step.concessions and step.conceding.need.id in after
        before = after


def assert_suits(pool: Pool) -> None:
    keys = {one.key for one in pool.specification}
    assert keys == {asked.key for one in pool.members for asked in one.need.requirements}
    for asked in pool.specification:
        for value in asked.values:
            point = Attribute(asked.key, asked.name, asked.unit_key, asked.unit, value)
            mine = [one for member in pool.members for one in member.need.requirements if one.key == asked.key]
            assert mine and all(meets(one, point) for one in mine)
            assert all(meets(one, point) for one in pool.specification if one.key == asked.key)


@given(several_needs())
def test_every_pool_has_a_specification_and_no_step_loses_a_member(several: list[Asking]) -> None:
    assert_kept(compromise(several))


@given(several_needs())
def test_the_largest_pool_is_the_largest_of_all_subsets(several: list[Asking]) -> None:
    found = compromise(several)
    sizes = [
        (size, sum((one.need.quantity for one in some), Decimal(0)))
        for size in range(2, len(several) + 1)
        for some in combinations(several, size)
        if have_a_specification([one.need for one in some])
    ]
    largest = found.pools[0] if found.pools else None
    assert (len(largest.members), largest.units) == max(sizes) if largest else not sizes
    together = [name for pool in found.pools for name in names(pool.members)]
    assert sorted([*together, *names(found.alone)]) == names(several)


@given(several_needs())
def test_no_pool_of_that_size_has_fewer_needs_that_concede(several: list[Asking]) -> None:
    """Those who concede nothing agree as they are; so at least as many concede as the pool is larger than the largest."""
    found = compromise(several)
    conceded: set[str] = set()
    asked = {one.need.id: one.need.requirements for one in several}
    for n, step in enumerate(found.steps, start=1):
        conceded.add(step.conceding.need.id)
        assert len(step.joining) == 1 and len(conceded) == n
        unmoved = [one.need for one in step.pool.members if one.need.id not in conceded]
        assert have_a_specification(unmoved)
        assert all(one.requirements == asked[one.id] for one in unmoved)


@given(several_needs())
def test_the_first_step_costs_the_least_of_all_single_concessions(several: list[Asking]) -> None:
    found = compromise(several)
    if not found.steps or not found.pools:
        return
    step, members = found.steps[0], found.pools[0].members
    outside = [one for one in several if one.need.id not in names(members)]
    costs = []
    for joining in outside:
        for who in (joining, *members):
            others = [one.need for one in (*members, joining) if one is not who and one.need.id != who.need.id]
            costs += [cost for cost in [_least(who.need, others)] if cost is not None]
    assert (step.mandatory, step.distance) == min(costs)


def _least(conceding: Need, others: Sequence[Need]) -> tuple[int, Fraction] | None:
    """The least that this need has to concede to the others, tried with every value that anybody in play may state."""
    total: tuple[int, Fraction] = (0, Fraction(0))
    for key in ("height", "dimming"):
        asked = [one for one in conceding.requirements if one.key == key]
        points = [
            Attribute(key, key, unit, unit, value)
            for unit in ("", "m")
            for value in [*(Stated.of(Decimal(n)) for n in NUMBERS), Stated.of("DALI"), Stated.of("Zhaga")]
        ]
        suiting = [
            point for point in points if all(meets(one, point) for need in others for one in need.requirements if one.key == key)
        ]
        found = [
            (sum(one.mandatory for one in missed), sum((_distance(one, point) for one in missed), Fraction(0)))
            for point in suiting
            for missed in [[one for one in asked if not meets(one, point)]]
        ]
        if not found:
            return None
        least = min(found)
        total = (total[0] + least[0], total[1] + least[1])
    return total


def _distance(asked: Any, point: Attribute) -> Fraction:
    numbers = [value.number for value in asked.values if value.number is not None]
    there = point.value.number
    if there is None or not numbers or asked.unit_key != point.unit_key:
        return Fraction(1)
    return min(Fraction(abs(one - there)) / Fraction(max(one, there)) if one != there else Fraction(0) for one in numbers)


@given(several_needs(), st.randoms(use_true_random=False))
def test_the_order_of_the_needs_does_not_matter(several: list[Asking], chance: Any) -> None:
    shuffled = [*several]
    chance.shuffle(shuffled)
    assert compromise(shuffled) == compromise(several)


def test_every_concession_has_words_in_both_languages() -> None:
    assert {reason.code for reason in CONCESSIONS} == {"accept_too", "ask_instead", "name_one"}
    assert all(reason.en and reason.ja for reason in CONCESSIONS)
