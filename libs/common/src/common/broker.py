"""Which Kafka we talk to, which life of it this is, and how long its log is: one that forgot has to be sent everything again."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, LeaderNotAvailableError, for_code
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

from common.message import Partition

ANSWER_SECONDS = 5
_END = -1  # instead of a time: the end of the log


class Broker:
    """The broker's address and its incarnation: the cluster's id, or what the embedded broker's owner says."""

    def __init__(self, bootstrap: str, incarnation: str = "") -> None:
        self.bootstrap = bootstrap
        self._told = incarnation

    @property
    def forgets(self) -> bool:
        """Is it the embedded one, whose log is in memory, short, and without holes?"""
        return bool(self._told)

    async def incarnation(self) -> str:
        """Ask the broker whether it is there and who it is; raises aiokafka's errors or `TimeoutError`."""
        async with self._asking() as client:
            return await self._who(client)

    async def look(self, parts: Collection[Partition], known: str) -> tuple[str, dict[Partition, int]]:
        """Who it is, and where each of these partitions ends; if it is not the `known` one, no ends. Raises as above, also where
        it cannot (yet) say the end of one of them."""
        async with self._asking() as client:
            incarnation = await self._who(client)
            if incarnation != known or not parts:
                return incarnation, {}
            return incarnation, await _ends(client, parts)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AIOKafkaClient]:
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap, request_timeout_ms=ANSWER_SECONDS * 1000)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await client.bootstrap()
                yield client
        finally:
            # In a task of its own, because `close` swallows a cancellation that arrives meanwhile: the caller would never stop.
            closing = asyncio.create_task(client.close())
            closing.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.wait({closing}, timeout=2)

    async def _who(self, client: AIOKafkaClient) -> str:
        brokers = [broker.nodeId for broker in client.cluster.brokers()]
        if not brokers:
            raise KafkaConnectionError(f"no broker at {self.bootstrap}")
        answer: Any = await client.send(brokers[0], MetadataRequest([]))
        # librdkafka's embedded cluster says the same id in every life.
        return self._told or str(getattr(answer, "cluster_id", "") or "unknown")


async def _ends(client: AIOKafkaClient, parts: Collection[Partition]) -> dict[Partition, int]:
    await client.set_topics({part.topic for part in parts})
    asked: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for part in parts:
        leader = client.cluster.leader_for_partition(TopicPartition(*part))
        if leader is None or leader < 0:
            raise LeaderNotAvailableError(part)
        asked[leader][part.topic].append((part.number, _END))
    ends: dict[Partition, int] = {}
    for leader, topics in asked.items():
        answer: Any = await client.send(leader, OffsetRequest(-1, 0, list(topics.items())))
        for topic, found in answer.topics:
            for number, error, _, end in found:
                if error:
                    raise for_code(error)(f"{topic} {number}")
                ends[Partition(topic, number)] = end
    return ends
