"""Wrong ways to announce and to send, each in the place of a right one of the product."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from common.contracts.registry import TOPICS
from common.messaging.message import Event
from common.messaging.outbox import Batch
from common.messaging.sending import Outcome
from common.transaction import Transaction

_last_seen: dict[int, int] = {}
_relays: dict[str, Any] = {}


def by_number(right: Any) -> Any:
    async def unsent(connection: Any, limit: int) -> list[int]:
        seen = _last_seen.get(id(connection), 0)
        rows = await connection.fetch("select distinct batch from outbox where batch > $1 order by batch limit $2", seen, limit)
        found = [row[0] for row in rows]
        _last_seen[id(connection)] = max([seen, *found])
        return found

    return unsent


def forgotten_when_read(right: Any) -> Any:
    async def oldest(relay: Any, connection: Any, most: int, many: int) -> Mapping[int, Sequence[Event]]:
        found = await right(relay, connection, most, many)
        await connection.execute("delete from unsent where batch = any($1::bigint[])", list(found))
        return found

    return oldest


def known_by_schema(right: Any) -> Any:
    def init(relay: Any, dsn: str, schema: str, *args: Any, **named: Any) -> None:
        right(relay, dsn, schema, *args, **named)
        _relays[schema] = relay

    return init


def sent_at_once(right: Any) -> Any:
    async def append(tx: Transaction, *args: Any) -> Batch | None:
        batch = await right(tx, *args)
        if batch is not None:
            await _relays[tx._source.rpartition("/")[2]]._sender.send(batch.events)
        return batch

    return append


def two_transactions(right: Any) -> Any:
    @asynccontextmanager
    async def transaction(database: Any) -> AsyncIterator[Transaction]:
        async with right(database) as tx:
            yield tx
            emitted, tx.emitted = tx.emitted, []
        if emitted:
            async with right(database) as after:
                after.emitted = emitted

    return transaction


def numbered_by_max(right: Any) -> Any:
    async def append(tx: Transaction, topics: Any = TOPICS) -> Batch | None:
        if not tx.emitted:
            return None
        heads: dict[tuple[str, str], int] = {}
        numbered: list[Event] = []
        for event in tx.emitted:
            where = event[:2]
            if where not in heads:
                found = await tx.fetchval("select max(sequence) from outbox where topic = $1 and key = $2", *where)
                heads[where] = found or 0
            heads[where] += 1
            numbered.append(Event(*where, heads[where], *event[3:]))
        for where, head in sorted(heads.items()):
            sql = "insert into stream_head (topic, key, sequence) values ($1, $2, 0) on conflict do nothing"
            if head == 1:
                await tx.connection.execute(sql, *where)
        batch = await tx.fetchval("insert into unsent default values returning batch")
        columns = ("batch", "n", "topic", "key", "sequence", "event_id", "type", "source", "time", "body", "trace",
                   "correlation_id", "causation_id", "dense")  # fmt: skip
        await tx.connection.copy_records_to_table(
            "outbox", columns=columns, records=[(batch, n, *event, True) for n, event in enumerate(numbered)]
        )
        return Batch(batch, numbered)

    return append


def with_new_ids(right: Any) -> Any:
    async def load(*args: Any) -> dict[int, list[Event]]:
        found = await right(*args)
        return {number: [event._replace(id=str(uuid.uuid4())) for event in events] for number, events in found.items()}

    return load


def never_again(right: Any) -> Any:
    def meet(*args: Any) -> bool:
        right(*args)
        return False

    return meet


def always_content(right: Any) -> Any:
    def acknowledged(*args: Any) -> Outcome:
        right(*args)
        return Outcome(everything=False, wanting={})

    return acknowledged


def leads_at_once(right: Any) -> Any:
    async def stand_by(*args: Any) -> None:
        pass

    return stand_by


def deaf(right: Any) -> Any:
    return lambda relay, resend: None


def emitted_stays(right: Any) -> Any:
    @asynccontextmanager
    async def savepoint(tx: Transaction) -> AsyncIterator[None]:
        async with tx.connection.transaction():
            yield

    return savepoint
