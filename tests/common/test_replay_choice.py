"""What a replay chooses: of facts all that took effect, of state the version that stands, never what an operator decided."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from common.messaging.gate import LaneKey
from common.messaging.message import Partition
from common.operating.replay_choice import Choice, Decided, InOrder, PassedOver, Stored, choose

FACTS, STATE = "notify.notifications", "needs.needs"


def log(topic: str, *sequences: int, since: int = 1, until: int = 99) -> dict[LaneKey, dict[int, Stored]]:
    """A key's events in the log, one after the other; those from `since` to `until` are in the range."""
    return {(topic, "k"): {n: Stored(0, offset, since <= n <= until) for offset, n in enumerate(sequences)}}


def chosen(topic: str, *sequences: int, last: int, decided: Decided | None = None, since: int = 1, until: int = 99) -> Choice:
    return choose(log(topic, *sequences, since=since, until=until), {(topic, "k"): last}, decided or {}, {FACTS})


def test_of_facts_all_that_took_effect_is_replayed_in_order() -> None:
    choice = chosen(FACTS, 1, 3, 2, 4, 5, last=4)
    assert choice.runs == {(FACTS, "k"): [1, 2, 3, 4]}
    assert choice.places[Partition(FACTS, 0)][1] == (FACTS, "k", 3)
    assert choice.passed_over == {PassedOver.NOT_YET: 1}


def test_of_state_only_the_version_that_stands_is_replayed() -> None:
    choice = chosen(STATE, 1, 2, 3, 4, last=3)
    assert choice.runs == {(STATE, "k"): [3]}
    assert choice.passed_over == {PassedOver.NOT_YET: 1, PassedOver.OLDER: 2}


def test_a_version_after_the_range_is_replayed_in_place_of_the_older_one_that_was_asked_for() -> None:
    choice = chosen(STATE, 1, 2, 3, last=3, until=2)
    assert choice.runs == {(STATE, "k"): [3]}
    assert choice.passed_over == {PassedOver.OLDER: 2}


def test_a_key_that_has_nothing_in_the_range_is_left_alone() -> None:
    assert chosen(STATE, 1, 2, last=2, since=50).runs == {}
    assert chosen(FACTS, 1, 2, last=2, since=50).runs == {}


def test_a_standing_version_that_the_log_has_no_more_is_not_replaced_by_another() -> None:
    choice = chosen(STATE, 1, 2, 4, last=3)
    assert (choice.runs, choice.passed_over[PassedOver.GONE]) == ({}, 2)


def test_what_an_operator_decided_stays_decided() -> None:
    assert chosen(FACTS, 1, 2, 3, 4, last=4, decided={(FACTS, "k"): [(2, 3)]}).runs == {(FACTS, "k"): [1, 4]}
    assert chosen(STATE, 1, 2, last=2, decided={(STATE, "k"): [(2, 2)]}).runs == {}


def test_of_a_key_that_nothing_took_effect_of_nothing_is_replayed() -> None:
    assert choose(log(FACTS, 1, 2), {}, {}, {FACTS}).runs == {}


def test_a_keys_events_go_in_order_whatever_the_order_of_the_log() -> None:
    where = (FACTS, "k")
    for order in permutations([1, 2, 5]):
        in_order: InOrder[int] = InOrder({where: [1, 2, 5]})
        assert [went for n in order for went in in_order.take((*where, n), n)] == [1, 2, 5]
        assert list(in_order.rest()) == []


def test_nobody_waits_for_what_cannot_be_read_or_never_comes() -> None:
    where = (FACTS, "k")
    in_order: InOrder[int] = InOrder({where: [1, 2, 3, 4]})
    assert list(in_order.take((*where, 2), 2)) == []
    assert list(in_order.take((*where, 1), None)) == [2]
    assert list(in_order.take((*where, 4), 4)) == []
    assert list(in_order.rest()) == [4]


@given(st.lists(st.integers(1, 12), unique=True), st.integers(0, 12), st.integers(1, 12), st.integers(1, 12))
def test_nothing_that_did_not_take_effect_is_ever_chosen_and_everything_in_the_range_is_accounted_for(
    sequences: list[int], last: int, since: int, until: int
) -> None:
    asked = [n for n in sequences if since <= n <= until]
    for topic in (FACTS, STATE):
        choice = chosen(topic, *sequences, last=last, since=since, until=until)
        run = choice.runs.get((topic, "k"), [])
        assert all(n <= last for n in run)
        assert topic == FACTS or run in ([], [last])
        accounted = len(set(run) & set(asked)) + choice.passed_over.total()
        assert accounted == len(asked)
