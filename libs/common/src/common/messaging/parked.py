"""What could not be handled: events that wait beside their key (`parked`), and records that are no events (`quarantine`).

An event waits ("is held") unless it is superseded or skipped. Its `next_try` is 'infinity' where it is dead, or where it stands
behind a lower one of its key: whoever takes that one away calls `next_is_due`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from common.messaging.cursors import Conflict
from common.messaging.gate import LaneKey, Parked, Place, Refusal, reached
from common.messaging.message import MAX_TAKEN, Broken, Event, Record, raw_headers
from common.messaging.unparking import AT_ONCE, Waiting
from common.transaction import Transaction

Row = TypeVar("Row")

_KEY_LOCK = 0x70617264
_AT_ONE_TIME = 50_000_000
"""Bytes in one statement, about; PostgreSQL takes less than a gigabyte, and what a broker sends compressed may be more."""
_LOOKED_AT = 64
"""So many overdue events are looked at for a key that nobody works on."""


# what the consumer does ----------------------------------------------------------------------------------------------
async def park(tx: Transaction, group: str, parked: Sequence[Parked], records: Mapping[int, Record]) -> set[Place]:
    """Keep events that wait; one that waits already stays as it is. Returns those that did not wait before.

    `records` says by `id(event)` where they stood."""
    stood = [records.get(id(event)) for event, _, _ in parked]
    rows = [
        (*event, reason, refusal and refusal.pointer, refusal and refusal.error, int(reason == "poison"))
        + ((record.partition, record.offset, getattr(record, "timestamp", None)) if record else (None, None, None))
        for (event, reason, refusal), record in zip(parked, stood, strict=True)
    ]
    sizes = [len(event.body) for event, _, _ in parked]
    return {place for part in _portions(rows, sizes) for place in await _park(tx, group, part)}


async def _park(tx: Transaction, group: str, rows: Sequence[Sequence[object]]) -> list[Place]:
    found = await tx.fetch(
        """insert into parked (grp, topic, key, sequence, event_id, type, source, time, body, trace, correlation_id,
            causation_id, reason, pointer, error, attempts, part, "offset", logged_at, first_at, next_try)
        select $1, x.*, $2::timestamptz, $2::timestamptz + interval '1 second'
        from unnest($3::text[], $4::text[], $5::bigint[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::bytea[],
            $11::bytea[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::int[], $18::int[],
            $19::bigint[], $20::bigint[]) as x
        on conflict do nothing returning topic, key, sequence""",
        group, tx.now, *map(list, zip(*rows, strict=True)),
    )  # fmt: skip
    return [(topic, key, sequence) for topic, key, sequence in found]


async def supersede(tx: Transaction, group: str, done: Sequence[Event]) -> None:
    """State topics: these events took effect. Those of them that waited are gone; what waits before them waits no longer, but
    is kept."""
    await tx.execute(
        """delete from parked as p using unnest($2::text[], $3::text[], $4::bigint[]) as x(topic, key, sequence)
        where p.grp = $1 and p.topic = x.topic and p.key = x.key and p.sequence = x.sequence
          and p.reason not in ('superseded', 'skipped')""",
        group, *_places(done),
    )  # fmt: skip
    newest = reached(done)
    await tx.execute(
        """update parked as p set reason = 'superseded'
        from unnest($2::text[], $3::text[], $4::bigint[]) as x(topic, key, last)
        where p.grp = $1 and p.topic = x.topic and p.key = x.key and p.sequence <= x.last
          and p.reason not in ('superseded', 'skipped')""",
        group, [topic for topic, _ in newest], [key for _, key in newest], list(newest.values()),
    )  # fmt: skip


async def due_now(tx: Transaction, group: str, heads: Mapping[LaneKey, int]) -> None:
    """Nothing is missing any more before these events: they are to be tried at once."""
    await tx.execute(
        """update parked as p set next_try = $2
        from unnest($3::text[], $4::text[], $5::bigint[]) as x(topic, key, sequence)
        where p.grp = $1 and p.topic = x.topic and p.key = x.key and p.sequence = x.sequence
          and p.reason not in ('superseded', 'skipped')""",
        group, tx.now, [topic for topic, _ in heads], [key for _, key in heads], list(heads.values()),
    )  # fmt: skip


async def quarantine(tx: Transaction, group: str, incarnation: str, broken: Iterable[Broken]) -> set[tuple[str, int, int]]:
    """Keep records that are no events, byte for byte up to `MAX_TAKEN`. Returns topic, partition and offset of those that were
    not there."""
    rows = [
        (record.topic, record.partition, record.offset, reason.replace("\x00", "�"), _beginning(record.key),
         _headers_of(record), _beginning(record.value))
        for record, reason in broken
    ]  # fmt: skip
    sizes = [sum(len(part or b"") for part in row[4:]) for row in rows]
    return {place for part in _portions(rows, sizes) for place in await _quarantine(tx, group, incarnation, part)}


async def _quarantine(
    tx: Transaction, group: str, incarnation: str, rows: Sequence[Sequence[object]]
) -> list[tuple[str, int, int]]:
    found = await tx.fetch(
        """insert into quarantine (grp, incarnation, at, topic, part, "offset", reason, key, headers, body)
        select $1, $2, $3, * from unnest($4::text[], $5::int[], $6::bigint[], $7::text[], $8::bytea[], $9::bytea[], $10::bytea[])
        on conflict do nothing returning topic, part, "offset" """,
        group, incarnation, tx.now, *map(list, zip(*rows, strict=True)),
    )  # fmt: skip
    return [(topic, part, offset) for topic, part, offset in found]


def _beginning(content: bytes | None) -> bytes | None:
    return None if content is None else content[:MAX_TAKEN]


def _headers_of(record: Record) -> bytes:
    """All headers; those of them that come after `MAX_TAKEN` are left out."""
    kept: list[tuple[str, bytes | None]] = []
    size = 0
    for name, value in record.headers:
        size += len(name) + len(value or b"")
        if size > MAX_TAKEN:
            break
        kept.append((name, value))
    return raw_headers(kept)


def _portions(rows: Sequence[Row], sizes: Sequence[int]) -> Iterator[Sequence[Row]]:
    """The rows in order, in portions of about `_AT_ONE_TIME` bytes; nearly always one."""
    begin = together = 0
    for n, size in enumerate(sizes):
        if together and together + size > _AT_ONE_TIME:
            yield rows[begin:n]
            begin, together = n, 0
        together += size
    if begin < len(rows):
        yield rows[begin:]


# what the un-parker does ---------------------------------------------------------------------------------------------
async def first_parts_overdue(tx: Transaction, group: str, topics: Sequence[str]) -> list[LaneKey]:
    """Of what keys something is due: each topic with the first part of a key, up to its first slash."""
    rows = await tx.fetch(
        """select distinct topic, split_part(key, '/', 1) from parked
        where grp = $1 and next_try <= $2 and reason not in ('superseded', 'skipped') and topic || '' = any($3::text[])""",
        group, tx.now, list(topics),
    )  # fmt: skip
    return [(topic, first) for topic, first in rows]


async def take_overdue(
    tx: Transaction, group: str, topics: Sequence[str], *, of: Sequence[LaneKey] | None = None
) -> LaneKey | None:
    """Take the key with the most overdue event that no other un-parker works on; None if nothing is due. `of`: only where the
    first part of the key is one of these."""
    # An advisory lock, not the row's: the consumer changes these rows too (a newer version came, what was missing came), and must
    # not wait until our handlers are done. `topic || ''` keeps the planner from the index by key, under which it would sort all
    # that is due, as long as it knows nothing of the table (30 ms instead of 0.3 with 10,000 due keys).
    row = await tx.fetchrow(
        """with overdue as materialized (
            select topic, key from parked
            where grp = $1 and next_try <= $2 and reason not in ('superseded', 'skipped') and topic || '' = any($3::text[])
              and ($6::text[] is null
                or (topic, split_part(key, '/', 1)) in (select * from unnest($6::text[], $7::text[])))
            order by next_try limit $4
        ) select topic, key from overdue where pg_try_advisory_xact_lock($5, hashtext(concat_ws(' ', $1, topic, key))) limit 1""",
        group, tx.now, list(topics), _LOOKED_AT, _KEY_LOCK,
        *((None, None) if of is None else zip(*of, strict=True)),
    )  # fmt: skip
    return None if row is None else (row["topic"], row["key"])


async def take(tx: Transaction, group: str, where: LaneKey) -> None:
    """Keep the un-parkers away from this key until the end of the transaction; waits for one that is at work on it."""
    await tx.execute("select pg_advisory_xact_lock($1, hashtext(concat_ws(' ', $2::text, $3::text, $4::text)))",
        _KEY_LOCK, group, *where)  # fmt: skip


async def waiting(tx: Transaction, group: str, where: LaneKey, *, dense: bool) -> list[Waiting]:
    """The waiting events of a key, lowest first, at most `AT_ONCE`: in a dense topic all, in a state topic those that are due."""
    rows = await tx.fetch(
        """select topic, key, sequence, event_id::text, type, source, time, body, trace, correlation_id, causation_id,
            reason, attempts, next_try <= $4, xmin::text, part, "offset", logged_at
        from parked where grp = $1 and topic = $2 and key = $3 and reason not in ('superseded', 'skipped')
          and ($5 or next_try <= $4) order by sequence limit $6""",
        group, *where, tx.now, dense, AT_ONCE,
    )  # fmt: skip
    return [Waiting(Event(*row[:11]), *row[11:15], stood=None if row["part"] is None else row[15:]) for row in rows]


async def remove(tx: Transaction, group: str, taken: Sequence[Waiting]) -> None:
    """These events took effect and wait no longer; raises `Conflict` if somebody changed one meanwhile."""
    result = await tx.execute(
        """delete from parked as p
        using unnest($2::text[], $3::text[], $4::bigint[], $5::text[]) as x(topic, key, sequence, version)
        where p.grp = $1 and p.topic = x.topic and p.key = x.key and p.sequence = x.sequence and p.xmin::text = x.version""",
        group, *_places([one.event for one in taken]), [one.version for one in taken],
    )  # fmt: skip
    _all_there(result, taken)


async def wait_again(
    tx: Transaction, group: str, one: Waiting, reason: str, refusal: Refusal, attempts: int, wait: timedelta | None
) -> None:
    """Note why an event still waits, and until when (None: dead); raises `Conflict` if somebody changed it meanwhile."""
    result = await tx.execute(
        """update parked set reason = $5, pointer = $6, error = $7, attempts = $8,
            next_try = coalesce($9::timestamptz, 'infinity')
        where grp = $1 and topic = $2 and key = $3 and sequence = $4 and xmin::text = $10""",
        group, *one.event[:3], reason, *refusal, attempts, None if wait is None else tx.now + wait, one.version,
    )  # fmt: skip
    _all_there(result, [one])


async def stand_behind(tx: Transaction, group: str, where: LaneKey) -> int:
    """Dense topics: those of a key's due events that are not its head stand behind it and are not looked at any more.
    Returns how many. Only for who has taken the key."""
    result = await tx.execute(
        """update parked set next_try = 'infinity', reason = 'behind'
        where grp = $1 and topic = $2 and key = $3 and reason not in ('superseded', 'skipped') and next_try <= $4
          and sequence > (select min(sequence) from parked
              where grp = $1 and topic = $2 and key = $3 and reason not in ('superseded', 'skipped'))""",
        group, *where, tx.now,
    )  # fmt: skip
    return int(result.split()[-1])


async def next_is_due(tx: Transaction, group: str, where: LaneKey) -> None:
    """Whoever was first of this key waits no longer: the next one is to be tried at once. Only for who has taken the key."""
    await tx.execute(
        """update parked set next_try = $4
        where grp = $1 and topic = $2 and key = $3 and reason not in ('superseded', 'skipped') and sequence = (
            select min(sequence) from parked
            where grp = $1 and topic = $2 and key = $3 and reason not in ('superseded', 'skipped'))""",
        group, *where, tx.now,
    )  # fmt: skip


async def put_off(tx: Transaction, group: str, where: LaneKey, seconds: float) -> None:
    """The due events of this key are due later; with 0 seconds, after all that are due now."""
    await tx.execute(
        """update parked set next_try = $5
        where grp = $1 and topic = $2 and key = $3 and reason not in ('superseded', 'skipped') and next_try <= $4""",
        group, *where, tx.now, tx.now + timedelta(seconds=seconds),
    )  # fmt: skip


def _places(events: Sequence[Event]) -> tuple[list[str], list[str], list[int]]:
    return [event.topic for event in events], [event.key for event in events], [event.sequence for event in events]


def _all_there(result: str, wanted: Sequence[Waiting]) -> None:
    if int(result.split()[-1]) != len(wanted):
        raise Conflict(f"{result} of {len(wanted)} parked events")
