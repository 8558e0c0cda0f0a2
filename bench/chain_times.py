"""When each event took effect, from PostgreSQL's own commit times; nothing in the services is touched for it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from bench.chain_load import Announced

# The cursor of a key moves in the transaction that handles its event. Each key comes once in the measured stream, so the last
# transaction that wrote its cursor is the one that handed the event on; what was handed on has keys and cursors of its own, and
# their transactions store the shortlists. An event that changes no list may be handed on to nobody.
STORED = """
select key, extract(epoch from pg_xact_commit_timestamp(c.xmin))::float8 as at
from matching.inbox_cursor c
join unnest($1::text[], $2::text[]) as asked(topic, key) using (topic, key)
join {producer}.stream_head h using (topic, key)
where c.grp = 'matching' and c.last = h.sequence"""
MATCHED = """
select correlation_id, extract(epoch from max(pg_xact_commit_timestamp(c.xmin)))::float8 as at,
    bool_and(c.last is not distinct from o.sequence) as done
from matching.outbox o left join matching.inbox_cursor c on c.grp = 'matching-groups' and (c.topic, c.key) = (o.topic, o.key)
where o.topic like '%-by-group' and correlation_id = any($1::text[]) group by 1"""
# A notification's event is written with it. The correlation id is the partner's event that it all follows from.
TOLD = """
select correlation_id, max(extract(epoch from pg_xact_commit_timestamp(xmin)))::float8 as at
from notify.outbox where type = 'notification.issued.v1' and correlation_id = any($1::text[]) group by 1"""
CHANGED = "select count(*) from matching.outbox where correlation_id = any($1::text[])"
UNHEARD = """
select count(*) from matching.stream_head h left join notify.inbox_cursor c
    on c.grp = 'notify' and c.topic = h.topic and c.key = h.key
where h.topic = 'matching.proposals' and c.last is distinct from h.sequence"""


@dataclass
class Times:
    """Seconds since 1970, by the event's id. `changed` counts the lists that were announced."""

    stored: dict[str, float]
    told: dict[str, float]
    changed: int


async def stored_and_told(postgres: str, keys: Mapping[str, Announced], *, patience: float) -> Times:
    """Wait until all is handled, or for so many seconds, then read when."""
    connection = await asyncpg.connect(postgres)
    deadline = time.monotonic() + patience
    try:
        while True:
            stored = await _stored(connection, keys)
            settled = len(stored) == len(keys) and not await connection.fetchval(UNHEARD)
            if settled or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
        told = {row["correlation_id"]: row["at"] for row in await connection.fetch(TOLD, list(keys))}
        return Times(stored, told, await connection.fetchval(CHANGED, list(keys)))
    finally:
        await connection.close()


async def _stored(connection: Any, keys: Mapping[str, Announced]) -> dict[str, float]:
    by_key = {place.key: id_ for id_, place in keys.items()}
    found: dict[str, float] = {}
    for producer in ("needs", "catalog"):
        mine = [place for place in keys.values() if place.topic.startswith(f"{producer}.")]
        rows = await connection.fetch(STORED.format(producer=producer), [p.topic for p in mine], [p.key for p in mine])
        found |= {by_key[row["key"]]: row["at"] for row in rows}
    for row in await connection.fetch(MATCHED, list(keys)):
        if row["done"]:
            found[row["correlation_id"]] = row["at"]
        else:
            found.pop(row["correlation_id"], None)
    return found
