"""How far a group has come, by partition and by key: sets in, sets out. A cursor moves by compare-and-set, which is what makes an
event take effect once: a zombie, a repeat or a second reader finds the cursor elsewhere, and its transaction is rolled back.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from common.gate import Lane, LaneKey
from common.message import Event
from common.transaction import Transaction

REMEMBERED_AT_MOST = 100_000


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


@dataclass
class Ownership:
    """What a process holds: in which life of the broker, each partition's generation, and the offset to go on from.

    `remembered` spares reading cursors that this process moved itself. It may be wrong after somebody else moved one: then
    `move` finds out, the batch is rolled back, and all is forgotten."""

    incarnation: str
    generations: dict[Partition, int] = field(default_factory=dict)
    next: dict[Partition, int] = field(default_factory=dict)
    remembered: dict[LaneKey, Lane] = field(default_factory=dict)

    def remember(self, reached: Mapping[LaneKey, int]) -> None:
        """After a commit: so far these keys have come."""
        if len(self.remembered) > REMEMBERED_AT_MOST:
            self.remembered.clear()
        self.remembered |= {where: Lane(last) for where, last in reached.items()}


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


async def lanes(tx: Transaction, group: str, owned: Ownership, events: Iterable[Event]) -> dict[LaneKey, Lane]:
    """Where the keys of these events stand. No row lock: `move` notices if one of them moved meanwhile."""
    known: dict[LaneKey, Lane] = {}
    keys: dict[str, set[str]] = {}
    unknown: dict[str, set[str]] = {}
    for event in events:
        where = event[:2]
        keys.setdefault(event.topic, set()).add(event.key)
        lane = owned.remembered.get(where)
        if lane is None:
            unknown.setdefault(event.topic, set()).add(event.key)
        else:
            known[where] = lane
    for topic, wanted in unknown.items():
        # "offset 0" keeps the planner from joining by a scan, which it prefers as long as it knows nothing of the table.
        found = await tx.fetch(
            """select x.key, c.last from unnest($3::text[]) as x(key) cross join lateral
            (select last from inbox_cursor where grp = $1 and topic = $2 and key = x.key offset 0) as c""",
            group, topic, list(wanted),
        )  # fmt: skip
        known |= {(topic, key): Lane(last) for key, last in found}
    for topic, wanted in keys.items():
        if await tx.fetchval(
            "select exists (select from parked where grp = $1 and topic = $2 and reason <> 'superseded')", group, topic
        ):
            known |= await _waiting(tx, group, topic, wanted, known)
    return known


async def _waiting(
    tx: Transaction, group: str, topic: str, keys: Collection[str], known: Mapping[LaneKey, Lane]
) -> dict[LaneKey, Lane]:
    """The lanes in which an event is parked."""
    heads = await tx.fetch(
        """select key, min(sequence) from unnest($3::text[]) as x(key)
        join parked p using (key) where p.grp = $1 and p.topic = $2 and p.reason <> 'superseded' group by key""",
        group, topic, list(keys),
    )  # fmt: skip
    return {(topic, key): Lane(known.get((topic, key), Lane()).last, head) for key, head in heads}


async def move(tx: Transaction, group: str, before: Mapping[LaneKey, Lane], after: Mapping[LaneKey, int]) -> None:
    """Move the cursors from where they were read to where they are now, or raise `Conflict`."""
    rows: dict[str, list[tuple[str, int, int]]] = {}
    new = Lane()
    for where, last in sorted(after.items()):
        topic, key = where
        rows.setdefault(topic, []).append((key, before.get(where, new).last, last))
    for topic, moves in rows.items():
        # An upsert always goes by the index; an UPDATE with a join took 0.3 s a batch before the table's first ANALYZE.
        result = await tx.execute(
            """insert into inbox_cursor as mine (grp, topic, key, before, last)
            select $1, $2, * from unnest($3::text[], $4::bigint[], $5::bigint[])
            on conflict (key, topic, grp) do update set before = excluded.before, last = excluded.last
            where mine.last = excluded.before""",
            group, topic, *map(list, zip(*moves, strict=True)),
        )  # fmt: skip
        if result != f"INSERT 0 {len(moves)}":
            raise Conflict(f"{result} instead of {len(moves)}")
