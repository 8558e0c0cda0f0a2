"""Waits until the chain has come to rest: everything sent, everything read, everybody told, every mail out.

The links of the chain are looked at in their order, so that one that is at rest gets nothing more from those before it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from confluent_kafka import Consumer, TopicPartition

from common.contracts.registry import TOPICS, groups_of
from common.postgres import Database
from musubi import roles
from musubi.advice import CannotGoOn
from notify import mail_store

LOOK_EVERY_SECONDS = 0.05
ANSWER_SECONDS = 10
Condition = Callable[[], Awaitable[bool]]


class NotAtRest(CannotGoOn):
    """The chain is still working after a long time; the text says which link."""


async def until_at_rest(
    postgres: Mapping[str, str], kafka: str, *, within: float = 300, reached: Callable[[str], None] = lambda link: None
) -> None:
    """Wait; `reached` is told when all is "proposed", "notified" and "mailed". Raises `NotAtRest` after `within` seconds."""
    deadline = time.monotonic() + within
    async with AsyncExitStack() as stack:
        databases = {name: await stack.enter_async_context(_opened(postgres[name], name)) for name in roles.SERVICES}
        positions = EndOfTopics(kafka)
        stack.callback(positions.close)

        def sent(name: str) -> Condition:
            return lambda: _all_sent(databases[name])

        def read(name: str) -> Condition:
            return lambda: _all_read(databases[name], name, positions)

        links: list[tuple[str, str, Sequence[Condition]]] = [
            ("proposed", "needs, catalog and matching", [sent("needs"), sent("catalog"), read("matching"), sent("matching")]),
            ("notified", "notify", [read("notify"), sent("notify")]),
            ("mailed", "the mails", [lambda: _all_mailed(databases["notify"])]),
        ]
        for word, link, conditions in links:
            for condition in conditions:
                while not await condition():
                    if time.monotonic() > deadline:
                        raise NotAtRest(f"After {within:.0f} s there is still work for {link}. The log says why.")
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
            reached(word)


@asynccontextmanager
async def _opened(dsn: str, schema: str) -> AsyncIterator[Database]:
    database = Database(dsn, schema, connections=1)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


class EndOfTopics:
    """A reader of no group, which can say where each partition ends."""

    def __init__(self, kafka: str) -> None:
        # A group has to be named, but only subscribing would join it.
        self._consumer = Consumer({"bootstrap.servers": kafka, "group.id": "musubi-rest", "log_level": 0})

    def of(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """The next offset of each partition. Blocks; raises `KafkaException` when the broker does not answer."""
        known = self._consumer.list_topics(timeout=ANSWER_SECONDS).topics
        ends = {}
        for topic in topics:
            for part in known[topic].partitions:
                _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, part), timeout=ANSWER_SECONDS)
                ends[topic, part] = end
        return ends

    def close(self) -> None:
        self._consumer.close()


async def _all_sent(database: Database) -> bool:
    """Everything in the service's outbox is on the broker."""
    async with database.reading() as tx:
        return not await tx.fetchval("select exists (select from unsent)")


async def _all_read(database: Database, service: str, positions: EndOfTopics) -> bool:
    """The service's groups have handled all that their topics hold; no topic has two of them."""
    ends = await asyncio.to_thread(positions.of, {topic.name for topic in TOPICS.values() if topic.is_read_by(service)})
    async with database.reading() as tx:
        rows = await tx.fetch("select topic, part, next from consumer_offset where grp = any($1::text[])", groups_of(service))
    reached = {(row["topic"], row["part"]): row["next"] for row in rows}
    return all(reached.get(part, 0) >= end for part, end in ends.items())


async def _all_mailed(database: Database) -> bool:
    """No mail waits to be written or sent."""
    async with database.reading() as tx:
        states = await mail_store.states(tx)
    return not states.keys() & {"to_compose", "due"}
