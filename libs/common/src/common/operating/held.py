"""What a service holds back, as operators see it: events that wait (`parked`) and records that are no events (`quarantine`),
by cause and one by one. Only reads; the verbs are in `common.operating.mending`.

`group` is the reading service's name. An event that was superseded or skipped holds nobody up; it is kept to be looked at.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from common.contracts.registry import Topic
from common.messaging.message import Event
from common.transaction import Transaction


class EventId(NamedTuple):
    """Which event of a group."""

    topic: str
    key: str
    sequence: int


class RecordId(NamedTuple):
    """Which record in quarantine."""

    topic: str
    incarnation: str
    part: int
    offset: int


class Amount(NamedTuple):
    """How many are held, and since when the oldest is."""

    amount: int
    oldest: datetime | None


class Cause(NamedTuple):
    """What events have in common that one cure may mend. `reason` is the column's; `cause` a field or the kind of an error."""

    topic: str
    type: str
    reason: str
    cause: str


class CauseRow(NamedTuple):
    """One cause with what it holds. `error`, `pointer`: an example's; `next_try`: the earliest, None where all are dead."""

    cause: Cause
    dead: bool
    amount: int
    oldest: datetime
    next_try: datetime | None
    pointer: str
    error: str


class HeldEvent(NamedTuple):
    """An event that is, or was, held. `dead`: no more tried by itself. `original` is its body where somebody edited it."""

    event: Event
    reason: str
    pointer: str
    error: str
    cause: str
    attempts: int
    first_at: datetime
    next_try: datetime
    dead: bool
    original: bytes | None

    @property
    def id(self) -> EventId:
        return EventId(self.event.topic, self.event.key, self.event.sequence)

    @property
    def over(self) -> bool:
        """Whether it holds nobody up any more."""
        return self.reason in ("superseded", "skipped")


class Standing(NamedTuple):
    """Where an event stands among the events of its key: the last one that took effect, the lowest held one, how many are behind
    it."""

    last: int
    head: int | None
    behind: int


class RecordCause(NamedTuple):
    """Records in quarantine for the same reason; `reason` is an example's, in full."""

    topic: str
    cause: str
    amount: int
    oldest: datetime
    reason: str


class HeldRecord(NamedTuple):
    """A record that is no event, byte for byte. `headers` is JSON, each with base64; `state`: waiting, retried or skipped."""

    id: RecordId
    reason: str
    cause: str
    key: bytes | None
    headers: bytes | None
    body: bytes | None
    at: datetime
    state: str
    original: dict[str, str | None] | None


def is_dense(topic: str, topics: Mapping[str, Topic]) -> bool:
    """Whether every event of this topic counts, so that only a key's lowest held one can go on. `topics` are all known ones."""
    known = topics.get(topic)
    return known is not None and known.kind == "facts"


async def amount(tx: Transaction) -> Amount:
    """All that waits in this service, events and records together."""
    row = await tx.fetchrow(
        """select count(*) as amount, min(since) as oldest from (
            select first_at from parked where reason not in ('superseded', 'skipped')
            union all select at from quarantine where state = 'waiting'
        ) as held(since)"""
    )
    assert row is not None
    return Amount(row["amount"], row["oldest"])


async def causes(tx: Transaction, group: str) -> list[CauseRow]:
    """What waits, by cause, the oldest first; without what only stands behind another."""
    rows = await tx.fetch(
        """select topic, type, reason, cause, next_try = 'infinity' as dead, count(*), min(first_at) as oldest,
            min(nullif(next_try, 'infinity')) as next_try, coalesce(min(pointer), ''), coalesce(min(error), '')
        from parked where grp = $1 and reason not in ('superseded', 'skipped', 'behind')
        group by topic, type, reason, cause, next_try = 'infinity' order by oldest limit 500""",
        group,
    )
    return [CauseRow(Cause(*row[:4]), *row[4:]) for row in map(tuple, rows)]


async def behind(tx: Transaction, group: str) -> int:
    """How many only wait for an earlier event of their key."""
    return await tx.fetchval("select count(*) from parked where grp = $1 and reason = 'behind'", group)


async def over(tx: Transaction, group: str) -> list[CauseRow]:
    """What holds nobody up any more, by how it ended."""
    rows = await tx.fetch(
        """select topic, type, reason, cause, false, count(*), min(first_at), null::timestamptz, coalesce(min(pointer), ''),
            coalesce(min(error), '')
        from parked where grp = $1 and reason in ('superseded', 'skipped')
        group by topic, type, reason, cause order by max(first_at) desc limit 500""",
        group,
    )
    return [CauseRow(Cause(*row[:4]), *row[4:]) for row in map(tuple, rows)]


async def events_of(tx: Transaction, group: str, cause: Cause, *, limit: int, skip: int = 0) -> list[HeldEvent]:
    """Events of this cause, the oldest first."""
    rows = await tx.fetch(
        """select *, next_try = 'infinity' and reason <> 'behind' as dead from parked
        where grp = $1 and topic = $2 and type = $3 and reason = $4 and cause = $5
        order by first_at, key, sequence limit $6 offset $7""",
        group, *cause, limit, skip,
    )  # fmt: skip
    return [_event(row) for row in rows]


async def amount_of(tx: Transaction, group: str, cause: Cause) -> int:
    """How many events this cause holds."""
    return await tx.fetchval(
        "select count(*) from parked where grp = $1 and topic = $2 and type = $3 and reason = $4 and cause = $5", group, *cause
    )


async def event(tx: Transaction, group: str, id_: EventId) -> HeldEvent | None:
    """One event, or None."""
    row = await tx.fetchrow(
        """select *, next_try = 'infinity' and reason <> 'behind' as dead from parked
        where grp = $1 and topic = $2 and key = $3 and sequence = $4""",
        group, *id_,
    )  # fmt: skip
    return _event(row) if row else None


async def standing_of(tx: Transaction, group: str, id_: EventId) -> Standing:
    """Where this event stands among those of its key."""
    row = await tx.fetchrow(
        """select coalesce((select last from inbox_cursor where grp = $1 and topic = $2 and key = $3), 0),
            min(sequence), count(*) filter (where sequence > $4)
        from parked where grp = $1 and topic = $2 and key = $3 and reason not in ('superseded', 'skipped')""",
        group, *id_,
    )  # fmt: skip
    assert row is not None
    return Standing(*row)


async def record_causes(tx: Transaction, group: str) -> list[RecordCause]:
    """What is in quarantine and waits for somebody, by reason, the oldest first."""
    rows = await tx.fetch(
        """select topic, cause, count(*), min(at), min(reason) from quarantine where grp = $1 and state = 'waiting'
        group by topic, cause order by min(at) limit 500""",
        group,
    )
    return [RecordCause(*row) for row in rows]


async def records_over(tx: Transaction, group: str) -> dict[str, int]:
    """How many records of the quarantine were retried or skipped."""
    rows = await tx.fetch(
        "select state, count(*) as amount from quarantine where grp = $1 and state <> 'waiting' group by 1", group
    )
    return {row["state"]: row["amount"] for row in rows}


async def records_of(tx: Transaction, group: str, topic: str, cause: str, *, limit: int, skip: int = 0) -> list[HeldRecord]:
    """Records that wait for this reason, the oldest first."""
    rows = await tx.fetch(
        """select * from quarantine where grp = $1 and topic = $2 and cause = $3 and state = 'waiting'
        order by at, incarnation, part, "offset" limit $4 offset $5""",
        group, topic, cause, limit, skip,
    )  # fmt: skip
    return [_record(row) for row in rows]


async def record(tx: Transaction, group: str, id_: RecordId) -> HeldRecord | None:
    """One record, or None."""
    row = await tx.fetchrow(
        """select * from quarantine where grp = $1 and topic = $2 and incarnation = $3 and part = $4 and "offset" = $5""",
        group, *id_,
    )  # fmt: skip
    return _record(row) if row else None


def _event(row: Any) -> HeldEvent:
    whole = Event(
        row["topic"], row["key"], row["sequence"], str(row["event_id"]), row["type"], row["source"], row["time"], row["body"],
        row["trace"], row["correlation_id"], row["causation_id"],
    )  # fmt: skip
    return HeldEvent(
        whole, row["reason"], row["pointer"] or "", row["error"] or "", row["cause"], row["attempts"], row["first_at"],
        row["next_try"], row["dead"], row["original"],
    )  # fmt: skip


def _record(row: Any) -> HeldRecord:
    id_ = RecordId(row["topic"], row["incarnation"], row["part"], row["offset"])
    return HeldRecord(
        id_, row["reason"], row["cause"], row["key"], row["headers"], row["body"], row["at"], row["state"], row["original"]
    )
