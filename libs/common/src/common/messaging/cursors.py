"""How far a group has come, by partition and by key: sets in, sets out. A cursor moves by compare-and-set, which is what makes an
event take effect once: a zombie, a repeat or a second reader finds the cursor elsewhere, and its transaction is rolled back.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg

from common.messaging import arrays
from common.messaging.gate import Lane, LaneKey, Move
from common.messaging.message import Partition
from common.transaction import Transaction

_LISTED = 200
"""So many parked events of a topic are listed to see whether a batch's keys are among them; with more it is asked by key."""


@dataclass
class Ownership:
    """What a process holds: in which life of the broker, each partition's generation, and the offset to go on from."""

    incarnation: str
    generations: dict[Partition, int] = field(default_factory=dict)
    next: dict[Partition, int] = field(default_factory=dict)


class Fenced(Exception):
    """Another process owns one of these partitions now."""


class Conflict(Exception):
    """A key moved on between reading its cursor and writing it; try again."""


class Claim(NamedTuple):
    """A partition taken over: the generation to write under, and the offset to go on from."""

    partition: Partition
    generation: int
    offset: int


async def claim(tx: Transaction, group: str, incarnation: str, parts: Collection[Partition]) -> list[Claim]:
    """Take the partitions over: a new generation each, and where to go on (0 in a new life of the broker)."""
    ordered = sorted(parts)
    rows = await tx.fetch(
        """insert into consumer_offset as mine (grp, topic, part, incarnation, generation)
        select $1, topic, part, $2, 1 from unnest($3::text[], $4::int[]) as x(topic, part) order by topic, part
        on conflict (grp, topic, part) do update set generation = mine.generation + 1, incarnation = excluded.incarnation,
            next = case when mine.incarnation = excluded.incarnation then mine.next else 0 end
        returning topic, part, generation, next""",
        group, incarnation, [part.topic for part in ordered], [part.number for part in ordered],
    )  # fmt: skip
    return [Claim(Partition(topic, part), generation, offset) for topic, part, generation, offset in rows]


async def fence(tx: Transaction, group: str, owned: Ownership, after: Mapping[Partition, int]) -> None:
    """Store how far each partition is, if it is still ours, else raise `Fenced`. The row locks keep a second owner out."""
    parts = sorted(after)
    result = await tx.execute(
        """update consumer_offset as mine set next = x.next
        from unnest($3::text[], $4::int[], $5::bigint[], $6::bigint[]) as x(topic, part, generation, next)
        where mine.grp = $1 and mine.incarnation = $2 and mine.topic = x.topic and mine.part = x.part
          and mine.generation = x.generation""",
        group, owned.incarnation, [part.topic for part in parts], [part.number for part in parts],
        [owned.generations.get(part, -1) for part in parts],  # a rebalance may have taken one away meanwhile
        [after[part] for part in parts],
    )  # fmt: skip
    if result != f"UPDATE {len(parts)}":
        raise Fenced(f"{result} of {len(parts)}")


async def rewind(tx: Transaction, group: str, incarnation: str, generations: Mapping[Partition, int]) -> list[Partition]:
    """Go on from 0 in these partitions, where they are still held under these generations; returns those."""
    parts = sorted(generations)
    rows = await tx.fetch(
        """update consumer_offset as mine set next = 0
        from unnest($3::text[], $4::int[], $5::bigint[]) as x(topic, part, generation)
        where mine.grp = $1 and mine.incarnation = $2 and mine.topic = x.topic and mine.part = x.part
          and mine.generation = x.generation
        returning mine.topic, mine.part""",
        group, incarnation, [part.topic for part in parts], [part.number for part in parts],
        [generations[part] for part in parts],
    )  # fmt: skip
    return [Partition(topic, part) for topic, part in rows]


async def advance(tx: Transaction, group: str, wanted: Mapping[LaneKey, Move]) -> Mapping[LaneKey, Move]:
    """Move the cursors that stand where they are expected to; returns those. The others are read, and judged one by one."""
    elsewhere: set[LaneKey] = set()
    for topic, rows in _by_topic(wanted).items():
        # An upsert always goes by the index; an UPDATE with a join took 0.3 s a batch before the table's first ANALYZE. `before`
        # comes with its sign turned: where it stays so, the row was inserted, though the event is not the first of its key.
        row = await tx.fetchrow(
            """with moved as (
                insert into inbox_cursor as mine (grp, topic, key, before, last)
                select $1, $2, key, -before, last
                from unnest($3::text::text[], $4::text::bigint[], $5::text::bigint[]) as x(key, before, last)
                on conflict (key, topic, grp) do update set before = -excluded.before, last = excluded.last
                where mine.last = -excluded.before
                returning key, before < 0 as unknown
            ) select count(*) as amount, array_agg(key) filter (where unknown) as unknown,
                case when count(*) < $6 then array_agg(key) end as keys from moved""",
            group, topic, *_as_arrays(rows), len(rows),
        )  # fmt: skip
        assert row is not None
        if row["amount"] < len(rows):
            elsewhere |= {(topic, key) for key, _, _ in rows}.difference((topic, key) for key in row["keys"] or ())
        if row["unknown"]:
            await tx.execute(
                "delete from inbox_cursor where grp = $1 and topic = $2 and key = any($3) and before < 0",
                group, topic, row["unknown"],
            )  # fmt: skip
            elsewhere |= {(topic, key) for key in row["unknown"]}
    return {where: move for where, move in wanted.items() if where not in elsewhere} if elsewhere else wanted


async def lanes(
    tx: Transaction, group: str, keys: Collection[LaneKey], moved: Mapping[LaneKey, Move], heads: Mapping[LaneKey, int]
) -> dict[LaneKey, Lane]:
    """Where these keys stood before this transaction, and what is parked of them (`heads_of`). No row lock: `move` notices a
    change."""
    known = {where: Lane(move.before) for where, move in moved.items()}
    unread: dict[str, list[str]] = {}
    for topic, key in keys:
        if (topic, key) not in moved:
            unread.setdefault(topic, []).append(key)
    for topic, wanted in unread.items():
        known |= {where: Lane(last) for where, last in (await lasts(tx, group, topic, wanted)).items()}
    new = Lane()
    return known | {where: Lane(known.get(where, new).last, head) for where, head in heads.items()}


async def lasts(tx: Transaction, group: str, topic: str, keys: Sequence[str]) -> dict[LaneKey, int]:
    """The last event of each of these keys that took effect; keys of which none did are left out."""
    # "offset 0" keeps the planner from joining by a scan, which it prefers as long as it knows nothing of the table.
    rows = await tx.fetch(
        """select x.key, c.last from unnest($3::text[]) as x(key) cross join lateral
        (select last from inbox_cursor where grp = $1 and topic = $2 and key = x.key offset 0) as c""",
        group, topic, keys,
    )  # fmt: skip
    return {(topic, key): last for key, last in rows}


async def heads_of(tx: Transaction, group: str, keys: Collection[LaneKey]) -> dict[LaneKey, int]:
    """The lowest parked event of those of these keys of which any waits; nearly always none."""
    # What waits is listed by topic as long as it is little: asking for 2,000 keys costs milliseconds.
    rows = await tx.fetch(
        """select x.topic, p.key, p.sequence from unnest($2::text[]) as x(topic) cross join lateral (
            select key, sequence from parked
            where grp = $1 and topic = x.topic and reason not in ('superseded', 'skipped') order by key, sequence limit $3
        ) as p""",
        group, list({topic for topic, _ in keys}), _LISTED,
    )  # fmt: skip
    heads: dict[LaneKey, int] = {}
    for topic, key, sequence in rows:
        if (topic, key) in keys:
            heads.setdefault((topic, key), sequence)
    for topic, amount in Counter(row["topic"] for row in rows).items():
        if amount == _LISTED:  # there may be more
            heads |= await _heads_by_key(tx, group, topic, [key for name, key in keys if name == topic])
    return heads


async def _heads_by_key(tx: Transaction, group: str, topic: str, keys: Sequence[str]) -> dict[LaneKey, int]:
    rows = await tx.fetch(
        """select x.key, p.sequence from unnest($3::text[]) as x(key) cross join lateral (
            select sequence from parked
            where grp = $1 and topic = $2 and key = x.key and reason not in ('superseded', 'skipped') order by sequence limit 1
        ) as p""",
        group, topic, keys,
    )  # fmt: skip
    return {(topic, key): head for key, head in rows}


async def move(tx: Transaction, group: str, moves: Mapping[LaneKey, Move]) -> None:
    """Move cursors, each from where it was found, or raise `Conflict`."""
    for topic, rows in _by_topic(moves).items():
        result = await tx.execute(
            """insert into inbox_cursor as mine (grp, topic, key, before, last)
            select $1, $2, * from unnest($3::text::text[], $4::text::bigint[], $5::text::bigint[])
            on conflict (key, topic, grp) do update set before = excluded.before, last = excluded.last
            where mine.last = excluded.before""",
            group, topic, *_as_arrays(rows),
        )  # fmt: skip
        if result != f"INSERT 0 {len(rows)}":
            raise Conflict(f"{result} instead of {len(rows)}")


async def move_soon(tx: Transaction, group: str, moves: Mapping[LaneKey, Move]) -> None:
    """Like `move`, but also raise `Conflict` where another transaction keeps a cursor for long. For who has run handlers already:
    that other one may wait for what they locked, and each would wait for the other until PostgreSQL calls it a deadlock."""
    await tx.execute("set local lock_timeout = '900ms'")  # deadlock_timeout is 1 s
    try:
        await move(tx, group, moves)
    except asyncpg.LockNotAvailableError as error:
        raise Conflict("the cursor is being moved by another transaction") from error
    await tx.execute("set local lock_timeout to default")


async def last(tx: Transaction, group: str, where: LaneKey) -> int:
    """The last event of a key that took effect; 0 if none did."""
    return await tx.fetchval(
        "select last from inbox_cursor where grp = $1 and topic = $2 and key = $3", group, *where
    ) or 0  # fmt: skip


def _by_topic(moves: Mapping[LaneKey, Move]) -> dict[str, list[tuple[str, int, int]]]:
    """Key, before and last of each, by topic and in the order of the keys, so that two transactions never wait for each other."""
    rows: dict[str, list[tuple[str, int, int]]] = {}
    for (topic, key), (before, last) in moves.items():
        rows.setdefault(topic, []).append((key, before, last))
    return {topic: sorted(rows[topic]) for topic in sorted(rows)}


def _as_arrays(rows: Sequence[tuple[str, int, int]]) -> tuple[str, str, str]:
    keys, before, last = zip(*rows, strict=True)
    return arrays.texts(keys), arrays.numbers(before), arrays.numbers(last)
