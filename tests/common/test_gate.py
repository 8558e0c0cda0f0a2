"""The gate's decisions, one by one. What becomes of them whatever goes wrong: `test_simulation` and `test_small_world`."""

import hypothesis.strategies as st
from hypothesis import given

from common.messaging import gate
from common.messaging.gate import Halving, Lane, Refusal, Verdict, judge
from common.messaging.message import Event

KEYS = ["a", "b", "c"]
DENSE = frozenset({"t"})
STATE: frozenset[str] = frozenset()


def an_event(key: str, sequence: int, *, topic: str = "t", kind: str = "x.v1") -> Event:
    return Event(topic, key, sequence, f"id-{key}-{sequence}", kind, "/s", "2026-11-01T00:00:00Z", b"{}")


def test_one_poison_among_a_thousand_costs_twenty_savepoints_and_blocks_only_its_key() -> None:
    events = [an_event(f"k{n}", 1) for n in range(1000)] + [an_event("k7", 2), an_event("k8", 2)]
    work, tries = Halving(events, DENSE), 0
    while part := work.next():
        tries += 1
        work.failed("bad") if any(e.key == "k7" and e.sequence == 1 for e in part) else work.succeeded()
    assert tries <= 21
    assert [(p.event.key, p.event.sequence, p.reason) for p in work.parked] == [("k7", 1, "poison"), ("k7", 2, "behind")]
    assert len(work.done) == 1000


def test_a_refused_event_is_never_tried_and_in_a_dense_topic_its_key_waits_behind_it() -> None:
    events = [an_event("a", 1), an_event("b", 1), an_event("a", 2)]
    work = Halving(events, DENSE, {("t", "a", 1): Refusal("/price", "too low")})
    assert work.next() == [an_event("b", 1)]
    assert [(p.event.sequence, p.reason, p.refusal and p.refusal.pointer) for p in work.parked] == [
        (1, "poison", "/price"),
        (2, "behind", None),
    ]


def test_in_a_state_topic_a_newer_version_is_tried_although_an_older_one_is_poison() -> None:
    work = Halving([an_event("a", 1), an_event("a", 2)], STATE, {("t", "a", 1): Refusal("", "bad")})
    assert work.next() == [an_event("a", 2)]
    assert judge(Lane(0, head=1), 2, dense=False) is Verdict.HANDLE


def test_in_a_dense_topic_a_missing_event_that_arrives_late_is_handled_at_once() -> None:
    assert judge(Lane(3, head=5), 4, dense=True) is Verdict.HANDLE
    assert judge(Lane(3, head=4), 4, dense=True) is Verdict.BEHIND  # it is the parked one itself, again


def test_a_jump_is_a_gap_only_where_every_event_counts() -> None:
    assert judge(Lane(3), 5, dense=True) is Verdict.GAP
    assert judge(Lane(3), 5, dense=False) is Verdict.HANDLE
    assert judge(Lane(3), 3, dense=False) is Verdict.REPEAT


def test_events_of_one_type_reach_their_handler_in_one_list() -> None:
    events = [an_event("a", 1, kind="x"), an_event("b", 1, kind="y"), an_event("c", 1, kind="x")]
    assert gate.runs(events) == [[events[0], events[2]], [events[1]]]


events_of_two_types = st.lists(st.tuples(st.sampled_from("tu"), st.sampled_from(KEYS), st.sampled_from("xy")), max_size=30)


@given(events_of_two_types)
def test_grouping_by_type_never_turns_a_keys_order_around(wanted: list[tuple[str, str, str]]) -> None:
    events = [an_event(key, n, topic=topic, kind=kind) for n, (topic, key, kind) in enumerate(wanted, 1)]
    groups = gate.runs(events)
    assert all(len({(e.topic, e.type) for e in group}) == 1 for group in groups)
    flat = [event for group in groups for event in group]
    assert sorted(flat) == sorted(events)
    for where in {event[:2] for event in events}:
        assert [e for e in flat if e[:2] == where] == [e for e in events if e[:2] == where]


def test_an_event_parked_in_this_very_batch_is_not_handled_when_it_comes_again() -> None:
    plan = gate.sort([an_event("a", n) for n in (3, 1, 2, 3)], {}, DENSE)
    assert [event.sequence for event in plan.run] == [1, 2]
    assert [(item.event.sequence, item.reason) for item in plan.parked] == [(3, "gap"), (3, "behind")]
