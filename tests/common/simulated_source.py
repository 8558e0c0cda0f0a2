"""The producing side of the simulated world: an outbox in a database, two relays of which one leads, and pruning.

The relays decide with the product's own `Sending`; what is stored changes all at once or not at all, as in PostgreSQL.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from common.messaging.gate import LaneKey
from common.messaging.message import Event, Partition
from common.messaging.sending import Outcome, Sending, Written
from tests.common.simulated_broker import SimulatedBroker, Wish

WEEK = 7 * 86_400
LONGEST_TRANSACTION = 3600
"""Seconds; what was stored that much before a mark was visible when the mark was taken."""


@dataclass
class Relay:
    """What one relay process has in memory."""

    sending: Sending | None = None
    """There while it believes to lead."""
    batches: Sequence[int] = ()
    events: Sequence[Event] = ()
    unwritten: list[Event] = field(default_factory=list)
    written: dict[Partition, list[Written]] = field(default_factory=dict)
    publishing: bool = False


@dataclass
class Mark:
    """Where each partition ended at a time when nothing was unsent."""

    at: int
    until: dict[Partition, int]


class SimulatedSource:
    """Accepts events, numbers them, and sends them."""

    sending_type = Sending
    at_once = 3
    """Batches that a relay sends together."""

    def __init__(
        self, broker: SimulatedBroker, partition_of: dict[LaneKey, Partition], dense: frozenset[str], relays: int = 2
    ) -> None:
        self.broker = broker
        self.partition_of = partition_of
        self.dense = dense
        self.heads: dict[LaneKey, int] = {}
        self.outbox: dict[int, Sequence[Event]] = {}
        self.stored_at: dict[int, int] = {}
        self.unsent: set[int] = set()
        self.life = self.sending_type()
        self.marks: list[Mark] = []
        self.readers: dict[Partition, tuple[str, int]] = {}
        self.last_batch = 0
        self.open: dict[int, tuple[int, Sequence[Event]]] = {}
        """Transactions that are not committed yet, by process: they hold the locks of their keys."""
        self.leader: int | None = None
        self.asked = 0
        """How often a relay asked the broker who it is."""
        self.relays = [Relay() for _ in range(relays)]

    def clone(self, broker: SimulatedBroker) -> "SimulatedSource":
        """An independent copy on a copy of the broker."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.broker = broker
        other.heads, other.outbox, other.stored_at = self.heads.copy(), self.outbox.copy(), self.stored_at.copy()
        other.unsent, other.life, other.marks = self.unsent.copy(), copy_of(self.life), self.marks.copy()
        other.readers, other.open = self.readers.copy(), self.open.copy()
        other.relays = [
            replace(
                relay,
                sending=relay.sending and copy_of(relay.sending),
                unwritten=relay.unwritten.copy(),
                written={part: requests.copy() for part, requests in relay.written.items()},
            )
            for relay in self.relays
        ]
        return other

    # announcing ------------------------------------------------------------------------------------------------------
    def begin(self, process: int, keys: Iterable[LaneKey], now: int) -> Sequence[Event]:
        """Number events of these keys, as far as no other transaction holds their locks."""
        held = {event[:2] for _, events in self.open.values() for event in events}
        free = [where for where in keys if where not in held]  # the others would wait; here they are left out
        if process in self.open or not free:
            return ()
        self.last_batch += 1
        events: list[Event] = []
        counts = dict(self.heads)
        for topic, key in free:
            counts[topic, key] = sequence = counts.get((topic, key), 0) + 1
            id_ = f"{topic}-{key}-{sequence}-{self.last_batch}"
            events.append(Event(topic, key, sequence, id_, "x.v1", "/s", "2026-11-01T00:00:00Z", b"{}"))
        self.open[process] = (self.last_batch, events)
        self.stored_at[self.last_batch] = now
        return events

    def commit(self, process: int) -> Sequence[Event]:
        """The events are accepted from here on."""
        batch, events = self.open.pop(process, (0, ()))
        if events:
            self.outbox[batch] = events
            self.unsent.add(batch)
            self.heads.update({event[:2]: event.sequence for event in events})
        return events

    def roll_back(self, process: int) -> None:
        """They never were."""
        self.open.pop(process, None)

    # sending ---------------------------------------------------------------------------------------------------------
    def step(self, which: int, amount: int) -> bool:
        """The next durable step of a relay; False if there is nothing to do for it."""
        relay = self.relays[which]
        if relay.sending is None:
            return self.take_lead(which)
        if relay.unwritten:
            self.write(which, amount)
        elif not self.still_leads(which):
            self.relays[which] = Relay()  # its session is gone, whatever it asks of it fails, and it starts again
        elif relay.publishing:
            self.acknowledge(relay)
        else:
            return self.begin_to_send(relay)
        return True

    def still_leads(self, which: int) -> bool:
        """Whether its session, and with it the lock, is alive."""
        return self.leader == which

    def take_lead(self, which: int) -> bool:
        """Take the lock if it is free, then ask the broker who it is."""
        if self.leader is not None:
            return False
        self.leader = which
        self.relays[which] = relay = Relay(self.stored())
        in_doubt: dict[Partition, int] = {}
        for event in self.load(sorted(self.unsent)):
            part = self.partition_of[event[:2]]
            in_doubt[part] = in_doubt.get(part, 0) + 1
        self.meet(relay, in_doubt)
        return True

    def stored(self) -> Sending:
        """What is stored of the broker."""
        return copy_of(self.life)

    def meet(self, relay: Relay, in_doubt: dict[Partition, int]) -> None:
        """Ask the broker who it is and where it ends, and store that before anything is sent."""
        assert relay.sending is not None
        self.asked += 1
        everything = relay.sending.meet(self.broker.incarnation, self.broker.ends, in_doubt)
        if everything:
            self.mark_everything_unsent()
        self.store(relay)

    def look(self, which: int) -> None:
        """What a leading relay does every 10 s."""
        relay = self.relays[which]
        if relay.sending is not None and not relay.publishing and self.still_leads(which):
            self.meet(relay, {})

    def mark_everything_unsent(self) -> None:
        """Everything that is stored is to be sent again; what readers have passed is not known any more."""
        self.unsent |= self.outbox.keys()
        self.marks.clear()

    def store(self, relay: Relay) -> None:
        """Keep what is known of the broker."""
        assert relay.sending is not None
        self.life = copy_of(relay.sending)

    def begin_to_send(self, relay: Relay) -> bool:
        """Fulfil a wish, or read the oldest unsent batches."""
        if self.broker.wishes:
            relay.batches, relay.events = (), self.found(self.broker.wishes.pop(0))
            assert relay.sending is not None
            self.life = relay.sending.doubting(Counter(self.partition_of[event[:2]] for event in relay.events))
        elif self.unsent:
            relay.batches = sorted(self.unsent)[: self.at_once]
            relay.events = self.load(relay.batches)
        else:
            return False
        relay.unwritten, relay.written, relay.publishing = list(relay.events), {}, True
        return True

    def found(self, wish: Wish) -> list[Event]:
        """What is still there of the events that somebody misses."""
        topic, key, first, last = wish
        events = self.load(sorted(self.outbox))
        return [event for event in events if event[:2] == (topic, key) and first <= event.sequence <= last]

    def load(self, batches: Iterable[int]) -> list[Event]:
        """The events of these batches, in order."""
        return [event for batch in batches for event in self.outbox.get(batch, ())]

    def write(self, which: int, amount: int) -> None:
        """One request of up to `amount` events reaches the broker."""
        relay = self.relays[which]
        part = self.partition_of[relay.unwritten[0][:2]]
        mine = [event for event in relay.unwritten if self.partition_of[event[:2]] == part][:amount]
        relay.unwritten = [event for event in relay.unwritten if event not in mine]
        written = self.broker.append(part, mine, stray=not self.still_leads(which))
        relay.written.setdefault(part, []).append(written)

    def acknowledge(self, relay: Relay) -> None:
        """All is written: forget it, or send it again."""
        assert relay.sending is not None
        outcome: Outcome = relay.sending.acknowledged(relay.written)
        if outcome.wanting and not outcome.everything:
            relay.unwritten = [event for event in relay.events if self.partition_of[event[:2]] in outcome.wanting]
            relay.written = {}
            return
        if outcome.everything:
            self.mark_everything_unsent()
        else:
            self.unsent -= set(relay.batches)
        self.store(relay)
        relay.batches, relay.events, relay.written, relay.publishing = (), (), {}, False

    def crash(self, which: int) -> None:
        """The process dies, its session with it."""
        self.end_session(which)
        self.relays[which] = Relay()

    def end_session(self, which: int) -> None:
        """The lock is free, and the relay does not know it yet."""
        if self.leader == which:
            self.leader = None

    # old rows --------------------------------------------------------------------------------------------------------
    def mark(self, now: int) -> None:
        """Note how far everything is sent."""
        if not self.unsent:
            self.marks.append(Mark(now, dict(self.life.until)))

    def heard(self, part: Partition, incarnation: str, next_: int) -> None:
        """The readers say how far they are."""
        self.readers[part] = (incarnation, next_)

    def prune(self, now: int, keep: set[LaneKey]) -> None:
        """Drop old rows: facts that every reader has passed, states that have a newer version. `keep` is not touched."""
        for batch in [batch for batch in self.outbox if self.stored_at[batch] < now - WEEK]:
            if batch not in self.unsent:
                self.outbox[batch] = [
                    e for e in self.outbox[batch] if e[:2] in keep or not self.is_done(e, self.stored_at[batch])
                ]
                if not self.outbox[batch]:
                    del self.outbox[batch]

    def is_done(self, event: Event, stored_at: int) -> bool:
        """Whether nobody can want it any more."""
        if event.topic not in self.dense:
            return event.sequence < self.heads[event[:2]]
        part = self.partition_of[event[:2]]
        incarnation, next_ = self.readers.get(part, ("", 0))
        return incarnation == self.life.incarnation and any(
            stored_at < mark.at - LONGEST_TRANSACTION and mark.until.get(part, 0) <= next_ for mark in self.marks
        )


def copy_of(sending: Sending) -> Sending:
    """What is stored is not what is in memory."""
    return replace(sending, until=dict(sending.until), beyond=dict(sending.beyond))
