"""Runs the three thin hops under an open load and reads when each event was committed at each of them."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from aiokafka import AIOKafkaProducer

from bench import thin_hops
from bench.open_loop import drive
from common.contracts.registry import Topic
from musubi import topics

PATIENCE = 30
WARM_UP = 50
TEXT = ('{"title": "A need like any other", "text": "' + "lorem ipsum dolor sit amet " * 34 + '"}').encode()
"""About 1 kB of JSON, as long as an offering."""


def make_topics(kafka: str) -> None:
    """The topics between the hops, with as many partitions as the services' topics have."""
    names = [thin_hops.topic(hop) for hop in range(1, thin_hops.HOPS + 2)]
    topics.apply(kafka, [Topic(name, "facts", "bench", partitions=thin_hops.PARTITIONS) for name in names])


async def measure(kafka: str, postgres: str, moments: Sequence[float]) -> list[list[float]]:
    """For each event the seconds from the moment at which it was meant to leave to the commit at each hop."""
    await thin_hops.prepare(postgres)
    ids = [uuid.uuid4() for _ in moments]
    async with _hops(kafka, postgres), AIOKafkaProducer(bootstrap_servers=kafka, acks="all") as producer:

        async def send(id_: uuid.UUID) -> None:
            await producer.send_and_wait(thin_hops.topic(1), id_.bytes + TEXT, key=str(id_).encode())

        await drive([uuid.uuid4() for _ in range(WARM_UP)], [n / 100 for n in range(WARM_UP)], send)
        sent = await drive(ids, moments, send)
        committed = await _committed(postgres, ids)
    return [[at - sent.meant[id_] for at in committed[id_]] for id_ in ids if len(committed[id_]) == thin_hops.HOPS]


@asynccontextmanager
async def _hops(kafka: str, postgres: str) -> AsyncIterator[None]:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.thin_hops", kafka, postgres, str(hop), stdout=subprocess.PIPE
        )
        for hop in range(1, thin_hops.HOPS + 1)
    ]
    try:
        for process in processes:
            assert process.stdout
            await asyncio.wait_for(process.stdout.readline(), 60)
        yield
    finally:
        for process in processes:
            process.kill()
            await process.wait()


async def _committed(postgres: str, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[float]]:
    """For each event its commit times, hop by hop; shorter where it did not arrive in time."""
    connection = await asyncpg.connect(postgres)
    found: dict[uuid.UUID, list[float]] = {id_: [] for id_ in ids}
    try:
        for hop in reversed(range(1, thin_hops.HOPS + 1)):
            sql = f"""select event_id, extract(epoch from pg_xact_commit_timestamp(xmin))::float8 as at
                from {thin_hops.schema(hop)}.inbox where event_id = any($1::uuid[])"""
            rows = await connection.fetch(sql, ids)
            for _ in range(PATIENCE * 10):
                if len(rows) == len(ids):
                    break
                await asyncio.sleep(0.1)
                rows = await connection.fetch(sql, ids)
            for row in rows:
                found[row["event_id"]].insert(0, row["at"])
        return found
    finally:
        await connection.close()
