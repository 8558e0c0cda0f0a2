"""The exact ten best, and keeping them exact while offerings change."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.workload import World
from matching.domain.circumstances import Circumstances
from matching.domain.places import fields_of, places, steps, wide_field
from matching.domain.shortlist import KEPT, LENGTH, Rank, Standing, after_changes, best_of, judge
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


LETTERS = [f"{number:02}" for number in range(40)]
scores = st.dictionaries(st.sampled_from(LETTERS), st.integers(0, 6), min_size=8, max_size=40)
rounds = st.lists(st.dictionaries(st.sampled_from(LETTERS), st.none() | st.integers(0, 6), max_size=8), min_size=1, max_size=8)


@given(scores, rounds)
@settings(max_examples=500)
def test_changes_fitted_in_give_what_a_search_gives_or_ask_for_one(
    before: dict[str, int], changes: list[dict[str, int | None]]
) -> None:
    everything: dict[str, int | None] = {**before}
    standing = kept(everything)
    for change in changes:
        everything |= change
        seen = {  # what does not reach the floor is not even judged
            id_: None if score is None or score < standing.entry_score else Rank.of(score, id_) for id_, score in change.items()
        }
        fitted = after_changes(standing, seen)
        if fitted is None:
            assert standing.floor is not None
            fitted = kept(everything)
        right = ranks_of(everything)
        assert fitted.listed == right[:LENGTH]
        assert fitted.ranks == [rank for rank in right if fitted.floor is None or rank <= fitted.floor]
        assert len(fitted.ranks) <= KEPT
        standing = fitted


def ranks_of(everything: Mapping[str, int | None]) -> list[Rank]:
    return sorted(Rank.of(score, id_) for id_, score in everything.items() if score is not None)


def kept(everything: Mapping[str, int | None]) -> Standing:
    """What a search keeps."""
    best = ranks_of(everything)[:KEPT]
    return Standing(best, best[-1] if len(best) == KEPT else None)


def full(score: int = 50) -> Standing:
    """As many as are kept, all with the same score."""
    ranks = [Rank.of(score, f"{number:02}") for number in range(KEPT)]
    return Standing(ranks, ranks[-1])


def test_a_list_with_room_never_asks_for_a_search() -> None:
    standing = Standing([Rank.of(50, "a"), Rank.of(40, "b")], None)
    assert after_changes(standing, {"a": None}) == Standing([Rank.of(40, "b")], None)


def test_who_is_in_line_moves_up_when_one_leaves() -> None:
    after = after_changes(full(), {"00": None})
    assert after is not None
    assert after.listed == full().ranks[1 : LENGTH + 1]


def test_a_search_is_asked_for_when_nobody_is_in_line_any_more() -> None:
    in_line = KEPT - LENGTH
    assert after_changes(full(), {f"{number:02}": None for number in range(in_line)}) is not None
    assert after_changes(full(), {f"{number:02}": None for number in range(in_line + 1)}) is None


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
