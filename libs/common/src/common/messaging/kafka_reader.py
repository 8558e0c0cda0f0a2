"""FastStream's part in reading: it fetches batches of raw records, and nothing else. Manual acknowledgement, a parser that cannot
raise, bytes in; and how to join and leave a group.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import ConsumerRebalanceListener, ConsumerRecord
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaAckableMessage

from common.messaging import unpacking
from common.messaging.broker import Broker

LEAVE_SECONDS = 3
_DEALT_OUT = (RoundRobinPartitionAssignor,)
_NUMBERS_TOGETHER = (RangePartitionAssignor, *_DEALT_OUT)
"""The second is for a roll-out: members of before know only that one, and a group takes what all of its members know."""
SPARE_SECONDS = 2
"""A request may take so much longer than a session: joining waits for members that are gone until their sessions end."""


class Membership(NamedTuple):
    """What a process is in its group. After `session` seconds without a word from it, its partitions go to others. An `instance`
    that comes back within that time, stopped or killed, has its partitions back at once; without one it leaves when it stops."""

    session: float = 10.0
    instance: str = ""


class Records:
    """A batch of raw records. A class of its own, so that FastStream does not take it for a list of arguments."""

    __slots__ = ("all",)

    def __init__(self, all_: Sequence[ConsumerRecord]) -> None:
        self.all = all_


def subscribed(
    broker: Broker,
    group: str,
    topics: Sequence[str],
    membership: Membership,
    listener: ConsumerRebalanceListener,
    *,
    at_once: int,
    together: bool = False,
) -> tuple[Any, Any]:
    """A Kafka client and its one subscriber, neither started. `together`: partitions of equal number go to the same member,
    once all members of the group ask for that."""
    unpacking.take_any()
    kafka: Any = KafkaBroker(
        broker.bootstrap,
        security=broker.login.for_faststream(),
        logger=None,
        allow_auto_create_topics=False,
        metadata_max_age_ms=10_000,  # a topic made later is found this soon
        retry_backoff_ms=300,  # it tries in several places at once, and each writes log lines as long as the broker is away
        request_timeout_ms=int(1000 * (membership.session + SPARE_SECONDS)),  # a connection that was silently cut is dropped
    )
    subscriber = kafka.subscriber(
        *topics,
        group_id=group,
        # The embedded broker has one member a group, and lets who knows two ways wait for seven seconds.
        partition_assignment_strategy=_NUMBERS_TOGETHER if together and not broker.forgets else _DEALT_OUT,
        group_instance_id=membership.instance or None,
        session_timeout_ms=int(1000 * membership.session),
        heartbeat_interval_ms=int(min(1000, 1000 * membership.session / 3)),  # so soon a member hears that another one is gone
        batch=True,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        max_records=at_once,
        batch_timeout_ms=10,  # also the sleep after an empty fetch
        parser=_as_message,
        decoder=_as_is,
        listener=listener,
        no_reply=True,
    )
    return kafka, subscriber


async def leave(kafka: Any, subscriber: Any) -> None:
    """Say farewell, within a deadline: aiokafka's stop may wait for ever, and the protocol needs no farewell."""
    tasks, consumer = list(subscriber.tasks), subscriber.consumer
    with contextlib.suppress(Exception):
        async with asyncio.timeout(LEAVE_SECONDS):
            await kafka.stop()
            return
    for task in (*tasks, *_inner_tasks(consumer)):  # else they would try to reach the broker for ever
        task.cancel()
    if consumer is not None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                await consumer._client.close()


def _inner_tasks(consumer: Any) -> list[asyncio.Task[Any]]:
    """aiokafka's own background tasks; there is no public way to abort them."""
    coordinator, fetcher = getattr(consumer, "_coordinator", None), getattr(consumer, "_fetcher", None)
    names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task")
    tasks = [getattr(coordinator, name, None) for name in names] + [getattr(fetcher, "_fetch_task", None)]
    return [task for task in tasks if isinstance(task, asyncio.Task) and not task.done()]


async def _as_message(records: tuple[ConsumerRecord, ...]) -> KafkaAckableMessage:
    """Replaces FastStream's parser, which decodes every header of every record and loses the batch when one is not UTF-8."""
    return KafkaAckableMessage(body=Records(records), raw_message=records, headers={}, batch_headers=[], consumer=FAKE_CONSUMER)


async def _as_is(message: KafkaAckableMessage) -> Any:
    return message.body
