"""All SQL of snapshots: the memory of a technology group at a version, in pieces."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from common.transaction import Transaction

_AT_ONCE = 4


class Snapshot(NamedTuple):
    """Of which version of a group, in which form."""

    version: int
    form: str


async def newest(tx: Transaction, group: str) -> Snapshot | None:
    """The one that there is of a group."""
    row = await tx.fetchrow("select version, form from snapshot where technology_group = $1", group)
    return Snapshot(*row) if row else None


async def chunks(tx: Transaction, group: str, version: int) -> list[bytes]:
    """All of its pieces, in order; fewer where another one is just taking its place."""
    cursor = await tx.connection.cursor(
        "select bytes from snapshot_chunk where technology_group = $1 and version = $2 order by number", group, version
    )
    found: list[bytes] = []
    while rows := await cursor.fetch(_AT_ONCE):
        found += [row[0] for row in rows]
    return found


async def save(tx: Transaction, group: str, snapshot: Snapshot, pieces: AsyncIterator[bytes]) -> None:
    """In place of the one that there was, unless that is newer."""
    taken = await tx.fetchval(
        """insert into snapshot values ($1, $2, $3, $4)
        on conflict (technology_group) do update
            set version = excluded.version, form = excluded.form, saved_at = excluded.saved_at
            where snapshot.version < excluded.version or snapshot.form <> excluded.form
        returning true""",
        group, *snapshot, tx.now,
    )  # fmt: skip
    if not taken:
        return
    await tx.execute("delete from snapshot_chunk where technology_group = $1", group)
    number = 0
    async for piece in pieces:
        await tx.execute("insert into snapshot_chunk values ($1, $2, $3, $4)", group, snapshot.version, number, piece)
        number += 1
