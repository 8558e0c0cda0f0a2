"""The exact best of a need."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.workload import World
from matching.domain.circumstances import Circumstances
from matching.domain.places import fields_of, steps, wide_field
from matching.domain.shortlist import KEPT, best_of, judge
from matching.domain.sides import Need, Offering
from tests.matching.pairs import NOW, circumstances_of, need, offering


def test_the_prototype_s_street_lights_earn_what_they_should() -> None:
    judged = judge(need(), offering(), NOW)
    assert judged is not None
    assert judged.rank.score == 20 + 15 + 10 + 16 + 8 + 12 + 8 + 5


def test_equal_scores_stand_in_the_order_of_their_ids() -> None:
    twins = [offering(id=f"offering-{letter}") for letter in "cab"]
    assert [one.offering.id for one in best_of(need(), twins, NOW)] == ["offering-a", "offering-b", "offering-c"]


@given(st.integers(0, 10_000), st.integers(5, 90))
@settings(max_examples=60, deadline=None)
def test_what_is_kept_are_the_best_of_all(seed: int, offerings: int) -> None:
    world = World(seed=seed, technologies=3, countries=2)
    circumstances = circumstances_of(world)
    one = Need.of(world.need())
    everything = [Offering.of(world.offering()) for _ in range(offerings)]
    judged = (judge(one, other, circumstances) for other in everything)
    right = sorted(found.rank for found in judged if found)[:KEPT]
    found = best_of(one, everything[::2], circumstances)
    assert [one.rank for one in best_of(one, everything[1::2], circumstances, found)] == right


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_no_offering_earns_more_than_the_step_of_its_field_says(seed: int) -> None:
    world = World(seed=seed, technologies=6, countries=3)
    circumstances = Circumstances(world.today, {})
    needs = [Need.of(world.need()) for _ in range(8)]
    for other in (Offering.of(world.offering()) for _ in range(8)):
        for one in needs:
            judged = judge(one, other, circumstances)
            if judged is not None:
                assert {wide_field(one), steps(one)[-1].field} <= set(fields_of(other))
                assert judged.rank.score <= next(step.most for step in steps(one) if step.field in fields_of(other))
