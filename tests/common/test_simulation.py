"""The promise, driven through thousands of interleavings of everything that may go wrong: no Kafka, no PostgreSQL, no clock.

Each example is a world (`tests.common.simulated_world`) in which Hypothesis chooses what happens next. After each step nothing
may have taken effect twice, out of order or unaccepted; at the end the world heals, and everything accepted must take effect.
A failure prints its steps, how the world stands, and a blob with which Hypothesis repeats it.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from common.messaging.gate import LaneKey
from common.messaging.message import Partition
from tests.common.simulated_broker import Wish
from tests.common.simulated_source import WEEK
from tests.common.simulated_world import DENSE, PARTITION_OF, STATE, SimulatedWorld

EXAMPLES = 2_000
STEPS = 40

lanes = st.sampled_from(sorted(PARTITION_OF))
parts = st.sampled_from(sorted(set(PARTITION_OF.values())))
dense_parts = st.sampled_from(sorted({part for part in PARTITION_OF.values() if part.topic in DENSE}))
either = st.sampled_from([0, 1])
amounts = st.sampled_from([100, 1, 2])
places = st.integers(0, 30)


def happening(**arguments: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule in a world that goes on. In each example Hypothesis leaves out many rules, so none may depend on another."""

    def wrap(happens: Callable[..., None]) -> Callable[..., None]:
        @wraps(happens)
        def goes_on(self: "Machine", traffic: int, **chosen: Any) -> None:
            self.go_on(traffic)
            happens(self, **chosen)

        return rule(traffic=st.integers(0, 179), **arguments)(goes_on)

    return wrap


class Machine(RuleBasedStateMachine):
    """One world and what may happen in it. Hypothesis chooses among the rules evenly, so that rare things share a rule."""

    world_type = SimulatedWorld

    def __init__(self) -> None:
        super().__init__()
        self.world = self.world_type()
        self.source, self.broker, self.group = self.world.source, self.world.broker, self.world.group

    def go_on(self, traffic: int) -> None:
        """What goes on all the time: some keys announce something, it is sent, it is read; each of these or not."""
        far, which, events = traffic % 4, traffic // 4 % len(self.world.lanes), traffic // 20
        if far and events:
            places = range(which, which + events) if events % 2 else [which] * events
            self.world.announce([self.world.lanes[place // 2 % len(self.world.lanes)] for place in places])
        if far > 1:
            self.relay_all(0 if self.source.leader is None else self.source.leader)
        if far > 2:
            self.consume(100)

    # producing -------------------------------------------------------------------------------------------------------
    @happening(keys=st.lists(lanes, min_size=1, max_size=5), poison=st.sampled_from([None, None, True, False]), which=places)
    def announce(self, keys: list[LaneKey], poison: bool | None, which: int) -> None:
        """A transaction announces events; one may be such that it cannot be handled."""
        events = self.world.announce(keys)
        if events and poison is not None:
            self.group.poison[events[which % len(events)][:3]] = poison

    @happening(keys=st.lists(lanes, min_size=1, max_size=2, unique=True), process=st.sampled_from([1, 2]))
    def begin_elsewhere(self, keys: list[LaneKey], process: int) -> None:
        """Another process draws its batch number now and commits later."""
        self.world.begin(process, keys)

    @happening(process=st.sampled_from([1, 2]), well=st.sampled_from([True, True, False]))
    def end_elsewhere(self, process: int, well: bool) -> None:
        if well:
            self.world.commit(process)
        else:
            self.source.roll_back(process)

    # relays ----------------------------------------------------------------------------------------------------------
    @happening(which=either, steps=st.integers(1, 6), amount=amounts)
    def relay(self, which: int, steps: int, amount: int) -> None:
        """A few of the steps between which a relay may die."""
        for _ in range(steps):
            self.world.relay(which, amount)

    def relay_all(self, which: int) -> None:
        """What a relay usually does."""
        for _ in range(30):
            if not self.world.relay(which, 100):
                break

    @happening(which=either, what=st.sampled_from(["crash", "lose the session", "look"]))
    def something_happens_to_a_relay(self, which: int, what: str) -> None:
        match what:
            case "crash":
                self.world.end_of_a_relay(which, paused=False)
            case "lose the session":  # as one that was paused: it goes on, and writes what it had in hand
                self.world.end_of_a_relay(which, paused=True)
            case _:
                self.world.relay_looks(which)

    # the broker ------------------------------------------------------------------------------------------------------
    @happening(part=parts, lost=st.integers(1, 6))
    def the_broker_loses_a_tail(self, part: Partition, lost: int) -> None:
        self.world.cut(part, lost)

    @happening(part=parts, lost=st.integers(1, 20), read=st.booleans())
    def the_power_fails(self, part: Partition, lost: int, read: bool) -> None:
        """Written, perhaps read, never acknowledged, and lost with the relay, while a transaction that began before commits."""
        first, *others = [where for where in self.world.lanes if PARTITION_OF[where] == part]
        self.world.begin(1, [first])
        self.world.announce(others)
        which = 0 if self.source.leader is None else self.source.leader
        for _ in range(10):
            if self.source.relays[which].publishing and not self.source.relays[which].unwritten:
                break
            self.world.relay(which, 100)
        if read:
            self.consume(100)
        self.world.end_of_a_relay(which, paused=False)
        self.world.cut(part, lost)
        self.world.commit(1)

    @happening()
    def the_broker_loses_everything(self) -> None:
        self.world.lose_everything()

    @happening(part=dense_parts, which=places)
    def the_broker_loses_one(self, part: Partition, which: int) -> None:
        self.world.lose_one(part, which)

    @happening(part=parts, which=places, what=st.sampled_from(["repeat", "swap", "lose a wish"]))
    def something_happens_to_the_broker(self, part: Partition, which: int, what: str) -> None:
        match what:
            case "repeat":
                self.world.repeat_one(part, which)
            case "swap":
                self.broker.swap_last_two(part, self.world.unread_from(part))
            case _:
                self.broker.wishes[:1] = []

    # readers ---------------------------------------------------------------------------------------------------------
    def consume(self, amount: int) -> None:
        """What consumers usually do."""
        for part, which in self.group.assigned.items():
            self.group.claim(which, part)
            self.group.fetch(which, part, amount)
            self.group.begin(which, part, amount)
            self.group.commit(which)

    @happening(part=parts, amount=amounts)
    def fetch(self, part: Partition, amount: int) -> None:
        which = self.group.assigned[part]
        self.group.claim(which, part)
        self.group.fetch(which, part, amount)

    @happening(which=either, part=parts, amount=amounts)
    def begin(self, which: int, part: Partition, amount: int) -> None:
        self.group.fetch(which, part, amount)
        self.group.begin(which, part, amount)

    @happening(which=either)
    def commit(self, which: int) -> None:
        self.group.commit(which)

    @happening(part=parts, to=either, told=st.booleans())
    def partitions_change_hands(self, part: Partition, to: int, told: bool) -> None:
        self.group.rebalance(part, to, told=told)

    @happening(which=either, what=st.sampled_from(["crash", "crash", "look", "trouble", "lasting trouble"]))
    def something_happens_to_a_consumer(self, which: int, what: str) -> None:
        match what:
            case "crash":
                self.group.crash(which)
            case "look":
                self.group.look(which)
            case _:
                self.group.troubles = 1 if what == "trouble" else 7

    # parked events ---------------------------------------------------------------------------------------------------
    @happening(which=either)
    def unpark(self, which: int) -> None:
        self.world.wait_until_due()
        self.group.begin_retry(which)
        self.group.commit_retry(which)

    @happening(which=either)
    def begin_to_unpark(self, which: int) -> None:
        self.world.wait_until_due()
        self.group.begin_retry(which)

    @happening(which=either)
    def finish_to_unpark(self, which: int) -> None:
        self.group.commit_retry(which)

    @happening(which=either, part=parts, first=st.booleans(), mended=st.booleans())
    def a_consumer_and_the_unparker_work_at_once(self, which: int, part: Partition, first: bool, mended: bool) -> None:
        """Both have read; whoever commits second must see that the other one was there."""
        self.world.wait_until_due()
        if mended:
            self.group.poison.clear()
        if first:
            self.group.begin_retry(which)
        self.group.fetch(self.group.assigned[part], part, 100)
        self.group.begin(self.group.assigned[part], part, 100)
        self.group.begin_retry(which)
        if first:
            self.group.commit(self.group.assigned[part])
        self.group.commit_retry(which)
        self.group.commit(self.group.assigned[part])

    @happening(where=lanes, which=either, first=st.booleans())
    def a_mended_event_races_with_a_newer_one(self, where: LaneKey, which: int, first: bool) -> None:
        """An event was parked and is tried again, while the next one of its key arrives."""
        if events := self.world.announce([where]):
            self.group.poison[events[0][:3]] = False
        self.go_on(3)
        self.world.announce([where])
        self.go_on(2)
        self.a_consumer_and_the_unparker_work_at_once(0, which=which, part=PARTITION_OF[where], first=first, mended=True)

    @happening(where=lanes, what=st.sampled_from(["retry", "skip", "mend"]))
    def an_operator(self, where: LaneKey, what: str) -> None:
        match what:
            case "retry":
                self.group.retry(where)
            case "skip":
                self.world.skip(where)
            case _:
                self.group.poison.clear()

    # time ------------------------------------------------------------------------------------------------------------
    @happening(seconds=st.sampled_from([1, 60, 3_700, WEEK]))
    def time_passes(self, seconds: int) -> None:
        self.world.wait(seconds)

    @happening(which=either, mark=st.booleans())
    def a_reader_reports(self, which: int, mark: bool) -> None:
        self.world.report(which)
        if mark:
            self.source.mark(self.group.now)

    @happening()
    def old_rows_are_pruned(self) -> None:
        self.world.wait(WEEK + 1)
        self.source.prune(self.group.now, self.world.broken)

    # what must hold --------------------------------------------------------------------------------------------------
    @invariant()
    def nothing_took_effect_that_must_not(self) -> None:
        self.world.check()

    @invariant()
    def nothing_is_out_of_reach(self) -> None:
        self.world.check_that_nothing_is_out_of_reach()

    def teardown(self) -> None:
        self.world.drain()


SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
Machine.TestCase.settings = SETTINGS
TestEverythingAcceptedTakesEffectOnceAndInOrder = Machine.TestCase


def test_a_compacted_log_is_no_full_copy_once_a_zombie_wrote_an_old_version_last() -> None:
    """A limit, not a promise: what has to be complete is read again from the source (`Resend` of a whole topic), not from a log
    that is older than its compaction lag. Readers that are there have the newer version, and drop the old one."""
    world, where, part = SimulatedWorld(), (STATE, "x"), Partition(STATE, 0)
    world.announce([where])
    while not world.source.relays[0].unwritten:
        world.relay(0, 100)
    world.end_of_a_relay(0, paused=True)
    world.announce([where])
    while world.relay(1, 100):
        pass
    while world.group.claim(0, part) or world.group.fetch(0, part, 100):
        world.group.begin(0, part, 100)
        world.group.commit(0)
    world.relay(0, 100)  # the paused one goes on
    assert [record.event.sequence for record in world.broker.logs[part]][-2:] == [2, 1]
    assert world.group.cursor[where] == 2
    world.broker.compact(part, world.broker.ends[part])
    assert [record.event.sequence for record in world.broker.logs[part]] == [1]
    world.drain()


def test_what_was_sent_to_who_missed_it_and_then_lost_hides_nothing_from_that_reader() -> None:
    world = SimulatedWorld()
    lane, part = next((lane, part) for lane, part in sorted(PARTITION_OF.items()) if part.topic in DENSE)
    other = next(where for where, at in sorted(PARTITION_OF.items()) if at == part and where != lane)
    world.announce([lane])
    world.work_a_round()
    world.broker.wishes.append(Wish(*lane, 1, 1))
    while not world.source.relays[0].publishing or world.source.relays[0].unwritten:
        world.relay(0, 100)
    world.group.fetch(0, part, 100)
    world.group.begin(0, part, 100)
    world.group.commit(0)
    world.end_of_a_relay(0, paused=False)
    world.cut(part, 1)
    world.relay(1, 100)
    world.announce([other])
    while world.relay(1, 100):
        pass
    world.check_that_nothing_is_out_of_reach()
