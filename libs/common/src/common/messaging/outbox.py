"""Announcing events: `append` writes them in the transaction of the state change; the relay sends them after.

A key's events get the numbers 1, 2, 3… under the row lock of its `stream_head`, and the batch number is drawn under those
locks: so batch order is commit order for every key.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import asyncpg

from common.contracts.registry import TOPICS, Topic
from common.messaging import arrays
from common.messaging.message import Event, event_of
from common.transaction import Transaction

_COLUMNS = (
    "batch", "n", "topic", "key", "sequence", "event_id", "type", "source", "time", "body", "trace",
    "correlation_id", "causation_id", "dense",
)  # fmt: skip
_MARKED_AT_ONCE = 5_000
MOST_OF_A_KEY = 500
"""So many events of a key are sent again at once; who misses more asks again."""


class Batch(NamedTuple):
    """What one transaction announced."""

    number: int
    events: Sequence[Event]


async def append(tx: Transaction, topics: Mapping[str, Topic] = TOPICS) -> Batch | None:
    """Number what was emitted, store it and mark it unsent; None if nothing was. Call it once, at the end of the transaction.

    A topic that `topics` does not name is taken for one in which every event counts.

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
            select $1, key, count(*) from unnest($2::text::text[]) as x(key) group by key order by key collate "C"
            on conflict (key, topic) do update set sequence = head.sequence + excluded.sequence
            returning key, sequence""",
            topic, arrays.texts(keys[topic]),
        )  # fmt: skip
        heads |= {(topic, key): sequence for key, sequence in rows}
    numbered: list[Event] = []
    for event in reversed(tx.emitted):  # the head is the number of a key's last event
        where = event[:2]
        sequence = heads[where]
        heads[where] = sequence - 1
        numbered.append(event_of((*where, sequence, *event[3:])))
    numbered.reverse()
    dense = {topic: topic not in topics or topics[topic].kind == "facts" for topic in keys}
    batch: int = await tx.fetchval("insert into unsent default values returning batch")
    await tx.connection.copy_records_to_table(
        "outbox",
        columns=_COLUMNS,
        records=[(batch, n, *event, dense[event[0]]) for n, event in enumerate(numbered)],
    )
    return Batch(batch, numbered)


async def unsent(connection: asyncpg.Connection, limit: int) -> list[int]:
    """The oldest batches that wait to be sent."""
    return [row[0] for row in await connection.fetch("select batch from unsent order by batch limit $1", limit)]


async def load(connection: asyncpg.Connection, batches: Sequence[int], most: int | None = None) -> dict[int, list[Event]]:
    """The events of these batches, in order. With `most`, only the first batches that together have about so many events."""
    found: dict[int, list[Event]] = {batch: [] for batch in batches}
    rows = await connection.fetch(
        """select batch, topic, key, sequence, event_id::text, type, source, time, body, trace, correlation_id, causation_id
        from outbox where batch = any($1::bigint[]) order by batch, n limit $2""",
        batches, most,
    )  # fmt: skip
    for batch, *event in rows:
        found[batch].append(Event(*event))
    if most is None or len(rows) < most:
        return found
    last = rows[-1]["batch"]  # there may be more of it
    whole = {batch: events for batch, events in found.items() if batch < last}
    return whole or await load(connection, [last])


async def range_of(connection: asyncpg.Connection, topic: str, key: str, first: int, last: int) -> list[Event]:
    """What is still there of these sequence numbers of a key, in order, `MOST_OF_A_KEY` at most; only in topics in which every
    event counts."""
    rows = await connection.fetch(
        """select topic, key, sequence, event_id::text, type, source, time, body, trace, correlation_id, causation_id
        from outbox where topic = $1 and key = $2 and sequence between $3 and $4 and dense order by sequence""",
        topic, key, first, min(last, first + MOST_OF_A_KEY - 1),
    )  # fmt: skip
    return [Event(*row) for row in rows]


async def mark_unsent(connection: asyncpg.Connection, topic: str | None = None) -> int:
    """Everything stored, or all of a topic, is unsent again; returns how many batches were marked.

    In portions, each committed for itself: one statement over a million batches would outlast any deadline. If it is cut off,
    what was marked stays so, and the caller, who notes the end only, begins again."""
    first, last = await connection.fetchrow("select min(batch), max(batch) from outbox") or (None, None)
    marked = 0
    while first is not None and first <= last:
        result = await connection.execute(
            """insert into unsent (batch) select number from generate_series($1::bigint, $2::bigint) as number
            cross join lateral (select from outbox where batch = number and ($3::text is null or topic = $3) limit 1) as stored
            on conflict do nothing""",
            first, first + _MARKED_AT_ONCE - 1, topic,
        )  # fmt: skip
        marked += int(result.split()[-1])
        first += _MARKED_AT_ONCE
    return marked


async def count_unsent(connection: asyncpg.Connection) -> int:
    """How many batches wait to be sent."""
    return await connection.fetchval("select count(*) from unsent") or 0
