"""Facts of the benchmark's world, written straight to Kafka as if announced, and how far matching is with them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import asyncpg
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient

from common.contracts.values import Fact
from common.messaging.message import to_headers
from matching.handlers import GROUP
from tests.facts import event_of

LEFT = """select (select count(*) from matching.unsent) + (
    select count(*) from matching.stream_head h left join matching.inbox_cursor c on c.topic = h.topic and c.key = h.key
    where h.topic like '%-by-group' and c.last is distinct from h.sequence)"""


class Stream:
    """Numbers the facts of each key, as their producers' outboxes do, and sends them."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._sequences: Counter[tuple[str, str]] = Counter()

    @classmethod
    @asynccontextmanager
    async def to(cls, kafka: str) -> AsyncIterator["Stream"]:
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        try:
            yield cls(producer)
        finally:
            await producer.stop()

    async def send(self, facts: Iterable[Fact]) -> None:
        """In order; returns when Kafka has them all."""
        sent = []
        for fact in facts:
            place = fact.topic, fact.subject
            self._sequences[place] += 1
            event = event_of(fact, self._sequences[place])
            sent.append(await self._producer.send(event.topic, event.body, key=event.key.encode(), headers=to_headers(event)))
        await asyncio.gather(*sent)

    async def until_matched(self, postgres: str) -> None:
        """Wait until all that was sent was handed on, and handled by the groups."""
        connection = await asyncpg.connect(postgres)
        wanted = [(*place, last) for place, last in self._sequences.items()]
        behind = """select count(*) from unnest($1::text[], $2::text[], $3::bigint[]) as s(topic, key, last)
            left join matching.inbox_cursor c on c.grp = 'matching' and (c.topic, c.key) = (s.topic, s.key)
            where c.last is distinct from s.last"""
        try:
            columns = list(map(list, zip(*wanted, strict=True)))
            while await connection.fetchval(behind, *columns) or await connection.fetchval(LEFT):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        finally:
            await connection.close()


async def shares(kafka: str) -> list[dict[str, set[int]]]:
    """For each process that matches: the partitions that it has of each topic, as the broker says."""

    def ask() -> list[dict[str, set[int]]]:
        admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
        found = []
        for member in admin.describe_consumer_groups([GROUP], request_timeout=10)[GROUP].result().members:
            mine: dict[str, set[int]] = {}
            for part in member.assignment.topic_partitions:
                mine.setdefault(part.topic, set()).add(part.partition)
            found.append(mine)
        return found

    return await asyncio.to_thread(ask)
