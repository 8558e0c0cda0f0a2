"""The rules by which parked events go on, without any database."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from common.messaging import gate
from common.messaging.gate import Lane, Parked
from common.messaging.unparking import Step, Waiting, attempts_after, plan, wait_after
from tests.common.records import an_event

KEY: gate.LaneKey = ("t", "k")
DENSE = frozenset({"t"})


def held(*sequences: int, due: bool = True, reason: str = "poison", attempts: int = 1) -> list[Waiting]:
    return [Waiting(an_event(topic="t", key="k", sequence=n), reason, attempts, due) for n in sequences]


def numbers(events: list[Waiting]) -> list[int]:
    return [one.sequence for one in events]


def test_a_head_that_is_next_is_tried_with_all_that_follow_it_up_to_the_next_hole() -> None:
    found = plan(3, held(4, 5, 6, 8), dense=True)
    assert (found.step, numbers(list(found.events))) == (Step.TRY, [4, 5, 6])


def test_a_head_with_a_hole_before_it_is_asked_for_alone() -> None:
    found = plan(3, held(6, 7), dense=True)
    assert (found.step, numbers(list(found.events))) == (Step.FETCH, [6])


def test_a_head_whose_time_has_not_come_is_left_alone_whoever_stands_behind_it() -> None:
    assert plan(3, [*held(4, due=False), *held(5)], dense=True).step is Step.WAIT
    assert plan(3, [*held(6, due=False), *held(7)], dense=True).step is Step.WAIT


def test_what_took_effect_meanwhile_is_dropped_first_whether_it_is_due_or_not() -> None:
    found = plan(5, [*held(4, due=False), *held(5, 6)], dense=True)
    assert (found.step, numbers(list(found.events))) == (Step.DROP, [4, 5])


def test_of_a_state_topic_all_that_are_due_are_tried_with_any_holes() -> None:
    found = plan(3, held(5, 9), dense=False)
    assert (found.step, numbers(list(found.events))) == (Step.TRY, [5, 9])


def test_the_waits_are_counted_anew_when_the_reason_changes() -> None:
    [gap] = held(4, reason="gap", attempts=7)
    assert (attempts_after(gap, "gap"), attempts_after(gap, "poison")) == (8, 1)


def test_the_waits_grow_to_an_hour_and_end_after_eleven() -> None:
    waits = [wait_after(n) for n in range(1, 13)]
    assert waits[:5] == [timedelta(seconds=n) for n in (1, 5, 30, 120, 600)]
    assert waits[5:] == [timedelta(hours=1)] * 6 + [None]


@given(st.integers(0, 9), st.sets(st.integers(1, 12), min_size=1), st.booleans())
def test_whatever_is_tried_rises_above_the_last_and_in_a_dense_topic_without_holes(
    last: int, parked: set[int], dense: bool
) -> None:
    found = plan(last, held(*sorted(parked)), dense=dense)
    if found.step is Step.TRY:
        tried = numbers(list(found.events))
        assert tried == sorted(tried)
        assert tried[0] > last
        if dense:
            assert tried == list(range(last + 1, last + 1 + len(tried)))
    elif found.step is Step.FETCH:
        assert dense
        assert min(parked) > last + 1


def test_a_head_is_woken_when_its_key_has_come_right_before_it_and_only_in_a_dense_topic() -> None:
    lanes: dict[gate.LaneKey, Lane] = {KEY: Lane(3, head=6)}
    assert gate.woken(lanes, [], {KEY: 4}, DENSE) == {}
    assert gate.woken(lanes, [], {KEY: 5}, DENSE) == {KEY: 6}
    assert gate.woken(lanes, [], {KEY: 5}, frozenset()) == {}


def test_a_head_that_was_parked_in_the_same_batch_is_woken_too() -> None:
    waiting = [Parked(an_event(topic="t", key="k", sequence=3), "gap")]
    assert gate.woken({KEY: Lane(0)}, waiting, {KEY: 2}, DENSE) == {KEY: 3}
    assert gate.woken({}, waiting, {KEY: 2}, DENSE) == {KEY: 3}
