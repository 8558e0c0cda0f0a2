"""Which Kafka we talk to, which life of it this is, which topics it has, and how long their logs are: one that forgot has to be
sent everything again.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, LeaderNotAvailableError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

from common.kafka_login import NOBODY, KafkaLogin
from common.messaging.message import Partition

ANSWER_SECONDS = 5
_END = -1  # instead of a time: the end of the log


class Broker:
    """The broker's address and its incarnation: the cluster's id, or what the embedded broker's owner says."""

    def __init__(self, bootstrap: str, incarnation: str = "", login: KafkaLogin = NOBODY) -> None:
        self.bootstrap = bootstrap
        self.login = login
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
        """Who it is, and where each of these partitions ends; if it is not the `known` one, no ends, and none of topics that it
        has not. Raises as above, also where it cannot (yet) say the end of one of them."""
        async with self._asking() as client:
            incarnation = await self._who(client)
            if incarnation != known or not parts:
                return incarnation, {}
            missing = await missing_topics(client, {part.topic for part in parts})
            return incarnation, await _ends(client, [part for part in parts if part.topic not in missing])

    async def ends_of(self, topics: Collection[str]) -> tuple[str, dict[Partition, int]]:
        """Who it is, and where every partition of these topics ends; nothing of topics that it has not. Raises as above."""
        async with self._asking() as client:
            incarnation = await self._who(client)
            there = set(topics) - await missing_topics(client, topics)
            await client.set_topics(there)
            parts = [Partition(topic, part) for topic in there for part in client.cluster.partitions_for_topic(topic) or ()]
            return incarnation, await _ends(client, parts)

    async def missing(self, topics: Collection[str]) -> frozenset[str]:
        """Those of these topics that the broker has not; asking makes none. Raises as above."""
        async with self._asking() as client:
            return await missing_topics(client, topics)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AIOKafkaClient]:
        client = AIOKafkaClient(
            bootstrap_servers=self.bootstrap, request_timeout_ms=ANSWER_SECONDS * 1000, **self.login.for_aiokafka()
        )
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
        answer: Any = await client.send(_any_node(client), MetadataRequest([]))
        # librdkafka's embedded cluster says the same id in every life.
        return self._told or str(getattr(answer, "cluster_id", "") or "unknown")


def _any_node(client: AIOKafkaClient) -> int:
    for broker in client.cluster.brokers():
        return broker.nodeId
    raise KafkaConnectionError("no broker answers")


async def missing_topics(client: AIOKafkaClient, topics: Collection[str], *, make: bool = False) -> frozenset[str]:
    """Those of these topics that the broker has not. `make`: let it make them, if it is one that does.

    aiokafka itself would ask for such a topic until its time is over, and write a line of log each time."""
    answer: Any = await client.send(_any_node(client), MetadataRequest(list(topics), make))
    return frozenset(name for error, name, *_ in answer.topics if error == UnknownTopicOrPartitionError.errno)


async def _ends(client: AIOKafkaClient, parts: Collection[Partition]) -> dict[Partition, int]:
    if not parts:
        return {}
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
