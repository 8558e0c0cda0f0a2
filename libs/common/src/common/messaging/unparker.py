"""Lets parked events go on: tries again what failed, asks the source for what is missing, one key in one transaction.

The rules are in `common.messaging.unparking`, the SQL is in `common.messaging.parked`; the handlers run through
`Consumer.work_through`, like those of every event.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from common.messaging import cursors, dead_letters, parked, unparking
from common.messaging.consumer import Consumer
from common.messaging.control import Resend
from common.messaging.cursors import Conflict
from common.messaging.event_spans import EventSpans
from common.messaging.gate import LaneKey, Move, Parked, Refusal
from common.messaging.unparking import Plan, Step, Waiting
from common.postgres import Database
from common.telemetry import Telemetry
from common.transaction import Transaction

PATIENCE = 5
"""After so many roll-backs in a row, trouble counts as the fault of an event of this key."""
_LONGEST_REST_SECONDS = 30.0
_TROUBLED_KEYS = 1000

Ask = Callable[[Resend], Awaitable[None]]
"""Asks the source of a topic to send events again. Best effort: it may get lost, and is asked again later."""


@dataclass(slots=True)
class _Outcome:
    """What one step came to, to be told after its commit."""

    amounts: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[Waiting, str, int]] = field(default_factory=list)
    """Which, for what reason, after how many attempts."""
    missing: Resend | None = None


class Unparker:
    """A background step over the parked events of one group; several processes share the work, key by key."""

    def __init__(
        self,
        database: Database,
        consumer: Consumer,
        ask: Ask,
        told: Telemetry,
        *,
        owns: Callable[[LaneKey], bool] | None = None,
    ) -> None:
        """`owns`, where given, says which keys are this process's at the moment; the others are left to theirs. It is asked with
        the first part of each key, from which its partition has to follow."""
        self._database = database
        self._consumer = consumer
        self._group = consumer.group
        self._ask = ask
        self._told = told
        self._owns = owns
        # A transaction that was rolled back cannot count itself.
        self._troubles: dict[LaneKey, int] = {}

    async def step(self) -> bool:
        """Move the key with the most overdue event on as far as it goes; False if none was due.

        Raises when the database does not answer. Any other trouble is the key's own: it rests, and the others go on."""
        where: LaneKey | None = None
        try:
            with self._consumer.spans() as spans:
                async with self._database.transaction() as tx:
                    where = await self._take_overdue(tx)
                    if where is None:
                        return False
                    outcome = await self._go_on(tx, where, spans)
        except Exception as error:
            if where is None:
                raise
            await self._rest(where, error)
            return True
        self._troubles.pop(where, None)
        self._tell(where, outcome)
        if outcome.missing is not None:
            await self._ask(outcome.missing)
        return True

    async def _take_overdue(self, tx: Transaction) -> LaneKey | None:
        topics, owns = self._consumer.topics, self._owns
        if owns is None:
            return await parked.take_overdue(tx, self._group, topics)
        ours = [first for first in await parked.first_parts_overdue(tx, self._group, topics) if owns(first)]
        return await parked.take_overdue(tx, self._group, topics, of=ours) if ours else None

    async def _go_on(self, tx: Transaction, where: LaneKey, spans: EventSpans) -> _Outcome:
        """The next step of one key."""
        dense, outcome = where[0] in self._consumer.dense, _Outcome()
        last = await cursors.last(tx, self._group, where)
        plan = unparking.plan(last, await parked.waiting(tx, self._group, where, dense=dense), dense=dense)
        if plan.step is Step.DROP:
            await self._drop(tx, where, plan, dense=dense)
            outcome.amounts["dropped"] = len(plan.events)
        elif plan.step is Step.FETCH:
            outcome.missing = missing = Resend(*where, last + 1, plan.events[0].sequence - 1)
            refusal = Refusal("", f"events {missing.first} to {missing.last} of this key are missing")
            await self._fail(tx, plan.events[0], "gap", refusal, outcome)
        elif plan.step is Step.TRY:
            await self._try(tx, where, last, plan, spans, outcome)
        if dense:
            await parked.stand_behind(tx, self._group, where)
        return outcome

    async def _try(self, tx: Transaction, where: LaneKey, last: int, plan: Plan, spans: EventSpans, outcome: _Outcome) -> None:
        """Give the events their effect, as far as they can be handled."""
        waited = {one.sequence: one for one in plan.events}
        patient = self._troubles.get(where, 0) < PATIENCE
        work = await self._consumer.work_through(tx, [one.event for one in plan.events], spans, patient=patient)
        if work.done:
            await cursors.move_soon(tx, self._group, {where: Move(last, work.done[-1].sequence)})
            await parked.remove(tx, self._group, [waited[event.sequence] for event in work.done])
            outcome.amounts["handled"] = len(work.done)
        for event, reason, refusal in work.parked:
            if reason == "poison":
                await self._fail(tx, waited[event.sequence], reason, refusal or Refusal("", ""), outcome)
        spans.parked(work.parked)
        if work.done and where[0] not in self._consumer.dense:
            await parked.supersede(tx, self._group, work.done)
        elif work.done and not work.parked:
            await parked.next_is_due(tx, self._group, where)

    async def _drop(self, tx: Transaction, where: LaneKey, plan: Plan, *, dense: bool) -> None:
        """They, or newer versions, have taken effect meanwhile."""
        if dense:
            await parked.remove(tx, self._group, plan.events)
            await parked.next_is_due(tx, self._group, where)
        else:
            await parked.supersede(tx, self._group, [one.event for one in plan.events])

    async def _fail(self, tx: Transaction, one: Waiting, reason: str, refusal: Refusal, outcome: _Outcome) -> None:
        """It goes on waiting. When it became poison, and when it is given up, the feed of dead letters is told."""
        attempts = unparking.attempts_after(one, reason)
        wait = unparking.wait_after(attempts)
        await parked.wait_again(tx, self._group, one, reason, refusal, attempts, wait)
        outcome.amounts["dead" if wait is None else "missing" if reason == "gap" else "failed"] += 1
        outcome.failed.append((one, reason, attempts))
        if wait is None or (reason == "poison" != one.reason):
            dead_letters.announce(
                tx,
                self._group,
                Parked(one.event, reason, refusal),
                cause="dead" if wait is None else "poison",
                origin=dead_letters.Origin(*one.stood) if one.stood else None,
            )

    async def _rest(self, where: LaneKey, error: Exception) -> None:
        """Nothing was changed. Let the other keys go first, and this one rest where it met trouble; raises if even that cannot
        be written down, because then the database is away."""
        seconds = 0.0
        if not isinstance(error, Conflict):  # that one is only a retry
            if len(self._troubles) >= _TROUBLED_KEYS:
                self._troubles.clear()  # keys may be healed by others, and would be remembered for ever
            troubles = self._troubles[where] = self._troubles.get(where, 0) + 1
            seconds = min(0.5 * 2**troubles, _LONGEST_REST_SECONDS)
        async with self._database.transaction() as tx:
            await parked.put_off(tx, self._group, where, seconds)
        self._told.metrics.retried.labels(where[0], "rolled-back").inc()
        which = {"topic": where[0], "key": where[1], "in_a_row": self._troubles.get(where, 0)}
        self._told.log.warning("parked events rolled back", extra=which | {"error": repr(error)[:256]})

    # what operators see ----------------------------------------------------------------------------------------------
    def _tell(self, where: LaneKey, outcome: _Outcome) -> None:
        for what, amount in outcome.amounts.items():
            self._told.metrics.retried.labels(where[0], what).inc(amount)
        for one, reason, attempts in outcome.failed:
            event, dead = one.event, unparking.wait_after(attempts) is None
            which = {"topic": event.topic, "key": event.key, "sequence": event.sequence, "event": event.id, "type": event.type}
            which |= {"reason": reason, "attempts": attempts}
            if dead:
                self._told.log.error("event is not tried any more and waits for a person", extra=which)
            else:
                self._told.log.info("event still waits", extra=which)
