"""What partners sent us.

The same event again gets the same answer, other content under the same id is refused, an older event is superseded.
"""

from datetime import datetime
from typing import Any, Literal, NamedTuple

from common.transaction import Transaction


class Receipt(NamedTuple):
    """`new`: handle it, then `settle`. `repeat`: answer `result` again. `conflict`: the id was used for other content."""

    status: Literal["new", "repeat", "conflict"]
    result: Any = None


async def receipt(tx: Transaction, source: str, id: str, digest: bytes) -> Receipt:  # noqa: A002  CloudEvents says id
    """Note that an event came in. `digest` is the SHA-256 of the canonical JSON of type, subject and data.

    Waits for another transaction that takes in the same event just now.
    """
    fresh = await tx.execute(
        "insert into inbox_seen (source, id, sha256, seen_at) values ($1, $2, $3, $4) on conflict do nothing",
        source, id, digest, tx.now,
    )  # fmt: skip
    if fresh == "INSERT 0 1":
        return Receipt("new")
    row = await tx.fetchrow("select sha256, result from inbox_seen where source = $1 and id = $2", source, id)
    if row is None:  # a purge took it in between
        return await receipt(tx, source, id, digest)
    return Receipt("repeat", row["result"]) if row["sha256"] == digest else Receipt("conflict")


async def settle(tx: Transaction, source: str, id: str, result: Any) -> None:  # noqa: A002
    """Keep the answer to an event, for its repeats."""
    await tx.execute("update inbox_seen set result = $3 where source = $1 and id = $2", source, id, result)


async def newest_time(tx: Transaction, source: str, subject: str) -> datetime | None:
    """The time of the newest event of this subject that took effect; an event before it is superseded.

    Holds the subject until the end of the transaction, so that of two events at once the older cannot win. Take several
    subjects in sorted order.
    """
    await tx.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"{source}\n{subject}")
    return await tx.fetchval("select time from inbox_newest where source = $1 and subject = $2", source, subject)


async def took_effect(tx: Transaction, source: str, subject: str, time: datetime) -> None:
    """Remember the time of an event that took effect."""
    await tx.execute(
        """insert into inbox_newest (source, subject, time) values ($1, $2, $3)
        on conflict (source, subject) do update set time = greatest(inbox_newest.time, excluded.time)""",
        source, subject, time,
    )  # fmt: skip
