"""Announcing events: `append` writes them in the transaction of the state change; the relay sends them after.

A key's events get the numbers 1, 2, 3… under the row lock of its `stream_head`, and the batch number is drawn under those
locks: so batch order is commit order for every key.
"""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from common.message import Event
from common.transaction import Transaction

_COLUMNS = (
    "batch", "n", "topic", "key", "sequence", "event_id", "type", "source", "time", "body", "trace",
    "correlation_id", "causation_id",
)  # fmt: skip


class Batch(NamedTuple):
    """What one transaction announced."""

    number: int
    events: Sequence[Event]


async def append(tx: Transaction) -> Batch | None:
    """Number what was emitted, store it and mark it unsent; None if nothing was. Call it once, at the end of the transaction.

    The locks are taken here, in sorted order, so that two transactions never wait for each other; they are held until commit.
    """
    if not tx.emitted:
        return None
    keys: dict[str, list[str]] = {}
    for event in tx.emitted:
        keys.setdefault(event.topic, []).append(event.key)
    heads: dict[tuple[str, str], int] = {}
    for topic in sorted(keys):
        rows = await tx.fetch(
            """insert into stream_head as head (topic, key, sequence)
            select $1, key, count(*) from unnest($2::text[]) as x(key) group by key order by key collate "C"
            on conflict (key, topic) do update set sequence = head.sequence + excluded.sequence
            returning key, sequence""",
            topic, keys[topic],
        )  # fmt: skip
        heads |= {(topic, key): sequence for key, sequence in rows}
    numbered: list[Event] = []
    for event in reversed(tx.emitted):  # the head is the number of a key's last event
        where = event[:2]
        sequence = heads[where]
        heads[where] = sequence - 1
        numbered.append(Event(event.topic, event.key, sequence, *event[3:]))
    numbered.reverse()
    batch: int = await tx.fetchval("insert into unsent default values returning batch")
    await tx.connection.copy_records_to_table(
        "outbox",
        columns=_COLUMNS,
        records=[(batch, n, *event) for n, event in enumerate(numbered)],
    )
    return Batch(batch, numbered)


async def unsent(connection: asyncpg.Connection, limit: int) -> list[int]:
    """The oldest batches that wait to be sent."""
    return [row[0] for row in await connection.fetch("select batch from unsent order by batch limit $1", limit)]


async def load(connection: asyncpg.Connection, batches: Sequence[int]) -> dict[int, list[Event]]:
    """The events of these batches, in order."""
    found: dict[int, list[Event]] = {}
    rows = await connection.fetch(
        """select batch, topic, key, sequence, event_id::text, type, source, time, body, trace, correlation_id, causation_id
        from outbox where batch = any($1::bigint[]) order by batch, n""",
        batches,
    )
    for batch, *event in rows:
        found.setdefault(batch, []).append(Event(*event))
    return found


async def forget_unsent(connection: asyncpg.Connection, batches: Sequence[int]) -> None:
    """These batches have reached the broker."""
    await connection.execute("delete from unsent where batch = any($1::bigint[])", batches)


async def meet(connection: asyncpg.Connection, incarnation: str) -> int:
    """Note in which life of the broker we send. If it is not the one before, its log is gone: everything is unsent again.

    Returns how many batches were marked. The consumers' gates drop what they have seen.
    """
    async with connection.transaction():
        before = await connection.fetchval("select incarnation from broker_life for update")
        if before == incarnation:
            return 0
        await connection.execute(
            """insert into broker_life (incarnation) values ($1)
            on conflict (one) do update set incarnation = excluded.incarnation, since = now()""",
            incarnation,
        )
        if before is None:
            return 0
        result = await connection.execute("insert into unsent (batch) select distinct batch from outbox on conflict do nothing")
        return int(result.split()[-1])


async def count_unsent(connection: asyncpg.Connection) -> int:
    """How many batches wait to be sent."""
    return await connection.fetchval("select count(*) from unsent") or 0
