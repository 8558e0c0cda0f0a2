"""The one way to subscribe: the life of a reader, which partitions it owns, and its batches.

Progress lives in PostgreSQL: on assignment each partition is claimed and sought to the offset stored there. The offsets in Kafka
are a hint for lag displays.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from itertools import chain, groupby
from operator import attrgetter
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from common.background import seldom
from common.messaging import cursors, kafka_reader
from common.messaging.broker import Broker
from common.messaging.consumer import Consumer
from common.messaging.cursors import Fenced, Ownership
from common.messaging.kafka_reader import Membership
from common.messaging.lookout import Lookout, NewTopic, Stuck
from common.messaging.message import Partition
from common.messaging.whole_batch import first_offset
from common.telemetry import Telemetry

START_SECONDS = 20
PATIENCE = 5
"""After so many roll-backs in a row, trouble counts as the fault of an event."""
SIDE_BY_SIDE = 3
"""Transactions at once, over different partitions: while one waits for PostgreSQL, Python works on the other. A share does not
wait for the others': as soon as its own transaction has ended, its part of the next batch is begun."""
STUCK_TOO_OFTEN = 3
"""Started again so many times without one batch, though there is something to read: only a new process may help."""
_CHECK_EVERY = 5.0
_HINT_EVERY = 1.0
_LONGEST_PAUSE = 2.0
_PLACE = attrgetter("topic", "partition")

Share = dict[Partition, list[ConsumerRecord]]
"""The records of some partitions, for one transaction."""


async def _nobody_to_ask(topic: str) -> None:
    """Where no control topics are."""


class Subscription(ConsumerRebalanceListener):
    """Brings the records of all topics of one group to its consumer, as long as `run` runs."""

    def __init__(
        self,
        consumer: Consumer,
        broker: Broker,
        told: Telemetry,
        *,
        at_once: int = 2000,
        membership: Membership = Membership(),  # noqa: B008  a tuple
        trimmed: Callable[[str], Awaitable[None]] = _nobody_to_ask,
        moved: Callable[[], None] = lambda: None,
        give_up: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """`at_once` records at most make a batch. `trimmed` is told a topic whose log lost records that nobody had read, `moved`
        that there is progress, `give_up` why starting again does not help."""
        self._consumer = consumer
        self._broker = broker
        self._told = told
        self._at_once = at_once
        self._membership = membership
        self._trimmed = trimmed
        self._moved = moved
        self._give_up = give_up
        self._claiming = asyncio.Lock()
        self._owned = Ownership("")
        self._failures = [0] * SIDE_BY_SIDE
        self._positions: dict[TopicPartition, int] = {}
        self._turns: Counter[Partition] = Counter()
        """Goes up with each seek and each revocation: what was fetched in an earlier turn comes again, or is another's."""
        self._hinted_at = 0.0
        self._handing_over = False
        self._at_work: list[asyncio.Task[None] | None] = [None] * SIDE_BY_SIDE
        self._batches = 0
        self._stopping = False
        self._settled = False
        self._look = asyncio.Event()
        self._subscriber: Any = None
        self.assigned = False

    # life ------------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Consume until cancelled; whatever happens, start again."""
        failures = stuck = 0
        while True:
            begun, batches = time.monotonic(), self._batches
            try:
                await self._live()
            except Exception as error:  # noqa: BLE001  a consumer that gives up is worse than any error
                failures = 1 if time.monotonic() - begun > 60 else failures + 1
                stuck = 0 if self._batches > batches else stuck + isinstance(error, Stuck)
                if seldom(failures):
                    self._told.log.warning("consumer starts again", extra={"in_a_row": failures, "error": repr(error)[:256]})
                if stuck >= STUCK_TOO_OFTEN:
                    self._give_up(f"the consumer stood still {stuck} times: {error}")
                await asyncio.sleep(min(0.25 * 2**failures, _LONGEST_PAUSE))

    async def stop(self, within: float) -> None:
        """Take nothing more, let what is in work end, and tell Kafka how far we are, in so many seconds; then cancel `run`."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.busy:  # noqa: ASYNC110  a batch ends in one of several places
                    await asyncio.sleep(0.02)
                await self._hint({}, at_once=True)

    @property
    def busy(self) -> bool:
        """Whether a batch is in work."""
        return self._handing_over or any(task is not None and not task.done() for task in self._at_work)

    def progress(self) -> tuple[str, dict[Partition, int]]:
        """The life of the broker, and the next offset in each partition that we own."""
        return self._owned.incarnation, {part: self._owned.next[part] for part in self._owned.generations}

    async def _live(self) -> None:
        """One stay at the broker; ends by an exception only."""
        self._owned = Ownership(await self._broker.incarnation())
        self._positions.clear()
        missing = await self._broker.missing(self._consumer.topics)  # one that is not there would keep aiokafka from all others
        topics = [topic for topic in self._consumer.topics if topic not in missing]
        if not topics:
            raise NewTopic("none of the topics is there yet")
        kafka, self._subscriber = kafka_reader.subscribed(
            self._broker, self._consumer.group, topics, self._membership, self, at_once=self._at_once
        )
        self._subscriber(self._on_batch)
        lookout = Lookout(self._broker, self._owned.incarnation, self._told, session=self._membership.session, missing=missing)
        try:
            async with asyncio.timeout(START_SECONDS):
                await kafka.start()
            while True:
                await self._check(lookout)
                self._look.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CHECK_EVERY):
                        await self._look.wait()
        finally:
            self.assigned = self._settled = False
            await kafka_reader.leave(kafka, self._subscriber)
            await self._drop_work()

    async def _check(self, lookout: Lookout) -> None:
        consumer = self._subscriber.consumer
        ends = await lookout.look(consumer, assigned=self._settled, busy=self.busy, batches=self._batches)
        if self.busy or not self._settled:
            return
        try:
            mine = {Partition(*part) for part in consumer.assignment()}
            await self._claim(mine & ends.keys())  # PostgreSQL may have been away when they were assigned
            await self._rewind(lookout.shorter(ends, self.progress()[1]))
        except Exception as error:  # noqa: BLE001  the next look tries again
            self._told.log.warning("partitions not looked after", extra={"error": repr(error)[:256]})

    # assignment ------------------------------------------------------------------------------------------------------
    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """They may be another's now; the generation in PostgreSQL decides."""
        self._settled = False
        self._owned.generations.clear()
        self._positions.clear()
        self._turns.update(Partition(*part) for part in revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Fence the owner before and go on where PostgreSQL says.

        aiokafka swallows what is raised here, and it may deliver records before this returns; so `_take` claims too."""
        self.assigned = self._settled = True
        await self._claim(Partition(*part) for part in assigned)
        self._look.set()  # whether the logs are as long as we know them
        self._moved()

    async def _claim(self, parts: Iterable[Partition]) -> set[Partition]:
        """Make these partitions ours, where they are not yet; says which were not."""
        async with self._claiming:
            missing = {part for part in parts if part not in self._owned.generations}
            if missing:
                async with self._consumer.database.transaction() as tx:
                    claims = await cursors.claim(tx, self._consumer.group, self._owned.incarnation, missing)
                for claim in claims:
                    self._owned.generations[claim.partition] = claim.generation
                    self._owned.next[claim.partition] = claim.offset
                    self._seek(claim.partition, claim.offset)
            return missing

    async def _rewind(self, parts: Collection[Partition]) -> None:
        """The logs of these are shorter than they were: read them from the beginning, the gates drop what is known."""
        if not parts:
            return
        async with self._claiming:
            mine = {part: self._owned.generations[part] for part in parts if part in self._owned.generations}
            async with self._consumer.database.transaction() as tx:
                rewound = await cursors.rewind(tx, self._consumer.group, self._owned.incarnation, mine)
            for part in rewound:
                self._told.log.warning("a log is shorter than it was: read from its beginning", extra=part._asdict())
                self._owned.next[part] = 0
                self._seek(part, 0)

    def _next(self, part: Partition) -> int:
        """Where to go on in a partition; 0 in one that is not ours."""
        return self._owned.next.get(part, 0) if part in self._owned.generations else 0

    def _seek(self, part: Partition, offset: int) -> None:
        self._turns[part] += 1
        try:
            self._subscriber.consumer.seek(TopicPartition(*part), offset)
        except IllegalStateError:  # no longer ours
            self._owned.generations.pop(part, None)

    # batches ---------------------------------------------------------------------------------------------------------
    async def _on_batch(self, records: Any) -> None:
        """Share the partitions out to transactions that run side by side. A key lives in one partition, so in one of them."""
        if self._stopping:
            return
        shares: list[Share] = [{} for _ in range(SIDE_BY_SIDE)]
        for part, stretch in groupby(records.all, key=_PLACE):  # a partition's records come together
            shares[part[1] % SIDE_BY_SIDE].setdefault(Partition(*part), []).extend(stretch)
        # FastStream gives a batch to us without a pause after it was fetched: no seek comes between the two.
        turns = {part: self._turns[part] for share in shares for part in share}
        self._handing_over = True
        try:
            await asyncio.gather(*(self._begin(number, share, turns) for number, share in enumerate(shares) if share))
        finally:
            self._handing_over = False

    async def _begin(self, number: int, share: Share, turns: Mapping[Partition, int]) -> None:
        """Begin with a share as soon as the one before it has ended."""
        before = self._at_work[number]
        if before is not None:
            await asyncio.wait([before])
        self._at_work[number] = asyncio.create_task(self._take(number, share, turns))

    async def _take(self, number: int, share: Share, turns: Mapping[Partition, int]) -> None:
        owned = self._owned
        try:
            if mine := await self._to_go_on_with(share, turns):
                after = {part: records[-1].offset + 1 for part, records in mine.items()}
                patient = self._failures[number] < PATIENCE
                await self._consumer.store(list(chain(*mine.values())), after, owned, patient=patient)
                owned.next |= after
                self._failures[number] = 0
                await self._hint(after)
        except Exception as error:  # noqa: BLE001  whatever it was: nothing is committed, so go back and try again
            self._failures[number] += 1  # a count for each share: the other one's success says nothing about this one
            await self._go_back(share, error, self._failures[number])
        finally:
            self._batches += 1
            self._moved()

    async def _drop_work(self) -> None:
        """What is still in work at the end of a stay is rolled back; the next stay begins where PostgreSQL says."""
        tasks = [task for task in self._at_work if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=kafka_reader.LEAVE_SECONDS)
        self._at_work = [None] * SIDE_BY_SIDE

    async def _to_go_on_with(self, share: Share, turns: Mapping[Partition, int]) -> Share:
        """The records of a share with which to go on; usually all. The others come again: they were fetched in an earlier turn,
        or are not where we have to go on."""
        await self._claim(part for part in share if self._turns[part] == turns[part])
        fresh = {part: records for part, records in share.items() if self._turns[part] == turns[part]}
        first = {part: first_offset(records[0]) for part, records in fresh.items()}
        odd = {part for part, offset in first.items() if offset != self._next(part)}
        shorter = {part for part in odd if first[part] < self._next(part)}
        await self._rewind(shorter)
        if self._broker.forgets:  # a real log may have holes, where it was compacted
            for topic in {part.topic for part in odd - shorter}:
                self._told.log.warning("the embedded broker dropped records unread: they are asked for", extra={"topic": topic})
                await self._trimmed(topic)
        return {part: records for part, records in fresh.items() if part not in shorter}

    async def _go_back(self, parts: Iterable[Partition], error: Exception, failures: int) -> None:
        self._told.metrics.rolled_back.inc()
        self._told.log.warning("batch rolled back", extra={"in_a_row": failures, "error": repr(error)[:256]})
        for part in parts:
            self._seek(part, self._owned.next.get(part, 0))
            if isinstance(error, Fenced):
                self._owned.generations.pop(part, None)
        await asyncio.sleep(min(0.05 * 2**failures, _LONGEST_PAUSE))

    async def _hint(self, after: Mapping[Partition, int], *, at_once: bool = False) -> None:
        """Tell Kafka how far we are, now and then; only lag displays read it. Explicit offsets, errors ignored (#929)."""
        self._positions |= {TopicPartition(*part): offset for part, offset in after.items()}
        now = time.monotonic()
        if not self._positions or (now - self._hinted_at < _HINT_EVERY and not at_once):
            return
        self._hinted_at = now
        try:
            async with asyncio.timeout(2):
                await self._subscriber.consumer.commit(dict(self._positions))
        except Exception as error:  # noqa: BLE001
            self._told.log.info("offsets not committed", extra={"error": repr(error)[:256]})
