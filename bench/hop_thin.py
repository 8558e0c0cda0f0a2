"""The thinnest hop one can write by hand: getmany, one set-based transaction (inbox of ids, upsert, outbox), publish after the
commit while the next batch runs, delete what was published. No gate, no contract, no parking, no telemetry.

It has the same publisher and as many transactions at once as the full hop. With the same contract for the data and the same
attributes on what it announces it does the same work, so that the promise alone makes the difference; `bare` reads and writes
the JSON as fast as Python can, without contract or exact decimals.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from bench.hop_event import IN, OUT, STATE_TABLE, UPSERT, NeedChanged, NeedIndexed
from common.exact_json import dump, load
from common.messaging.message import Event
from common.messaging.publisher import Publisher

SCHEMA = "bench_thin"
SIDE_BY_SIDE = 3
AT_ONCE = 2000
TABLES = """
create table inbox (event_id uuid primary key, at timestamptz not null default now());
create table outbox (id uuid primary key, topic text not null, key text not null, payload bytea not null);
"""


class Need(msgspec.Struct):
    """The event's data, as fast as Python can read it."""

    id: str
    title: str
    category: str
    latitude: float
    longitude: float
    quantity: int
    price: float
    tags: list[str]
    text: str


class Speed(NamedTuple):
    """Events a second, and microseconds of this process's CPU for each event."""

    rate: float
    cpu: float


Reader = Callable[[ConsumerRecord], tuple[str, bytes]]

_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Need).decode


async def run(kafka: str, postgres: str, events: int, *, bare: bool = False) -> Speed:
    """Take in so many events from empty tables."""
    read = _read_bare if bare else _read
    await _empty_tables(postgres)
    pool = await asyncpg.create_pool(
        postgres, min_size=1 + SIDE_BY_SIDE, max_size=1 + SIDE_BY_SIDE, server_settings={"search_path": SCHEMA}
    )
    publisher = Publisher(kafka)
    consumer = AIOKafkaConsumer(
        IN, bootstrap_servers=kafka, group_id=f"thin-{time.time_ns()}", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    got, begun, publishing = 0, (0.0, 0.0), None
    while got < events:
        fetched = await consumer.getmany(timeout_ms=500, max_records=AT_ONCE)
        if not fetched:
            continue
        if not got:
            begun = time.perf_counter(), time.process_time()
        shares: list[list[ConsumerRecord]] = [[] for _ in range(SIDE_BY_SIDE)]
        for part, records in fetched.items():
            shares[part.partition % SIDE_BY_SIDE] += records
            got += len(records)
        out = [
            event for part in await asyncio.gather(*(_store(pool, share, read) for share in shares if share)) for event in part
        ]
        if publishing:
            await publishing
        publishing = asyncio.create_task(_publish(pool, publisher, out))
        await consumer.commit()
    if publishing:
        await publishing
    speed = Speed(events / (time.perf_counter() - begun[0]), 1e6 * (time.process_time() - begun[1]) / events)
    await consumer.stop()
    await publisher.close()
    await pool.close()
    return speed


async def _empty_tables(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"drop schema if exists {SCHEMA} cascade; create schema {SCHEMA}; set search_path = {SCHEMA}")
    await connection.execute(STATE_TABLE + TABLES)
    await connection.execute("checkpoint")
    await connection.close()


def _read(record: ConsumerRecord) -> tuple[str, bytes]:
    """A need's id and its JSON, by the contract."""
    need = load(NeedChanged, record.value or b"")
    return need.id, dump(need)


def _read_bare(record: ConsumerRecord) -> tuple[str, bytes]:
    need = _decode(record.value or b"")
    return need.id, _encode(need)


async def _store(pool: asyncpg.Pool, records: Sequence[ConsumerRecord], read: Reader) -> list[Event]:
    """One transaction; returns what is to be published."""
    headers = [dict(record.headers) for record in records]
    ids = [header["ce_id"].decode() for header in headers]
    out: list[Event] = []
    state: dict[str, str] = {}
    async with pool.acquire() as connection, connection.transaction():
        fresh = {
            str(row[0])
            for row in await connection.fetch(
                "insert into inbox (event_id) select unnest($1::uuid[]) on conflict do nothing returning event_id", ids
            )
        }
        for record, header, id_ in zip(records, headers, ids, strict=True):
            if id_ in fresh:
                key, body = read(record)
                state[key] = body.decode()
                event = Event(OUT, key, 1, str(uuid.uuid4()), NeedIndexed.type, "/thin", "2026-11-24T00:00:00Z", body)
                out.append(event._replace(trace=header["traceparent"], correlation_id=id_, causation_id=id_))
        await connection.execute(UPSERT, list(state), list(state.values()))
        await connection.copy_records_to_table(
            "outbox", records=[(e.id, e.topic, e.key, e.body) for e in out], columns=["id", "topic", "key", "payload"]
        )
    return out


async def _publish(pool: asyncpg.Pool, publisher: Publisher, out: Sequence[Event]) -> None:
    await publisher.publish(out)
    await pool.execute("delete from outbox where id = any($1::uuid[])", [event.id for event in out])
