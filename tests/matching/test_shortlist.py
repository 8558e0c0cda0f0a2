"""The exact ten best, and keeping them exact while offerings change."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.workload import World
from matching.domain.circumstances import Circumstances
from matching.domain.places import fields_of, places, steps, wide_field
from matching.domain.shortlist import LENGTH, Rank, after_changes, entry_score, judge, shortlist
from matching.domain.sides import Need, Offering
from tests.matching.pairs import NOW, circumstances_of, need, offering


def test_the_prototype_s_street_lights_earn_what_they_should() -> None:
    judged = judge(need(), offering(), NOW)
    assert judged is not None
    assert judged.rank.score == 20 + 15 + 10 + 16 + 8 + 12 + 8 + 5


def test_equal_scores_stand_in_the_order_of_their_ids() -> None:
    twins = [offering(id=f"offering-{letter}") for letter in "cab"]
    assert [one.offering.id for one in shortlist(need(), twins, NOW)] == ["offering-a", "offering-b", "offering-c"]


@given(st.integers(0, 10_000), st.integers(5, 60))
@settings(max_examples=60, deadline=None)
def test_the_list_is_the_best_ten_of_all(seed: int, offerings: int) -> None:
    world = World(seed=seed, technologies=3, countries=2)
    circumstances = circumstances_of(world)
    one = Need.of(world.need())
    everything = [Offering.of(world.offering()) for _ in range(offerings)]
    judged = (judge(one, other, circumstances) for other in everything)
    right = sorted(found.rank for found in judged if found)[:LENGTH]
    assert [found.rank for found in shortlist(one, everything, circumstances)] == right


scores = st.dictionaries(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.integers(0, 6), max_size=26)
changed = st.dictionaries(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.none() | st.integers(0, 6), max_size=5)


@given(scores, changed)
@settings(max_examples=500)
def test_changes_fitted_into_a_list_give_what_a_search_gives_or_ask_for_one(
    before: Mapping[str, int], changes: Mapping[str, int | None]
) -> None:
    standing = sorted(Rank.of(score, id_) for id_, score in before.items())[:LENGTH]
    floor = entry_score(standing)
    seen = {  # what does not reach the list is not even judged
        id_: None if score is None or score < floor else Rank.of(score, id_) for id_, score in changes.items()
    }
    after = {id_: score for id_, score in {**before, **changes}.items() if score is not None}
    right = sorted(Rank.of(score, id_) for id_, score in after.items())[:LENGTH]
    fitted = after_changes(standing, seen)
    if fitted is None:
        assert len(standing) == LENGTH
        assert any(rank.offering_id in changes for rank in standing)
    else:
        assert fitted == right


def test_a_list_with_room_never_asks_for_a_search() -> None:
    standing = [Rank.of(50, "a"), Rank.of(40, "b")]
    assert after_changes(standing, {"a": None}) == [Rank.of(40, "b")]


def test_an_offering_that_fell_from_a_full_list_asks_for_a_search() -> None:
    standing = [Rank.of(50, letter) for letter in "abcdefghij"]
    assert after_changes(standing, {"a": Rank.of(49, "a")}) is None
    assert after_changes(standing, {"a": Rank.of(51, "a")}) == [Rank.of(51, "a"), *standing[1:]]


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_no_offering_earns_more_in_a_place_than_the_place_says(seed: int) -> None:
    world = World(seed=seed, technologies=6, countries=3)
    circumstances = Circumstances(world.today, {})
    needs = [Need.of(world.need()) for _ in range(8)]
    for other in (Offering.of(world.offering()) for _ in range(8)):
        bounds = {(place.technology, place.unit, place.country): place.most for place in places(other)}
        for one in needs:
            judged = judge(one, other, circumstances)
            if judged is not None:
                assert judged.rank.score <= bounds[one.technology, one.unit, one.country]
                assert {wide_field(one), steps(one)[-1].field} <= set(fields_of(other))
                assert judged.rank.score <= next(step.most for step in steps(one) if step.field in fields_of(other))
