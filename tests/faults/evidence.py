"""What the system shows when it has come to rest, copied beside the ledger so that the verdict can compare the two by SQL.

Read past all proxies, straight from PostgreSQL's tables, from the log of Kafka, and from the mail server.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.faults.counter import TOPICS

SERVICES = ("needs", "catalog", "matching", "notify", "counter", "tally")
READERS = ("matching", "notify", "counter", "tally")
OF_US = "split_part(grp, '-', 1) = $1"
"""All groups of the service."""
WAITS = "reason not in ('superseded', 'skipped')"

SCHEMA = """
create table effect (grp text, place integer, topic text, key text, sequence integer, event_id text, said text, number integer,
    at real);
create table announced (service text, topic text, key text, sequence integer, event_id text, correlation text, causation text);
create table on_topic (topic text, part integer, "offset" integer, key text, sequence integer, event_id text);
create table head (service text, topic text, key text, sequence integer);
create table cursor (grp text, topic text, key text, last integer);
create table parked (grp text, topic text, key text, sequence integer, reason text, error text);
create table quarantined (grp text, topic text, part integer, "offset" integer, reason text);
create table left_over (service text, what text, amount integer);
"""
INDEXES = """
create index effect_by_key on effect (grp, topic, key, sequence);
create index effect_by_event on effect (event_id);
create index effect_by_said on effect (said, grp);
create index announced_by_id on announced (event_id);
create index announced_by_correlation on announced (correlation);
create index announced_by_key on announced (topic, key, sequence);
create index on_topic_by_id on on_topic (event_id);
create index quarantined_by_place on quarantined (topic, part, "offset");
create index cursor_by_key on cursor (topic, key, grp);
create index parked_by_key on parked (topic, key);
analyze;
"""


async def collect(book: sqlite3.Connection, dsn: str, kafka: str) -> None:
    """Copy everything into new tables of the book."""
    book.executescript(SCHEMA)
    for service in SERVICES:
        connection = await asyncpg.connect(dsn, server_settings={"search_path": service, "timezone": "UTC"})
        try:
            for table, rows in _tables(connection, service):
                await _copy(book, table, rows)
        finally:
            await connection.close()
    await _copy(book, "on_topic", _log(kafka))
    book.executescript(INDEXES)
    book.commit()


def _tables(connection: asyncpg.Connection, service: str) -> Iterable[tuple[str, AsyncIterator[Sequence[Any]]]]:
    def rows(sql: str, *arguments: Any) -> AsyncIterator[Sequence[Any]]:
        return _rows(connection, sql, service, *arguments)

    yield (
        "announced",
        rows("select $1::text, topic, key, sequence, event_id::text, correlation_id, causation_id from outbox order by batch, n"),
    )
    yield "head", rows("select $1::text, topic, key, sequence from stream_head")
    yield "left_over", rows("select $1::text, 'unsent', count(*) from unsent having count(*) > 0")
    yield "left_over", rows("select $1::text, 'duties', count(*) from due where next_try <= now() having count(*) > 0")
    if service not in READERS:
        return
    yield "cursor", rows(f"select grp, topic, key, last from inbox_cursor where {OF_US}")
    yield "parked", rows(f"select grp, topic, key, sequence, reason, error from parked where {OF_US} and {WAITS}")
    yield "quarantined", rows(f"""select grp, topic, part, "offset", reason from quarantine where {OF_US}""")
    if service in ("counter", "tally"):
        yield (
            "effect",
            rows(
                """select $1::text, place, topic, key, sequence, event_id, said, number, extract(epoch from at)::float8
                from effect order by place"""
            ),
        )
    if service == "notify":
        yield (
            "left_over",
            rows(
                """select $1::text, 'mails ' || state, count(*) from delivery where state in ('to_compose', 'due')
                group by state having $1::text <> ''"""
            ),
        )


async def _rows(connection: asyncpg.Connection, sql: str, *arguments: Any) -> AsyncIterator[Sequence[Any]]:
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(sql, *arguments, prefetch=5000):
            yield row


async def _copy(book: sqlite3.Connection, table: str, rows: AsyncIterator[Sequence[Any]]) -> None:
    waiting: list[tuple[Any, ...]] = []
    async for row in rows:
        waiting.append(tuple(row))
        if len(waiting) == 5000:
            _insert(book, table, waiting)
            waiting.clear()
    _insert(book, table, waiting)


def _insert(book: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        places = ", ".join("?" * len(rows[0]))
        book.executemany(f"insert into {table} values ({places})", rows)


async def _log(kafka: str) -> AsyncIterator[Sequence[Any]]:
    """Every record that any topic holds: where it lies, and which event it says it is."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(topic.name, number) for topic in TOPICS.values() for number in range(topic.partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        for part in parts:
            consumer.pause(part)
        for part in parts:
            consumer.resume(part)
            while ends[part] and await consumer.position(part) < ends[part]:
                for record in (await consumer.getmany(part, timeout_ms=1000)).get(part, ()):
                    headers = dict(record.headers)
                    sequence = headers.get("ce_sequence") or b""
                    yield (
                        record.topic, record.partition, record.offset, (record.key or b"").decode(errors="replace"),
                        int(sequence) if sequence.isdigit() else None, (headers.get("ce_id") or b"").decode(errors="replace"),
                    )  # fmt: skip
            consumer.pause(part)
    finally:
        await consumer.stop()
