"""Three hops as thin as one can write them by hand, for comparison: consume, one transaction, publish; no gate, no contracts.

`python -m bench.thin_hops KAFKA POSTGRES HOP` runs one of them, as the services run, in a process of its own. Each remembers
which events it has seen, upserts one row and passes the event on; the row's commit time is what is measured.
"""

import asyncio
import sys
import uuid
from collections.abc import Sequence

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

HOPS = 3
PARTITIONS = 4
AT_MOST = 1000
TABLES = """
create table inbox (event_id uuid primary key);
create table state (key text primary key, version integer not null, data jsonb not null);
create table outbox (id uuid primary key, key text not null, body text not null);
"""


def topic(hop: int) -> str:
    """The topic that this hop reads."""
    return f"thin-{hop}"


def schema(hop: int) -> str:
    return f"thin_{hop}"


async def prepare(postgres: str) -> None:
    """Empty tables for every hop."""
    connection = await asyncpg.connect(postgres)
    for hop in range(1, HOPS + 1):
        name = schema(hop)
        await connection.execute(f"drop schema if exists {name} cascade; create schema {name}; set search_path = {name}")
        await connection.execute(TABLES)
    await connection.close()


async def run(kafka: str, postgres: str, hop: int) -> None:
    """Run one hop for ever. Prints a line once it reads."""
    pool = await asyncpg.create_pool(postgres, min_size=2, max_size=2, server_settings={"search_path": schema(hop)})
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, acks="all")
    consumer = AIOKafkaConsumer(
        topic(hop), bootstrap_servers=kafka, group_id=topic(hop), auto_offset_reset="earliest", enable_auto_commit=False
    )
    await producer.start()
    await consumer.start()
    print("reads", flush=True)
    while True:
        fetched = await consumer.getmany(timeout_ms=500, max_records=AT_MOST)
        records = [record for part in fetched.values() for record in part]
        if records:
            out = await _store(pool, records)
            await asyncio.gather(*[await producer.send(topic(hop + 1), body, key=key) for _, key, body in out])
            await pool.execute("delete from outbox where id = any($1::uuid[])", [id_ for id_, *_ in out])
            await consumer.commit()


async def _store(pool: asyncpg.Pool, records: Sequence[ConsumerRecord]) -> list[tuple[uuid.UUID, bytes, bytes]]:
    """One transaction: what is new is remembered, kept and put down to be sent. A body begins with the event's id, 16 bytes."""
    pairs = [(record.key or b"", record.value or b"") for record in records]
    ids = [uuid.UUID(bytes=body[:16]) for _, body in pairs]
    async with pool.acquire() as connection, connection.transaction():
        new = await connection.fetch(
            "insert into inbox select * from unnest($1::uuid[]) on conflict do nothing returning event_id", ids
        )
        fresh = {row["event_id"] for row in new}
        out = [(id_, key, body) for id_, (key, body) in zip(ids, pairs, strict=True) if id_ in fresh]
        newest = {key.decode(): value[16:].decode() for _, key, value in out}
        await connection.execute(
            """insert into state select key, 1, data::jsonb from unnest($1::text[], $2::text[]) as x(key, data)
            on conflict (key) do update set version = state.version + 1, data = excluded.data""",
            list(newest), list(newest.values()),
        )  # fmt: skip
        await connection.copy_records_to_table("outbox", records=[(i, k.decode(), v[16:].decode()) for i, k, v in out])
    return out


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
