"""Reads topics' logs from one place to another, as nobody's consumer group: no rebalance, no offsets kept."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from common.errors import TryAgain
from common.kafka_login import NOBODY, KafkaLogin
from common.messaging import unpacking
from common.messaging.message import Partition

ANSWER_SECONDS = 15
"""Longer silence counts as a broker that is away."""
_AT_ONCE = 500
_LOOK_SECONDS = 3
"""After so long without a record, who follows looks whether the broker is there at all."""
_FIRST_ANSWER_MS = 1000

_AWAY = {
    "en": "The broker does not answer. Please try again when it is back.",
    "ja": "ブローカーが応答していません。復旧してから、もう一度お試しください。",
}


class Stretch(NamedTuple):
    """A piece of a partition's log: from the first offset up to, not with, the last."""

    first: int
    end: int


class KafkaLog:
    """An open connection for reading. Every call raises `TryAgain` when the broker does not answer."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def topics(self) -> frozenset[str]:
        """The names of all topics that there are, and that we may see."""
        async with _answering():
            return frozenset(await self._consumer.topics())

    async def whole(self, topics: Collection[str]) -> dict[Partition, Stretch]:
        """All that the log holds of these topics at this moment; raises `TryAgain` for a topic that does not exist."""
        async with _answering():
            parts = [TopicPartition(topic, part) for topic in sorted(topics) for part in sorted(await self._partitions(topic))]
            firsts = await self._consumer.beginning_offsets(parts)
            ends = await self._consumer.end_offsets(parts)
        return {Partition(*part): Stretch(firsts[part], ends[part]) for part in parts}

    async def _partitions(self, topic: str) -> set[int]:
        await self._consumer._client.force_metadata_update()  # aiokafka offers no public way to ask for the topics anew
        found = self._consumer.partitions_for_topic(topic)
        if not found:
            raise TryAgain("no-such-topic", {"en": f"The broker has no topic {topic}. `musubi topics apply` creates it."})
        return found

    async def offsets_at(self, moment: datetime, stretches: Mapping[Partition, Stretch]) -> dict[Partition, int]:
        """In each partition the first offset that was stored at this moment or later; its end where there is none."""
        asked = {TopicPartition(*part): max(0, int(moment.timestamp() * 1000)) for part in stretches}
        async with _answering():
            found = await self._consumer.offsets_for_times(asked)
        return {
            part: min(at.offset, stretch.end) if (at := found.get(TopicPartition(*part))) is not None else stretch.end
            for part, stretch in stretches.items()
        }

    async def written_at(self, offsets: Mapping[Partition, int]) -> dict[Partition, float]:
        """When the first record at or after these offsets was written, in seconds since 1970; nothing of a partition in which
        there is none, or none that says so."""
        found: dict[Partition, float] = {}
        for part, offset in offsets.items():  # one by one: in an answer for several, a large batch keeps the others out
            place = TopicPartition(*part)
            self._consumer.assign([place])
            self._consumer.seek(place, offset)
            async with _answering():
                records = (await self._consumer.getmany(place, timeout_ms=_FIRST_ANSWER_MS, max_records=1)).get(place, [])
            if records and records[0].timestamp > 0:
                found[part] = records[0].timestamp / 1000
        return found

    async def read(self, stretches: Mapping[Partition, Stretch]) -> AsyncGenerator[Sequence[ConsumerRecord], None]:
        """The records of these stretches, those of one partition in order, some at a time; who stops before the end closes it."""
        ends = {TopicPartition(*part): stretch.end for part, stretch in stretches.items() if stretch.first < stretch.end}
        self._consumer.assign(list(ends))
        for part in ends:
            self._consumer.seek(part, stretches[Partition(*part)].first)
        moved_at = time.monotonic()
        while ends:
            async with _answering():
                arrived = await self._consumer.getmany(*ends, timeout_ms=200, max_records=_AT_ONCE)
                reached = {part: await self._consumer.position(part) for part in ends}
            for part, records in arrived.items():
                if inside := [record for record in records if record.offset < ends[part]]:
                    yield inside
            done = [part for part in ends if reached[part] >= ends[part]]
            if arrived or done:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > ANSWER_SECONDS:
                raise TryAgain("broker-away", _AWAY)
            for part in done:
                self._consumer.pause(part)
                del ends[part]

    async def follow(self, firsts: Mapping[Partition, int]) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """What stands from these offsets on and what comes after it, without end; those of one partition in order."""
        self._consumer.assign([TopicPartition(*part) for part in firsts])
        for part, first in firsts.items():
            self._consumer.seek(TopicPartition(*part), first)
        heard_at = time.monotonic()
        while True:
            async with _answering():
                arrived = await self._consumer.getmany(timeout_ms=200, max_records=_AT_ONCE)
                if arrived:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > _LOOK_SECONDS:
                    if not await self._consumer._client.force_metadata_update():
                        raise TryAgain("broker-away", _AWAY)
                    heard_at = time.monotonic()
            if arrived:
                yield [record for records in arrived.values() for record in records]


@asynccontextmanager
async def opened(bootstrap: str, login: KafkaLogin = NOBODY) -> AsyncIterator[KafkaLog]:
    """Connect while the block runs; raises `TryAgain` when the broker does not answer."""
    unpacking.take_any()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metadata_max_age_ms=10_000,
        **login.for_aiokafka(),
    )
    try:
        async with _answering():
            await consumer.start()
        yield KafkaLog(consumer)
    finally:
        # In a task of its own: `stop` ends as if we had been cancelled where it meets a fetch that waits for the broker.
        stopping = asyncio.create_task(consumer.stop())
        stopping.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait({stopping}, timeout=2)
        stopping.cancel()


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except (TimeoutError, KafkaError, OSError) as error:
        raise TryAgain("broker-away", _AWAY) from error
