"""The brokers that tests speak to, embedded or real, with fresh topics."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from aiokafka import AIOKafkaProducer
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from common.contracts.registry import Topic
from common.messaging.message import Event, to_headers
from musubi import topics
from musubi.embedded_kafka import EmbeddedBroker


@dataclass(frozen=True)
class Broker:
    """Where a broker answers. `incarnation` is the life of the embedded one, and empty on a real one, which has a cluster id."""

    address: str
    incarnation: str
    kind: Literal["embedded", "real"]
    embedded: EmbeddedBroker | None = field(default=None, repr=False)


FreshTopics = Callable[..., None]


def make_fresh_topics(broker: Broker, wanted: Iterable[Topic] = topics.ALL_TOPICS) -> None:
    """Make these topics exist and be empty. On the embedded broker they must be new: give each test its own broker."""
    wanted = list(wanted)
    if broker.embedded:
        for topic in wanted:
            broker.embedded.create(topic.name, topic.partitions)
        return
    admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
    present = admin.list_topics(timeout=15).topics.keys() & {topic.name for topic in wanted}
    if present:
        for gone in admin.delete_topics(list(present), operation_timeout=15).values():
            gone.result()
    deadline = time.monotonic() + 15
    # Until the broker has heard of the deletion itself, it takes records for the old topics, and lists them as if they were new.
    while present & admin.list_topics(timeout=5).topics.keys():
        assert time.monotonic() < deadline, "the broker still lists old topics"
        time.sleep(0.05)
    while True:
        outcome = topics.apply(broker.address, wanted)
        if all(said == "created" for said in outcome.values()):
            break
        assert time.monotonic() < deadline, f"the broker still holds old topics: {outcome}"
        time.sleep(0.05)  # the broker is deleting
    _wait_until_listed(admin, wanted, deadline)


def _wait_until_listed(admin: AdminClient, wanted: list[Topic], deadline: float) -> None:
    """A client that asks before the new topics are listed would look again only after its metadata ages."""
    names = {topic.name for topic in wanted}
    while time.monotonic() < deadline:
        try:
            listed = admin.list_topics(timeout=5).topics
            if names <= listed.keys() and all(
                listed[name].partitions and all(p.leader >= 0 for p in listed[name].partitions.values()) for name in names
            ):
                return
        except KafkaException:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the broker does not list {names}")


async def write(broker: Broker, *events: Event, stored_at: datetime | None = None) -> None:
    """Put events straight into their topic, all in partition 0, on a real broker as if at that moment."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    await producer.start()
    at = int(stored_at.timestamp() * 1000) if stored_at else None
    try:
        for event in events:
            await producer.send_and_wait(
                event.topic, event.body, event.key.encode(), 0, timestamp_ms=at, headers=to_headers(event)
            )  # fmt: skip
    finally:
        await producer.stop()
