"""One stay of a reader at its broker: the partitions that it owns there, and the batches that it takes in.

Progress lives in PostgreSQL: on assignment each partition is claimed and sought to the offset stored there. The offsets in Kafka
are a hint for lag displays. What a stay knows ends with it; the next one asks PostgreSQL again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from itertools import chain, groupby
from operator import attrgetter
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from common.messaging import cursors, kafka_reader
from common.messaging.broker import Broker
from common.messaging.consumer import Consumer
from common.messaging.cursors import Fenced, Ownership
from common.messaging.message import Partition
from common.messaging.whole_batch import first_offset
from common.telemetry import Telemetry

PATIENCE = 5
"""After so many roll-backs in a row, trouble counts as the fault of an event."""
SIDE_BY_SIDE = 3
"""Transactions at once, over different partitions: while one waits for PostgreSQL, Python works on the other. A share does not
wait for the others': as soon as its own transaction has ended, its part of the next batch is begun."""
_HINT_EVERY = 1.0
_LONGEST_PAUSE = 2.0
_PLACE = attrgetter("topic", "partition")

Share = dict[Partition, list[ConsumerRecord]]
"""The records of some partitions, for one transaction."""


class Stay(ConsumerRebalanceListener):
    """Made before the Kafka client that listens to it; `reads_by` tells it the client's subscriber."""

    def __init__(
        self,
        consumer: Consumer,
        broker: Broker,
        told: Telemetry,
        incarnation: str,
        *,
        trimmed: Callable[[str], Awaitable[None]],
        moved: Callable[[], None],
        look: Callable[[], None],
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        """`incarnation` is the broker's life in which we stay. `trimmed` is told a topic whose log lost records that nobody had
        read, `moved` that there is progress, `look` that it is time to look whether the logs are as long as we know them. `ready`
        is done before each batch, in no transaction: it may read what the handlers need for the partitions that are ours now."""
        self._consumer = consumer
        self._broker = broker
        self._told = told
        self._trimmed = trimmed
        self._moved = moved
        self._look = look
        self._get_ready = ready
        self._subscriber: Any = None
        self._owned = Ownership(incarnation)
        self._claiming = asyncio.Lock()
        self._turns: Counter[Partition] = Counter()
        """Goes up with each seek and each revocation: what was fetched in an earlier turn comes again, or is another's."""
        self._failures = [0] * SIDE_BY_SIDE
        self._handing_over = False
        self._at_work: list[asyncio.Task[None] | None] = [None] * SIDE_BY_SIDE
        self._positions: dict[Partition, int] = {}
        self._hinted_at = 0.0
        self._ended = False
        self.stopping = False
        """Once set, nothing more is taken; what is in work ends."""
        self.assigned = False
        """Whether partitions were ever assigned, perhaps none."""
        self.ready = False
        """Whether we were ever ready for what they bring."""
        self.settled = False
        """Whether the assignment stands: no rebalance is going on."""
        self.batches = 0
        """How many shares came to an end, well or not."""

    def reads_by(self, subscriber: Any) -> None:
        """Take what FastStream's subscriber brings."""
        self._subscriber = subscriber
        subscriber(self._on_batch)

    @property
    def busy(self) -> bool:
        """Whether a batch is in work."""
        return self._handing_over or any(task is not None and not task.done() for task in self._at_work)

    def progress(self) -> tuple[str, dict[Partition, int]]:
        """The life of the broker, and the next offset in each partition that we own."""
        return self._owned.incarnation, {part: self._owned.next[part] for part in self._owned.generations}

    def holds(self, topic: str, place: Callable[[int], int]) -> bool:
        """Whether the partition of `topic` is ours that `place` says, given how many there are."""
        if not self.settled:
            return False
        amount = len(self._subscriber.consumer.partitions_for_topic(topic) or ())
        return amount > 0 and Partition(topic, place(amount)) in self._owned.generations

    async def look_after(self, parts: Collection[Partition], shorter: Collection[Partition]) -> None:
        """Claim what is not claimed yet (PostgreSQL may have been away at the assignment), and begin anew in logs that are
        shorter than they were."""
        await self._claim(parts)
        await self._rewind(shorter)
        await self._be_ready()

    async def _be_ready(self) -> None:
        await self._get_ready()
        self.ready = True

    async def end(self) -> None:
        """Take nothing more and roll back what is in work; the next stay begins where PostgreSQL says."""
        self.stopping = self._ended = True
        self.assigned = self.settled = False
        tasks = [task for task in self._at_work if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=kafka_reader.LEAVE_SECONDS)

    # assignment ------------------------------------------------------------------------------------------------------
    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """They may be another's now; the generation in PostgreSQL decides."""
        self.settled = False
        self._owned.generations.clear()
        self._positions.clear()
        self._turns.update(Partition(*part) for part in revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Fence the owner before and go on where PostgreSQL says.

        aiokafka swallows what is raised here, and it may deliver records before this returns; so `_take` claims too."""
        self.assigned = self.settled = True
        await self._claim(Partition(*part) for part in assigned)
        self._look()
        self._moved()

    async def _claim(self, parts: Iterable[Partition]) -> None:
        """Make these partitions ours, where they are not yet."""
        async with self._claiming:
            missing = {part for part in parts if part not in self._owned.generations}
            if missing and not self._ended:
                async with self._consumer.database.transaction() as tx:
                    claims = await cursors.claim(tx, self._consumer.group, self._owned.incarnation, missing)
                for claim in claims:
                    self._owned.generations[claim.partition] = claim.generation
                    self._owned.next[claim.partition] = claim.offset
                    self._seek(claim.partition, claim.offset)

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
        if self._ended:
            return
        try:
            self._subscriber.consumer.seek(TopicPartition(*part), offset)
        except IllegalStateError:  # no longer ours
            self._owned.generations.pop(part, None)

    # batches ---------------------------------------------------------------------------------------------------------
    async def _on_batch(self, records: Any) -> None:
        """Share the partitions out to transactions that run side by side. A key lives in one partition, so in one of them."""
        if self.stopping:
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
        if not self.stopping:
            self._at_work[number] = asyncio.create_task(self._take(number, share, turns))

    async def _take(self, number: int, share: Share, turns: Mapping[Partition, int]) -> None:
        try:
            await self._make_ready(share, turns)
            if mine := self._of_this_turn(share, turns):
                # As it is held now: a later claim, even of our own, ends what these records were fetched for.
                held = Ownership(self._owned.incarnation, {part: self._owned.generations.get(part, -1) for part in mine})
                after = {part: records[-1].offset + 1 for part, records in mine.items()}
                patient = self._failures[number] < PATIENCE
                await self._consumer.store(list(chain(*mine.values())), after, held, patient=patient)
                self._failures[number] = 0
                await self._went_on(after, turns)
        except Exception as error:  # noqa: BLE001  whatever it was: nothing is committed, so go back and try again
            self._failures[number] += 1  # a count for each share: another's success says nothing about this one
            await self._go_back(share, error, self._failures[number])
        finally:
            self.batches += 1
            self._moved()

    def _of_this_turn(self, share: Share, turns: Mapping[Partition, int]) -> Share:
        """The records that are still those to go on with. The others come again, or are another's."""
        return {part: records for part, records in share.items() if self._turns[part] == turns[part]}

    async def _make_ready(self, share: Share, turns: Mapping[Partition, int]) -> None:
        """Claim what is not ours yet, and look whether the records begin where we have to go on. A new claim, and going back in a
        log that is shorter than it was, begin a new turn: then these records are not used."""
        await self._claim(self._of_this_turn(share, turns))
        await self._be_ready()
        first = {part: first_offset(records[0]) for part, records in self._of_this_turn(share, turns).items()}
        odd = {part for part, offset in first.items() if offset != self._next(part)}
        shorter = {part for part in odd if first[part] < self._next(part)}
        await self._rewind(shorter)
        if self._broker.forgets:  # a real log may have holes, where it was compacted
            for topic in {part.topic for part in odd - shorter}:
                self._told.log.warning("the embedded broker dropped records unread: they are asked for", extra={"topic": topic})
                await self._trimmed(topic)

    async def _went_on(self, after: Mapping[Partition, int], turns: Mapping[Partition, int]) -> None:
        """Note how far we are, and tell Kafka so. Where a new turn began meanwhile, that says how far we are."""
        here = {part: offset for part, offset in after.items() if self._turns[part] == turns[part]}
        self._owned.next |= here
        self._positions |= here
        await self.hint()

    async def _go_back(self, parts: Iterable[Partition], error: Exception, failures: int) -> None:
        self._told.metrics.rolled_back.inc()
        self._told.log.warning("batch rolled back", extra={"in_a_row": failures, "error": repr(error)[:256]})
        for part in parts:
            self._seek(part, self._owned.next.get(part, 0))
            if isinstance(error, Fenced):
                self._owned.generations.pop(part, None)
        await asyncio.sleep(min(0.05 * 2**failures, _LONGEST_PAUSE))

    async def hint(self, *, at_once: bool = False) -> None:
        """Tell Kafka how far we are, now and then; only lag displays read it. Explicit offsets, errors ignored (#929)."""
        now = time.monotonic()
        if self._ended or not self._positions or (now - self._hinted_at < _HINT_EVERY and not at_once):
            return
        self._hinted_at = now
        try:
            async with asyncio.timeout(2):
                await self._subscriber.consumer.commit({TopicPartition(*part): to for part, to in self._positions.items()})
        except Exception as error:  # noqa: BLE001
            self._told.log.info("offsets not committed", extra={"error": repr(error)[:256]})
