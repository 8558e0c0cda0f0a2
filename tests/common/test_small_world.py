"""Every interleaving of a small world, not a sample: a search, breadth first, over all states that can be reached.

Two keys with up to three events each, two relays, two consumers, one loss of the log, and a budget of other faults. The steps are
those of the simulated world, the decisions those of the product. After each step the invariants hold; where nothing is left to
do, all has taken effect. Bounds and reductions are named at `Scope`, `Small` and `fingerprint`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from common.messaging.message import Event, Partition
from common.messaging.sending import Sending
from tests.common.planted_in_simulation import ForgetsBeforeTheAcknowledgement, LeadsWithoutALock
from tests.common.simulated_broker import Record
from tests.common.simulated_group import Member, SimulatedGroup
from tests.common.simulated_source import Relay, SimulatedSource
from tests.common.simulated_world import FACTS, STATE, SimulatedWorld

EVENTS = 3
"""Of each key; both keys' in one transaction."""
AT_MOST = 100_000
"""States; more would mean that a bound is missing."""


class Scope(NamedTuple):
    """What a search looks at closely. The whole product of all steps and all faults has tens of millions of states; what is not
    looked at closely takes its steps at once, and none of its processes dies."""

    topic: str
    relays: bool
    readers: bool
    losses: int
    faults: int
    events: int = EVENTS


class Small:
    """A world and what may still befall it.

    Bounds: one partition; a relay sends one batch at once, in one request; a consumer takes all that is there; the log is lost
    once (all of it, or a tail of any length), and so many other things happen: a relay or a consumer crashes, a relay loses its
    session unknowingly, the partition changes hands, with or without a word to its owner."""

    def __init__(self, world: SimulatedWorld, scope: Scope) -> None:
        self.world, self.scope = world, scope

    def after(self, move: Callable[[SimulatedWorld], object], losses: int = 0, faults: int = 0) -> "Small":
        """The world after a move."""
        world = self.world.clone()
        move(world)
        return Small(world, self.scope._replace(losses=self.scope.losses - losses, faults=self.scope.faults - faults))

    def progress(self) -> Iterator["Small"]:
        """What may happen without any fault."""
        world, part = self.world, self.world.parts[0]
        if len(world.accepted[world.lanes[0]]) < self.scope.events:
            yield self.after(lambda w: w.announce(w.lanes))
        for which in (0, 1):
            yield self.after(lambda w, which=which: send(w, which, at_once=not self.scope.relays))
            yield self.after(lambda w, which=which: w.relay_looks(which))
            yield self.after(lambda w, which=which: read(w.group, which, part, at_once=not self.scope.readers))
            yield self.after(lambda w, which=which: w.group.look(which))
            if self.may_unpark():
                yield self.after(lambda w, which=which: unpark(w, which, at_once=not self.scope.readers))

    def may_unpark(self) -> bool:
        """An event that is next may be tried at any time; for what is missing is asked only when nothing else is under way, or
        the wishes and their answers would have no end."""
        world, part = self.world, self.world.parts[0]
        group = world.group
        if any(member.retry for member in group.members):
            return True
        for where in group.parked:
            waiting = group.waiting(where)
            if waiting and (where[0] != FACTS or waiting[0] <= group.cursor.get(where, 0) + 1):
                return True
        sent = not world.source.unsent and not any(relay.publishing for relay in world.source.relays)
        read = all(
            not member.hand and not member.work and member.position.get(part, 0) >= world.broker.ends[part]
            for which, member in enumerate(group.members)
            if which == group.assigned[part]
        )
        return sent and read and not world.broker.wishes and bool(group.parked)

    def befalls(self) -> Iterator["Small"]:
        """What may go wrong."""
        part = self.world.parts[0]
        if self.scope.losses:
            yield self.after(lambda w: w.lose_everything(), losses=1)
            for lost in range(1, self.world.broker.ends[part] + 1):
                yield self.after(lambda w, lost=lost: w.cut(part, lost), losses=1)
        if self.scope.faults and self.scope.relays:
            for which in (0, 1):
                yield self.after(lambda w, which=which: w.end_of_a_relay(which, paused=False), faults=1)
                yield self.after(lambda w, which=which: w.end_of_a_relay(which, paused=True), faults=1)
        if self.scope.faults and self.scope.readers:
            for which in (0, 1):
                yield self.after(lambda w, which=which: w.group.crash(which), faults=1)
            other = 1 - self.world.group.assigned[part]
            for told in (True, False):
                yield self.after(lambda w, told=told: w.group.rebalance(part, other, told=told), faults=1)


def send(world: SimulatedWorld, which: int, *, at_once: bool) -> None:
    """A relay's next step, or all that it has to do."""
    while world.relay(which, 100) and at_once:
        pass


def read(group: SimulatedGroup, which: int, part: Partition, *, at_once: bool) -> None:
    """A consumer's next step, or all that it has to do."""
    while (
        group.commit(which) or group.claim(which, part) or group.begin(which, part, 100) or group.fetch(which, part, 100)
    ) and at_once:
        pass


def unpark(world: SimulatedWorld, which: int, *, at_once: bool) -> None:
    """The un-parker's two steps; its waits are over at once."""
    if not world.group.commit_retry(which):
        world.wait_until_due()
        world.group.begin_retry(which)
        if at_once:
            world.group.commit_retry(which)


def fingerprint(small: Small) -> object:
    """What tells two states apart, as far as it can still matter.

    Left out: the clock and all times (every wait may be over at any time), attempts, the numbers of generations (only whether one
    is the newest), which relay and which consumer is which (they are alike), what a relay remembers without leading, and, when
    nothing can be lost any more, the part of the log that is read."""
    world = small.world
    source, broker, group, part = world.source, world.broker, world.group, world.parts[0]
    offset = group.offsets.get(part)
    newest = offset.generation if offset else 0
    current = offset is not None and offset.incarnation == broker.incarnation and not small.scope.losses
    unread = offset.next if offset and current and offset.next <= broker.ends[part] and not world.unnoticed else 0
    relays = sorted((of_relay(relay, leads=source.leader == which) for which, relay in enumerate(source.relays)), key=repr)
    members = sorted(
        ((of_member(member, part, newest), group.assigned[part] == which) for which, member in enumerate(group.members)), key=repr
    )
    return (
        small.scope,
        source.last_batch,
        tuple(sorted(source.unsent)),
        of_sending(source.life),
        tuple(relays),
        broker.incarnation,
        tuple(of_records(broker.read(part, unread, 10**9))),
        tuple(broker.wishes),
        broker.ends[part],
        broker.stray[part] if small.scope.losses else 0,
        tuple(sorted(group.cursor.items())),
        tuple(
            (where, number, row.reason) for where, rows in sorted(group.parked.items()) for number, row in sorted(rows.items())
        ),
        offset and (offset.incarnation, offset.next),
        tuple(members),
        bool(world.unnoticed),
    )


def of_event(event: Event) -> tuple[str, int]:
    return event.key, event.sequence


def of_records(records: list[Record]) -> Iterator[object]:
    return ((offset, *of_event(event)) for offset, event in records)


def of_sending(sending: Sending | None) -> object:
    return sending and (sending.incarnation, tuple(sorted(sending.until.items())), tuple(sorted(sending.beyond.items())))


def of_relay(relay: Relay, *, leads: bool) -> object:
    unwritten = tuple(map(of_event, relay.unwritten))
    if not leads:
        return leads, relay.sending is not None, unwritten
    if not relay.publishing:
        return (leads,)
    written = tuple((part, tuple(requests)) for part, requests in sorted(relay.written.items()))
    return leads, of_sending(relay.sending), tuple(relay.batches), unwritten, written


def of_member(member: Member, part: Partition, newest: int) -> object:
    work = member.work and (
        member.work.after, member.work.generation == newest, member.work.incarnation, tuple(sorted(member.work.moved.items())),
        tuple(sorted(member.work.corrections.items())), tuple(map(of_event, member.work.done)), len(member.work.waiting),
    )  # fmt: skip
    retry = member.retry and (member.retry.where, member.retry.last, member.retry.step, len(member.retry.done))
    return (
        member.incarnation, member.generations.get(part) == newest, part in member.generations, member.next.get(part),
        member.position.get(part), tuple(of_records(member.hand.get(part, []))), part in member.sought, work, retry,
    )  # fmt: skip


def search(scope: Scope, world_type: type[SimulatedWorld] = SimulatedWorld) -> int:
    """Visit every state once; returns how many there are."""
    lanes = [(scope.topic, "a"), (scope.topic, "b")]
    start = Small(world_type(dict.fromkeys(lanes, Partition(scope.topic, 0)), at_once=1), scope)
    seen = {hash(fingerprint(start))}
    edge = [start]
    while edge:
        following: list[Small] = []
        for small in edge:
            mine, goes_on = hash(fingerprint(small)), False
            for after in (*small.progress(), *small.befalls()):
                mark = hash(fingerprint(after))
                goes_on = goes_on or (mark != mine and after.scope == small.scope)
                if mark not in seen:
                    after.world.check()
                    after.world.check_that_nothing_is_out_of_reach()
                    seen.add(mark)
                    following.append(after)
            if not goes_on:
                group, story = small.world.group, small.world.story
                assert small.world.is_at_rest(), f"nothing can go on\n{story()}"
                assert all(group.cursor.get(where, 0) == scope.events for where in lanes), story()
        assert len(seen) <= AT_MOST, "a bound is missing"
        edge = following
    return len(seen)


SCOPES = [
    Scope(FACTS, relays=False, readers=True, losses=1, faults=0),
    Scope(STATE, relays=False, readers=True, losses=1, faults=0),
    Scope(FACTS, relays=True, readers=False, losses=0, faults=1),
    Scope(FACTS, relays=False, readers=True, losses=0, faults=1),
    Scope(FACTS, relays=True, readers=False, losses=1, faults=1, events=1),
    Scope(FACTS, relays=False, readers=True, losses=1, faults=1, events=1),
    Scope(STATE, relays=False, readers=True, losses=1, faults=1, events=1),
    Scope(FACTS, relays=True, readers=True, losses=1, faults=0, events=1),
]


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_in_every_state_of_a_small_world_the_promise_holds_and_in_every_last_one_all_took_effect(scope: Scope) -> None:
    states = search(scope)
    print(f"{states:,} states: {scope}")
    assert states > 1_000


@pytest.mark.parametrize("bug", [LeadsWithoutALock, ForgetsBeforeTheAcknowledgement], ids=lambda bug: bug.__name__)
def test_the_search_finds_what_is_planted(bug: type[SimulatedSource]) -> None:
    class World(SimulatedWorld):
        source_type = bug

    with pytest.raises(AssertionError):
        search(Scope(FACTS, relays=True, readers=False, losses=1, faults=1, events=2), World)
