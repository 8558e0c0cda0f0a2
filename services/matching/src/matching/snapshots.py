"""Snapshots of technology groups: read by a process that starts, written now and then by the one that works on the group."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from common.postgres import Database
from common.transaction import Transaction
from matching import snapshot_store
from matching.engine import freezing
from matching.engine.field import Field
from matching.engine.freezing import Frozen
from matching.engine.market import Market
from matching.snapshot_store import Snapshot


async def read(tx: Transaction, group: str, version: int, market: Market) -> tuple[int, dict[str, Field]] | None:
    """The version of a group's snapshot, not later than `version`, and its fields by unit; None where there is none that can be
    read. The market must be new."""
    snapshot = await snapshot_store.newest(tx, group)
    if snapshot is None or snapshot.version > version or snapshot.form != freezing.form(group):
        return None
    pieces = await snapshot_store.chunks(tx, group, snapshot.version)
    try:
        return snapshot.version, await asyncio.to_thread(_thawed, group, pieces, market)
    except ValueError:  # damaged, or just being replaced
        return None


def _thawed(group: str, pieces: Sequence[bytes], market: Market) -> dict[str, Field]:
    return freezing.thaw(group, freezing.from_chunks(pieces), market)


async def write(database: Database, group: str, version: int, frozen: Frozen) -> None:
    """In place of the one that there was, unless that is newer."""
    async with database.transaction() as tx:
        await snapshot_store.save(tx, group, Snapshot(version, freezing.form(group)), _pieces(frozen))


async def _pieces(frozen: Frozen) -> AsyncIterator[bytes]:
    chunks = freezing.to_chunks(frozen)
    while piece := await asyncio.to_thread(next, chunks, b""):
        yield piece
