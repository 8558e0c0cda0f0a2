"""How far a group has come, by partition and by key: sets in, sets out. A cursor moves by compare-and-set, which is what makes an
event take effect once: a zombie, a repeat or a second reader finds the cursor elsewhere, and its transaction is rolled back.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from common.gate import Lane, LaneKey
from common.message import Event
from common.transaction import Transaction


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


@dataclass
class Ownership:
    """What a process holds: in which life of the broker, and each partition's generation."""

    incarnation: str
    generations: dict[Partition, int] = field(default_factory=dict)


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


async def lanes(tx: Transaction, group: str, events: Iterable[Event]) -> dict[LaneKey, Lane]:
    """Where the keys of these events stand. No row lock: `move` notices if one of them moved meanwhile."""
    wanted = {event[:2] for event in events}
    topics, keys = [topic for topic, _ in wanted], [key for _, key in wanted]
    # unnest and join: the same with `key = any($1)` cost 40 times as much before the table's first ANALYZE.
    found = await tx.fetch(
        """select topic, key, last from unnest($2::text[], $3::text[]) as x(topic, key)
        join inbox_cursor c using (topic, key) where c.grp = $1""",
        group, topics, keys,
    )  # fmt: skip
    known = {LaneKey(topic, key): Lane(last) for topic, key, last in found}
    waiting = await tx.fetch(
        """select topic, key, min(sequence) from unnest($2::text[], $3::text[]) as x(topic, key)
        join parked p using (topic, key) where p.grp = $1 and p.reason <> 'superseded' group by topic, key""",
        group, topics, keys,
    )  # fmt: skip
    for topic, key, head in waiting:
        where = LaneKey(topic, key)
        known[where] = Lane(known[where].last if where in known else 0, head)
    return known


async def move(tx: Transaction, group: str, before: Mapping[LaneKey, Lane], after: Mapping[LaneKey, int]) -> None:
    """Move the cursors from where they were read to where they are now, or raise `Conflict`."""
    old = {where: before[where].last if where in before else 0 for where in after}
    known = sorted(where for where in after if old[where])
    fresh = sorted(where for where in after if not old[where])
    moved = created = 0
    if known:
        result = await tx.execute(
            """update inbox_cursor as c set last = x.new
            from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) as x(topic, key, old, new)
            where c.grp = $1 and c.topic = x.topic and c.key = x.key and c.last = x.old""",
            group, *_columns(known), [old[where] for where in known], [after[where] for where in known],
        )  # fmt: skip
        moved = int(result.split()[-1])
    if fresh:
        result = await tx.execute(
            """insert into inbox_cursor (grp, topic, key, last)
            select $1, * from unnest($2::text[], $3::text[], $4::bigint[]) on conflict do nothing""",
            group, *_columns(fresh), [after[where] for where in fresh],
        )  # fmt: skip
        created = int(result.split()[-1])
    if (moved, created) != (len(known), len(fresh)):
        raise Conflict(f"{moved} of {len(known)} moved, {created} of {len(fresh)} created")


def _columns(places: Sequence[LaneKey]) -> tuple[list[str], list[str]]:
    return [place.topic for place in places], [place.key for place in places]
