"""The SQL of a replay: holding keys still, and what an operator decided."""

from collections.abc import Collection

from common.messaging.gate import LaneKey
from common.transaction import Transaction


async def hold(tx: Transaction, group: str, lanes: Collection[LaneKey]) -> dict[LaneKey, int]:
    """The last event of each key that took effect. Nobody moves these cursors until the end of the transaction; they are taken
    in the order in which consumers do."""
    keys: dict[str, list[str]] = {}
    for topic, key in lanes:
        keys.setdefault(topic, []).append(key)
    found: dict[LaneKey, int] = {}
    for topic in sorted(keys):
        rows = await tx.fetch(
            """select key, last from inbox_cursor where grp = $1 and topic = $2 and key = any($3::text[])
            order by key for update""",
            group, topic, keys[topic],
        )  # fmt: skip
        found |= {(topic, key): last for key, last in rows}
    return found


async def decided(tx: Transaction, group: str, topics: Collection[str]) -> dict[LaneKey, list[tuple[int, int]]]:
    """The events, from one number to another, of which an operator said that they shall have no effect, or another one than
    they say: skipped, edited, or gone on without."""
    rows = await tx.fetch(
        """select topic, key, sequence, sequence from parked where grp = $1 and topic = any($2::text[]) and reason = 'skipped'
        union select subject ->> 'topic', subject ->> 'key', (subject ->> 'sequence')::bigint, (subject ->> 'sequence')::bigint
        from audit where action in ('edit', 'skip') and subject ->> 'topic' = any($2::text[]) and subject ? 'sequence'
        union select subject ->> 'topic', subject ->> 'key', (subject ->> 'first')::bigint, (subject ->> 'last')::bigint
        from audit where action = 'go-on' and subject ->> 'topic' = any($2::text[])
        union select gap ->> 0, gap ->> 1, (gap ->> 2)::bigint, (gap ->> 3)::bigint
        from audit, jsonb_array_elements(subject -> 'gaps') as gap
        where action = 'go-on-all' and subject ->> 'topic' = any($2::text[])
        union select event ->> 0, event ->> 1, (event ->> 2)::bigint, (event ->> 2)::bigint
        from audit, jsonb_array_elements(subject -> 'event') as event
        where action = 'edit' and subject ->> 'topic' = any($2::text[]) and subject ? 'event'""",
        group, list(topics),
    )  # fmt: skip
    found: dict[LaneKey, list[tuple[int, int]]] = {}
    for topic, key, first, last in rows:
        found.setdefault((topic, key), []).append((first, last))
    return found
