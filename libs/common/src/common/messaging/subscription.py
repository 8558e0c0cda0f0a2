"""The one way to subscribe: the life of a reader, from one stay at the broker to the next (`common.messaging.stay`)."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from common.background import seldom
from common.messaging import kafka_reader
from common.messaging.broker import Broker
from common.messaging.consumer import Consumer
from common.messaging.gate import LaneKey
from common.messaging.kafka_reader import Membership
from common.messaging.lookout import Lookout, NewTopic, Stuck
from common.messaging.message import Partition
from common.messaging.placement import placed
from common.messaging.stay import Stay
from common.telemetry import Telemetry

START_SECONDS = 20
STUCK_TOO_OFTEN = 3
"""Started again so many times without one batch, though there is something to read: only a new process may help."""
_CHECK_EVERY = 5.0
_LONGEST_PAUSE = 2.0


async def _nobody_to_ask(topic: str) -> None:
    """Where no control topics are."""


async def always_ready() -> None:
    """Where handlers need nothing but their transaction."""


class Subscription:
    """Brings the records of all topics of one group to its consumer, as long as `run` runs."""

    def __init__(
        self,
        consumer: Consumer,
        broker: Broker,
        told: Telemetry,
        *,
        at_once: int = 2000,
        together: bool = False,
        membership: Membership = Membership(),  # noqa: B008  a tuple
        trimmed: Callable[[str], Awaitable[None]] = _nobody_to_ask,
        moved: Callable[[], None] = lambda: None,
        give_up: Callable[[str], None] = lambda reason: None,
        ready: Callable[[], Awaitable[None]] = always_ready,
    ) -> None:
        """`at_once` records at most make a batch. `together`: partitions of equal number of all topics go to the same member;
        then nothing is read before all topics are there. `trimmed` is told a topic whose log lost records that nobody had read,
        `moved` that there is progress, `give_up` why starting again does not help. For `ready` see `Stay`."""
        self._consumer = consumer
        self._broker = broker
        self._told = told
        self._at_once = at_once
        self._together = together
        self._membership = membership
        self._trimmed = trimmed
        self._moved = moved
        self._give_up = give_up
        self._ready = ready
        self._stopping = False
        self._look = asyncio.Event()
        self._stay = self._new_stay("")

    def _new_stay(self, incarnation: str) -> Stay:
        stay = Stay(
            self._consumer, self._broker, self._told, incarnation,
            trimmed=self._trimmed, moved=self._moved, look=self._look.set, ready=self._ready,
        )  # fmt: skip
        stay.stopping = self._stopping
        return stay

    @property
    def assigned(self) -> bool:
        """Whether the group has given us our partitions, and we are ready for what they bring."""
        return self._stay.assigned and self._stay.ready

    @property
    def busy(self) -> bool:
        """Whether a batch is in work."""
        return self._stay.busy

    def progress(self) -> tuple[str, dict[Partition, int]]:
        """The life of the broker, and the next offset in each partition that we own."""
        return self._stay.progress()

    def owns(self, where: LaneKey) -> bool:
        """Whether the partition that this key is placed in is assigned to this process just now."""
        return self._stay.holds(where[0], partial(placed, self._consumer.known.get(where[0]), where[1]))

    async def run(self) -> None:
        """Consume until cancelled; whatever happens, start again."""
        failures = stuck = 0
        while True:
            begun = time.monotonic()
            try:
                await self._live()
            except Exception as error:  # noqa: BLE001  a consumer that gives up is worse than any error
                failures = 1 if time.monotonic() - begun > 60 else failures + 1
                stuck = 0 if self._stay.batches else stuck + isinstance(error, Stuck)
                if seldom(failures):
                    self._told.log.warning("consumer starts again", extra={"in_a_row": failures, "error": repr(error)[:256]})
                if stuck >= STUCK_TOO_OFTEN:
                    self._give_up(f"the consumer stood still {stuck} times: {error}")
                await asyncio.sleep(min(0.25 * 2**failures, _LONGEST_PAUSE))

    async def stop(self, within: float) -> None:
        """Take nothing more, let what is in work end, and tell Kafka how far we are, in so many seconds; then cancel `run`."""
        self._stopping = self._stay.stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.busy:  # noqa: ASYNC110  a batch ends in one of several places
                    await asyncio.sleep(0.02)
                await self._stay.hint(at_once=True)

    async def _live(self) -> None:
        """One stay at the broker; ends by an exception only."""
        incarnation = await self._broker.incarnation()
        stay = self._stay = self._new_stay(incarnation)
        missing = await self._broker.missing(self._consumer.topics)  # one that is not there would keep aiokafka from all others
        topics = [topic for topic in self._consumer.topics if topic not in missing]
        if not topics:
            raise NewTopic("none of the topics is there yet")
        if missing and self._together:  # who sees fewer topics than another member has other partitions of the rest
            raise NewTopic(f"{', '.join(sorted(missing))} is not there yet, and all topics are read together")
        kafka, subscriber = kafka_reader.subscribed(
            self._broker, self._consumer.group, topics, self._membership, stay,
            at_once=self._at_once, together=self._together,
        )  # fmt: skip
        stay.reads_by(subscriber)
        lookout = Lookout(self._broker, incarnation, self._told, session=self._membership.session, missing=missing)
        try:
            async with asyncio.timeout(START_SECONDS):
                await kafka.start()
            while True:
                self._look.clear()
                await self._check(stay, lookout, subscriber.consumer)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CHECK_EVERY):
                        await self._look.wait()
        finally:
            try:
                await stay.end()
            finally:
                await kafka_reader.leave(kafka, subscriber)

    async def _check(self, stay: Stay, lookout: Lookout, consumer: Any) -> None:
        ends = await lookout.look(consumer, assigned=stay.settled, busy=stay.busy, batches=stay.batches)
        if stay.busy or not stay.settled:
            return
        try:
            mine = {Partition(*part) for part in consumer.assignment()}
            await stay.look_after(mine & ends.keys(), lookout.shorter(ends, stay.progress()[1]))
        except Exception as error:  # noqa: BLE001  the next look tries again
            self._told.log.warning("partitions not looked after", extra={"error": repr(error)[:256]})
