"""What freshness asks of a service's tables; each question has an index, and a time after which it is given up."""

from collections.abc import Mapping
from typing import NamedTuple

from common.messaging.message import Partition
from common.transaction import Transaction

ANSWER_MS = 2000
"""PostgreSQL gives a question up after so long."""


class Held(NamedTuple):
    """How many wait, and the age of the oldest in seconds."""

    amount: int
    oldest: float


async def no_longer_than_it_may(tx: Transaction) -> None:
    """Begin with this: what takes longer than `ANSWER_MS` fails."""
    await tx.execute("select set_config('statement_timeout', $1, true)", str(ANSWER_MS))


async def oldest_unsent(tx: Transaction) -> float:
    """The age of the oldest batch in the outbox that waits to be sent, in seconds; 0 where none does."""
    # Of a batch all rows are as old; an unsent batch without rows was dropped from the outbox, and has nothing to send.
    return await tx.fetchval(
        """select extract(epoch from clock_timestamp() - stored_at)::float8
        from outbox where batch = (select min(batch) from unsent) limit 1"""
    ) or 0.0  # fmt: skip


async def progress(tx: Transaction, group: str, incarnation: str) -> dict[Partition, int]:
    """The next offset in each partition that this group has ever had in this life of the broker."""
    rows = await tx.fetch(
        "select topic, part, next from consumer_offset where grp = $1 and incarnation = $2", group, incarnation
    )  # fmt: skip
    return {Partition(row["topic"], row["part"]): row["next"] for row in rows}


async def held_events(tx: Transaction, group: str) -> Mapping[str, Held]:
    """The events that wait, by reason; those given up are 'dead'."""
    rows = await tx.fetch(
        """select case when next_try = 'infinity' and reason in ('poison', 'gap') then 'dead' else reason end as state,
            count(*) as amount, extract(epoch from $2 - min(first_at))::float8 as oldest
        from parked where grp = $1 and reason not in ('superseded', 'skipped') group by state""",
        group, tx.now,
    )  # fmt: skip
    return {row["state"]: Held(row["amount"], row["oldest"]) for row in rows}


async def held_records(tx: Transaction, group: str) -> Held:
    """The records in quarantine that nobody has looked after yet."""
    row = await tx.fetchrow(
        """select count(*) as amount, coalesce(extract(epoch from $2 - min(at)), 0)::float8 as oldest
        from quarantine where grp = $1 and state = 'waiting'""",
        group, tx.now,
    )  # fmt: skip
    assert row is not None
    return Held(*row)
