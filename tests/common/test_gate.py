"""The gate, driven through thousands of interleavings: no Kafka, no PostgreSQL, no clock.

`World` is a source with dense keys, a log that repeats, swaps and loses records, and a store that commits a batch as a whole or
(a crash) not at all. Whatever the log does, every event takes effect once and in order.
"""

from collections import defaultdict

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from common import gate
from common.gate import Halving, Lane, LaneKey, Move, Refusal, Verdict, judge
from common.message import Event

KEYS = ["a", "b", "c"]
DENSE = frozenset({"t"})
STATE: frozenset[str] = frozenset()


def an_event(key: str, sequence: int, *, topic: str = "t", kind: str = "x.v1") -> Event:
    return Event(topic, key, sequence, f"id-{key}-{sequence}", kind, "/s", "2026-11-01T00:00:00Z", b"{}")


class World(RuleBasedStateMachine):
    """Commits are all or nothing, as in PostgreSQL. `poison` events fail until they are cured."""

    dense = DENSE

    @initialize()
    def start(self) -> None:
        self.sent: dict[str, int] = defaultdict(int)  # what the source announced
        self.log: list[Event] = []  # what the broker will deliver
        self.cursor: dict[str, int] = defaultdict(int)
        self.parked: dict[str, dict[int, str]] = defaultdict(dict)  # key -> sequence -> reason
        self.effects: dict[str, list[int]] = defaultdict(list)
        self.poison: set[tuple[str, int]] = set()

    def lanes(self) -> dict[LaneKey, Lane]:
        return {
            ("t", key): Lane(self.cursor[key], min(self.parked[key], default=None))
            for key in KEYS
            if self.cursor[key] or self.parked[key]
        }

    # the world -------------------------------------------------------------------------------------------------------
    @rule(key=st.sampled_from(KEYS), amount=st.integers(1, 4), poison=st.booleans())
    def announce(self, key: str, amount: int, poison: bool) -> None:
        for _ in range(amount):
            self.sent[key] += 1
            self.log.append(an_event(key, self.sent[key]))
        if poison:
            self.poison.add((key, self.sent[key]))

    @rule(key=st.sampled_from(KEYS), part=st.floats(0, 1))
    def send_again_from_somewhere(self, key: str, part: float) -> None:
        first = 1 + int(part * self.sent[key])
        self.log += [an_event(key, sequence) for sequence in range(first, self.sent[key] + 1)]

    @rule(one=st.integers(0, 50), other=st.integers(0, 50))
    def swap(self, one: int, other: int) -> None:
        if self.log:
            one, other = one % len(self.log), other % len(self.log)
            self.log[one], self.log[other] = self.log[other], self.log[one]

    @rule(which=st.integers(0, 50))
    def lose(self, which: int) -> None:
        if self.log:
            del self.log[which % len(self.log)]

    @rule()
    def cure(self) -> None:
        self.poison.clear()

    # the system ------------------------------------------------------------------------------------------------------
    @rule(amount=st.integers(1, 12), crash=st.booleans(), refuse=st.booleans())
    def consume(self, amount: int, crash: bool, refuse: bool) -> None:
        """One batch. Poison shows when the contract is checked (`refuse`) or when the handler runs."""
        batch, lanes = self.log[:amount], self.lanes()
        plan = gate.sort(batch, lanes, self.dense)
        if gate.all_moved(batch, self.expected_moves(batch)) and not any(lane.head for lane in lanes.values()):
            assert plan == gate.Plan(batch)  # the store does not judge such a batch at all
        refused = {e[:3]: Refusal("/x", "bad") for e in plan.run if (e.key, e.sequence) in self.poison} if refuse else {}
        work = Halving(plan.run, self.dense, refused)
        while events := work.next():
            work.failed("poison") if any((e.key, e.sequence) in self.poison for e in events) else work.succeeded()
        if crash:
            return  # nothing was committed, the log delivers the batch again
        for event in work.done:
            self.effects[event.key].append(event.sequence)
        self.move_cursors(batch, lanes, gate.reached(work.done))
        for event, reason, _ in plan.parked + work.parked:
            self.parked[event.key].setdefault(event.sequence, reason)
        if not self.dense:
            for key, waiting in self.parked.items():
                self.parked[key] = {n: reason for n, reason in waiting.items() if n > self.cursor[key]}
        del self.log[:amount]

    def move_cursors(self, batch: list[Event], lanes: dict[LaneKey, Lane], done: dict[LaneKey, int]) -> None:
        """As the store does: where all is as expected at once, then what is left; each only from where it stands."""
        moved = self.expected_moves(batch)
        for (_, key), move in moved.items():
            self.cursor[key] = move.last
        for (_, key), move in gate.corrections(lanes, moved, done).items():
            assert self.cursor[key] == move.before
            self.cursor[key] = move.last

    def expected_moves(self, batch: list[Event]) -> dict[LaneKey, Move]:
        return {where: move for where, move in gate.expected(batch).items() if self.cursor[where[1]] == move.before}

    def drain(self) -> None:
        self.poison.clear()
        while self.log:
            self.consume(50, False, False)

    # what must hold --------------------------------------------------------------------------------------------------
    @invariant()
    def every_event_at_most_once_and_in_order(self) -> None:
        for key, sequences in getattr(self, "effects", {}).items():
            assert sequences == list(range(1, len(sequences) + 1)), (key, sequences)

    @invariant()
    def poison_has_no_effect(self) -> None:
        for key, sequence in getattr(self, "poison", set()):
            assert sequence not in self.effects[key]

    @invariant()
    def nothing_parked_has_taken_effect(self) -> None:
        for key, waiting in getattr(self, "parked", {}).items():
            assert not set(waiting) & set(self.effects[key])

    def teardown(self) -> None:
        """Heal, give every key's parked events another try as an un-parker will, send everything again: all took effect."""
        if not hasattr(self, "sent"):
            return
        self.drain()
        for key in KEYS:
            self.parked[key].clear()
        self.log = [an_event(key, sequence) for key in KEYS for sequence in range(1, self.sent[key] + 1)]
        self.drain()
        for key in KEYS:
            assert self.effects[key] == list(range(1, self.sent[key] + 1)), (key, self.effects[key])


class NewestStateWorld(World):
    """The same for topics whose events carry the whole aggregate: order must rise, and the newest version arrives."""

    dense = STATE

    @invariant()
    def every_event_at_most_once_and_in_order(self) -> None:
        for key, sequences in getattr(self, "effects", {}).items():
            assert sequences == sorted(set(sequences)), (key, sequences)

    def teardown(self) -> None:
        """Heal and deliver only the newest version of each key: nothing waits any more."""
        if not hasattr(self, "sent"):
            return
        self.poison.clear()
        self.log += [an_event(key, self.sent[key]) for key in KEYS if self.sent[key]]
        self.drain()
        assert all(self.cursor[key] == self.sent[key] for key in KEYS)
        assert not any(self.parked.values())


World.TestCase.settings = NewestStateWorld.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestEveryEventTakesEffectOnceAndInOrder = World.TestCase
TestTheNewestStateAlwaysArrives = NewestStateWorld.TestCase


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
