"""Records that are no events of ours, thrown straight into Kafka: ten kinds; and the replay of a topic from its beginning."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from common.clock import rfc3339
from tests.faults.counter import FACTS, TOPICS

JUNK = "junk-"
"""How the keys of all that is thrown in begin."""
TARGETS = [name for name, topic in TOPICS.items() if topic.readers]
"""The topics that somebody reads."""
TOO_LARGE = 10_000_000
AS_LARGE_AS_IT_GETS = 1_000_000
"""Bytes: a broker refuses more than 1 MiB."""
KINDS = (
    "bad JSON", "bad UTF-8 in a header", "null header", "no key", "as large as the broker takes", "nested without end", "NaN",
    "1e9999", "NUL", "breaks its contract",
)  # fmt: skip
SECONDS = 8
"""So long a broker may take to acknowledge; then it is not known whether the record is there, and it does not count."""

Headers = list[tuple[str, bytes | None]]


class Record(NamedTuple):
    """One record to be thrown in. `key` tells it from all others, also where the record itself has none."""

    topic: str
    kind: str
    key: str
    raw_key: bytes | None
    value: bytes
    headers: Headers


class Landed(NamedTuple):
    """Where the broker put it."""

    record: Record
    part: int
    offset: int


def make(choose: random.Random, kind: str = "", topic: str = "") -> Record:
    """Some junk for some topic."""
    topic = topic or choose.choice(TARGETS)
    kind = kind or choose.choice(KINDS)
    key = f"{JUNK}{uuid.uuid4()}"
    headers = _envelope(topic, key)
    body: dict[str, object] = {"key": key, "id": key, "number": 1}
    raw_key: bytes | None = key.encode()
    value = json.dumps(body).encode()
    match kind:
        case "bad JSON":
            value = b'{"key": '
        case "bad UTF-8 in a header":
            headers = [(name, b"\xff\xfe" if name == "ce_source" else said) for name, said in headers]
        case "null header":
            headers = [(name, None if name == "ce_type" else said) for name, said in headers]
        case "no key":
            raw_key = None
        case "as large as the broker takes":
            value = b'{"key": "' + b"x" * (AS_LARGE_AS_IT_GETS - 2000)
        case "nested without end":
            value = b"[" * 50_000 + b"]" * 50_000
        case "NaN":
            value = b'{"number": NaN}'
        case "1e9999":
            value = json.dumps(body).replace("1}", "1e9999}").encode()
        case "NUL":
            raw_key = f"{key}\0".encode()
        case _:
            value = json.dumps(body | {"number": "many"}).encode()
    return Record(topic, kind, key, raw_key, value, headers)


def _envelope(topic: str, key: str) -> Headers:
    type_ = next(kind.type for kind in FACTS.values() if kind.topic == topic)
    return [
        ("ce_specversion", b"1.0"), ("ce_id", str(uuid.uuid4()).encode()), ("ce_type", type_.encode()), ("ce_source", b"/junk"),
        ("ce_subject", key.encode()), ("ce_time", rfc3339(datetime.now(UTC)).encode()), ("ce_sequence", b"1"),
        ("content-type", b"application/json"),
    ]  # fmt: skip


@asynccontextmanager
async def producing(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that waits for all replicas, and is dropped without waiting."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", max_request_size=2 * TOO_LARGE, request_timeout_ms=5000)
    try:
        async with asyncio.timeout(SECONDS):
            await producer.start()
        yield producer
    finally:
        try:
            async with asyncio.timeout(3):
                await producer.stop()
        except (TimeoutError, KafkaError):
            pass


async def throw_in(producer: AIOKafkaProducer, records: list[Record]) -> list[Landed]:
    """Throw these in; those that the broker acknowledged. A compacted topic takes none without a key."""
    landed = []
    for record in records:
        try:
            async with asyncio.timeout(SECONDS):
                sent = await producer.send(record.topic, record.value, key=record.raw_key, headers=record.headers)
                there = await sent
        except (KafkaError, TimeoutError):
            continue
        landed.append(Landed(record, there.partition, there.offset))
    return landed


async def is_refused_as_too_large(producer: AIOKafkaProducer, topic: str) -> bool:
    """10 MB at once: whether the broker refused it, or at least did not take it in time."""
    try:
        async with asyncio.timeout(SECONDS):
            await (await producer.send(topic, b"x" * TOO_LARGE, key=b"junk-too-large"))
    except (KafkaError, TimeoutError):
        return True
    return False


async def replay(kafka: str, producer: AIOKafkaProducer, topic: str) -> int:
    """Append all records of a topic to it once more, in their order; returns how many."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    async with asyncio.timeout(SECONDS):
        await consumer.start()
    amount = 0
    try:
        parts = [TopicPartition(topic, number) for number in range(TOPICS[topic].partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        todo = {part for part in parts if ends[part] > 0}
        while todo:
            async with asyncio.timeout(30):
                batches = await consumer.getmany(*todo, timeout_ms=500, max_records=500)
            waiting = []
            for part, records in batches.items():
                for record in records:
                    if record.offset < ends[part]:
                        headers = list(record.headers)
                        waiting.append(
                            await producer.send(topic, record.value, key=record.key, partition=part.partition, headers=headers)
                        )
                if records and records[-1].offset + 1 >= ends[part]:
                    todo.discard(part)
            async with asyncio.timeout(30):
                await asyncio.gather(*waiting)
            amount += len(waiting)
            for part in list(todo):
                if await consumer.position(part) >= ends[part]:
                    todo.discard(part)
    finally:
        try:
            async with asyncio.timeout(3):
                await consumer.stop()
        except TimeoutError:
            pass
    return amount
