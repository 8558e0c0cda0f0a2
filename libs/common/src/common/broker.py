"""Which Kafka we talk to, and which life of it this is: a broker that lost its log has to be sent everything again."""

import asyncio
import contextlib
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

ANSWER_SECONDS = 5


class Broker:
    """The broker's address and its incarnation: the cluster's id, or what the embedded broker's owner says."""

    def __init__(self, bootstrap: str, incarnation: str = "") -> None:
        self.bootstrap = bootstrap
        self._told = incarnation

    async def incarnation(self) -> str:
        """Ask the broker whether it is there and who it is; raises aiokafka's errors or `TimeoutError`."""
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap, request_timeout_ms=ANSWER_SECONDS * 1000)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await client.bootstrap()
                brokers = [broker.nodeId for broker in client.cluster.brokers()]
                if not brokers:
                    raise KafkaConnectionError(f"no broker at {self.bootstrap}")
                answer: Any = await client.send(brokers[0], MetadataRequest([]))
                # librdkafka's embedded cluster says the same id in every life.
                return self._told or str(getattr(answer, "cluster_id", "") or "unknown")
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await client.close()
