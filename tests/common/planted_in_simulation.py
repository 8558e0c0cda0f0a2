"""Bugs for the simulated world: each replaces one rule by a wrong one, as somebody might write it in a hurry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from common.messaging import unparking
from common.messaging.gate import Halving, Lane, LaneKey, Move, Parked, Plan, corrections, reached, sort
from common.messaging.message import Event, Partition
from common.messaging.sending import Outcome, Sending, Written
from common.messaging.unparking import Step, Waiting
from tests.common.simulated_group import SimulatedGroup
from tests.common.simulated_source import Relay, SimulatedSource
from tests.common.simulated_tables import Offset, Row
from tests.common.simulated_world import DENSE


# the gate ------------------------------------------------------------------------------------------------------------
class LetsGapsThrough(SimulatedGroup):
    """A jump in a dense topic is handled."""

    @staticmethod
    def sort(events: Iterable[Event], lanes: Mapping[LaneKey, Lane], dense: frozenset[str]) -> Plan:
        return sort(events, {where: Lane(lane.last) for where, lane in lanes.items()}, frozenset())


class IgnoresTheParkedHead(SimulatedGroup):
    """What stands behind a parked event is judged as if nothing waited."""

    @staticmethod
    def sort(events: Iterable[Event], lanes: Mapping[LaneKey, Lane], dense: frozenset[str]) -> Plan:
        plan = sort(events, lanes, dense)
        plan.run = plan.run + [item.event for item in plan.parked if item.reason == "behind"]
        plan.parked = [item for item in plan.parked if item.reason != "behind"]
        return plan


class HandlesRepeats(SimulatedGroup):
    """What was seen before is handled again."""

    @staticmethod
    def sort(events: Iterable[Event], lanes: Mapping[LaneKey, Lane], dense: frozenset[str]) -> Plan:
        plan = sort(events, lanes, dense)
        plan.run, plan.repeats = plan.repeats + plan.run, []
        return plan


class NeverJudges(SimulatedGroup):
    """It is taken for granted that a batch is what was expected."""

    @staticmethod
    def all_moved(events: Sequence[Event], moved: Mapping[LaneKey, Move]) -> bool:
        return True


class ForgetsCorrections(SimulatedGroup):
    """Cursors that were moved ahead stay there, whatever was really done."""

    @staticmethod
    def corrections(
        lanes: Mapping[LaneKey, Lane], moved: Mapping[LaneKey, Move], done: Mapping[LaneKey, int]
    ) -> dict[LaneKey, Move]:
        return {where: move for where, move in corrections(lanes, moved, done).items() if where not in moved}


class ReachedTheFirst(SimulatedGroup):
    """A cursor is set to the first event done, not to the last."""

    @staticmethod
    def reached(done: Iterable[Event]) -> dict[LaneKey, int]:
        return reached(reversed(list(done)))


class _NotBlocking(Halving):
    def _poison(self, event: Event, refusal: object) -> None:
        self.parked.append(Parked(event, "poison", None))


class PoisonBlocksNobody(SimulatedGroup):
    """The events behind a poison one are handled all the same."""

    halving = _NotBlocking


class _NothingUndone(Halving):
    def failed(self, error: str) -> None:
        self.done += self._now[:-1]
        self._now = self._now[-1:]
        super().failed(error)


class BlamesTheLast(SimulatedGroup):
    """When several fail together, the last one is taken for the guilty one, and the others for done."""

    halving = _NothingUndone


# the un-parker -------------------------------------------------------------------------------------------------------
class UnparksOverAGap(SimulatedGroup):
    """A parked head is tried although events before it are missing."""

    @staticmethod
    def plan(last: int, held: Sequence[Waiting], *, dense: bool) -> unparking.Plan:
        found = unparking.plan(last, held, dense=dense)
        return found._replace(step=Step.TRY) if found.step is Step.FETCH else found


class RunsOverHoles(SimulatedGroup):
    """All parked events of a key are tried together, over the holes between them."""

    @staticmethod
    def plan(last: int, held: Sequence[Waiting], *, dense: bool) -> unparking.Plan:
        found = unparking.plan(last, held, dense=dense)
        return found._replace(events=held) if found.step is Step.TRY else found


# cursors and offsets -------------------------------------------------------------------------------------------------
class UnlockedCursor(SimulatedGroup):
    """Cursors and parked rows are written without being compared to what was read."""

    def move(self, moved: Mapping[LaneKey, Move], corrections: Mapping[LaneKey, Move]) -> bool:
        self.cursor |= {where: move.last for where, move in {**moved, **corrections}.items()}
        return True

    def are_unchanged(self, rows: Mapping[int, Row], seen: Mapping[int, Row], touched: set[int]) -> bool:
        return True


class CommitsBeforeTheEffect(SimulatedGroup):
    """The offset is stored when the batch begins."""

    def begin(self, which: int, part: Partition, amount: int) -> bool:
        begun = super().begin(which, part, amount)
        if work := self.members[which].work:
            self.offsets[work.part] = self.offsets[work.part]._replace(next=work.after)
        return begun


class KeepsOffsetsInANewLife(SimulatedGroup):
    """Offsets of one life of the broker are believed in the next one."""

    def claim(self, which: int, part: Partition) -> bool:
        if part in self.offsets:
            self.offsets[part] = Offset(self.broker.incarnation, *self.offsets[part][1:])
        return super().claim(which, part)


# sending -------------------------------------------------------------------------------------------------------------
class ForgetsBeforeTheAcknowledgement(SimulatedSource):
    """Batches count as sent as soon as they are on their way."""

    def begin_to_send(self, relay: Relay) -> bool:
        begun = super().begin_to_send(relay)
        self.unsent -= set(relay.batches)
        return begun


class SendsWhatIsBeyondTheLast(SimulatedSource):
    """The outbox is polled by `batch > last`; who commits late is passed over."""

    last_sent = 0

    def begin_to_send(self, relay: Relay) -> bool:
        self.unsent = {batch for batch in self.unsent if batch > self.last_sent}
        return super().begin_to_send(relay)

    def acknowledge(self, relay: Relay) -> None:
        sent = max(relay.batches, default=0)
        super().acknowledge(relay)
        self.last_sent = max(sent, self.last_sent) if sent not in self.unsent else self.last_sent

    def mark_everything_unsent(self) -> None:
        super().mark_everything_unsent()
        self.last_sent = 0


class SendsOtherIds(SimulatedSource):
    """The id is made when the event is sent, not when it is stored."""

    sent = 0

    def load(self, batches: Iterable[int]) -> list[Event]:
        self.sent += 1
        return [event._replace(id=f"{event.id}-{self.sent}") for event in super().load(batches)]


class NumbersWithoutALock(SimulatedSource):
    """Two transactions may draw the same number of a key."""

    def begin(self, process: int, keys: Iterable[LaneKey], now: int) -> Sequence[Event]:
        others, self.open = self.open, {}
        try:
            return super().begin(process, keys, now)
        finally:
            self.open = others | self.open


class StoresNothingOfTheBroker(SimulatedSource):
    """What is known of the broker is kept in memory only."""

    def stored(self) -> Sending:
        return self.sending_type()


@dataclass
class _SameBroker(Sending):
    def meet(self, incarnation: str, ends: Mapping[Partition, int], in_doubt: Mapping[Partition, int] = {}) -> bool:
        another = self.incarnation not in ("", incarnation)
        return super().meet(incarnation, ends, in_doubt) and not another


@dataclass
class _NoShortening(Sending):
    def meet(self, incarnation: str, ends: Mapping[Partition, int], in_doubt: Mapping[Partition, int] = {}) -> bool:
        same = self.incarnation == incarnation
        return super().meet(incarnation, ends, in_doubt) and not same


@dataclass
class _NothingInDoubt(Sending):
    def meet(self, incarnation: str, ends: Mapping[Partition, int], in_doubt: Mapping[Partition, int] = {}) -> bool:
        return super().meet(incarnation, ends)


@dataclass
class _NothingWanting(Sending):
    def acknowledged(self, written: Mapping[Partition, Sequence[Written]]) -> Outcome:
        return super().acknowledged(written)._replace(wanting={})


@dataclass
class _NothingShortened(Sending):
    def acknowledged(self, written: Mapping[Partition, Sequence[Written]]) -> Outcome:
        return super().acknowledged(written)._replace(everything=False)


class IgnoresANewLife(SimulatedSource):
    """Nothing is sent again to a broker that forgot everything."""

    sending_type = _SameBroker


class IgnoresALowerEnd(SimulatedSource):
    """A shortened log is not noticed when the broker is asked."""

    sending_type = _NoShortening


class DoubtsNothing(SimulatedSource):
    """What was written before a relay died, and never acknowledged, is not reckoned with."""

    sending_type = _NothingInDoubt


class WritesBelowItsReaders(SimulatedSource):
    """What was written where a reader may stand beyond counts as sent."""

    sending_type = _NothingWanting


class IgnoresALowerAcknowledgement(SimulatedSource):
    """That a log was shortened between two requests is not noticed."""

    sending_type = _NothingShortened


# old rows ------------------------------------------------------------------------------------------------------------
class PrunesUnread(SimulatedSource):
    """Old rows are dropped without asking how far the readers are."""

    def is_done(self, event: Event, stored_at: int) -> bool:
        return event.topic in DENSE or event.sequence < self.heads[event[:2]]


class PrunesTheNewest(SimulatedSource):
    """Of a state, the newest version is dropped with the others."""

    def is_done(self, event: Event, stored_at: int) -> bool:
        return event.topic not in DENSE or super().is_done(event, stored_at)


PLANTED: list[type[SimulatedGroup] | type[SimulatedSource]] = [
    found
    for found in globals().values()
    if isinstance(found, type) and found.__module__ == __name__ and issubclass(found, SimulatedGroup | SimulatedSource)
]


# found by the search of the small world, by chance only after many examples -------------------------------------------
class LeadsWithoutALock(SimulatedSource):
    """Every relay believes to lead, also without a session."""

    def still_leads(self, which: int) -> bool:
        return True

    def take_lead(self, which: int) -> bool:
        self.leader = None
        return super().take_lead(which)
