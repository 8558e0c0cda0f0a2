"""How far a group has come: only the owner of a partition writes, and a cursor moves only from where it was found."""

from collections.abc import AsyncIterator
from importlib.resources import files

import pytest

from common import cursors, migrate
from common.cursors import Conflict, Fenced, Ownership, Partition
from common.gate import Lane
from common.postgres import Database
from tests.common.records import an_event

PART = Partition("catalog.exchange-rates", 0)
JPY = ("catalog.exchange-rates", "JPY")


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    await migrate.apply(postgres, "hop", {"messaging": files("common") / "migrations" / "messaging"})
    database = Database(postgres, "hop")
    await database.open()
    yield database
    await database.close()


async def own(database: Database, incarnation: str = "life 1") -> tuple[Ownership, int]:
    """Take the partition over; returns where to go on."""
    async with database.transaction() as tx:
        [claim] = await cursors.claim(tx, "hop", incarnation, [PART])
    return Ownership(incarnation, {PART: claim.generation}), claim.offset


async def test_the_owner_goes_on_where_the_one_before_stopped(database: Database) -> None:
    owned, offset = await own(database)
    assert offset == 0
    async with database.transaction() as tx:
        await cursors.fence(tx, "hop", owned, {PART: 7})
    assert (await own(database))[1] == 7


async def test_who_lost_a_partition_can_store_nothing_any_more(database: Database) -> None:
    before, _ = await own(database)
    after, _ = await own(database)
    with pytest.raises(Fenced):
        async with database.transaction() as tx:
            await cursors.fence(tx, "hop", before, {PART: 9})
    async with database.transaction() as tx:
        await cursors.fence(tx, "hop", after, {PART: 8})
    assert (await own(database))[1] == 8


async def test_in_a_new_life_of_the_broker_everything_is_read_from_the_start(database: Database) -> None:
    owned, _ = await own(database)
    async with database.transaction() as tx:
        await cursors.fence(tx, "hop", owned, {PART: 7})
    assert (await own(database, "life 2"))[1] == 0
    with pytest.raises(Fenced):
        async with database.transaction() as tx:
            await cursors.fence(tx, "hop", owned, {PART: 9})


async def test_a_cursor_that_somebody_else_moved_meanwhile_is_a_conflict(database: Database) -> None:
    owned, _ = await own(database)
    async with database.transaction() as tx:
        assert await cursors.lanes(tx, "hop", owned, [an_event()]) == {}
        await cursors.move(tx, "hop", {}, {JPY: 1})
    with pytest.raises(Conflict):  # this one found no cursor, and there is one now
        async with database.transaction() as tx:
            await cursors.move(tx, "hop", {}, {JPY: 1})
    async with database.transaction() as tx:
        found = await cursors.lanes(tx, "hop", owned, [an_event()])
        assert found == {JPY: Lane(1)}
        await cursors.move(tx, "hop", found, {JPY: 3})
    with pytest.raises(Conflict):
        async with database.transaction() as tx:
            await cursors.move(tx, "hop", found, {JPY: 2})


async def test_what_is_remembered_wrongly_is_a_conflict_and_not_a_double_effect(database: Database) -> None:
    owned, _ = await own(database)
    async with database.transaction() as tx:
        await cursors.move(tx, "hop", {}, {JPY: 1})
    owned.remember({JPY: 1})
    async with database.transaction() as tx:
        await cursors.move(tx, "hop", {JPY: Lane(1)}, {JPY: 2})  # somebody else
    with pytest.raises(Conflict):
        async with database.transaction() as tx:
            lanes = await cursors.lanes(tx, "hop", owned, [an_event(sequence=2)])
            assert lanes == {JPY: Lane(1)}
            await cursors.move(tx, "hop", lanes, {JPY: 2})
