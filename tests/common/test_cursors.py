"""How far a group has come: only the owner of a partition writes, and a cursor moves only from where it was found."""

import asyncio

import pytest

from common.messaging import cursors
from common.messaging.cursors import Conflict, Fenced, Ownership, Partition
from common.messaging.gate import Lane, Move
from common.postgres import Database
from common.transaction import Transaction

PART = Partition("catalog.exchange-rates", 0)
JPY, EUR, VND = (("catalog.exchange-rates", currency) for currency in ("JPY", "EUR", "VND"))


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


async def test_a_cursor_that_stands_elsewhere_is_not_moved_and_can_be_read(database: Database) -> None:
    async with database.transaction() as tx:
        assert await cursors.advance(tx, "hop", {JPY: Move(0, 2), EUR: Move(0, 1)}) == {JPY: Move(0, 2), EUR: Move(0, 1)}
    async with database.transaction() as tx:  # EUR comes again
        moved = await cursors.advance(tx, "hop", {JPY: Move(2, 3), EUR: Move(0, 1)})
        assert moved == {JPY: Move(2, 3)}
        assert await cursors.lanes(tx, "hop", {JPY, EUR, VND}, moved, {}) == {JPY: Lane(2), EUR: Lane(1)}


async def test_a_new_key_that_begins_later_than_with_its_first_event_is_left_to_be_judged(database: Database) -> None:
    async with database.transaction() as tx:
        assert await cursors.advance(tx, "hop", {JPY: Move(4, 5), EUR: Move(0, 1)}) == {EUR: Move(0, 1)}
        assert await cursors.lanes(tx, "hop", {JPY}, {}, {}) == {}


async def test_of_two_who_move_the_same_cursor_at_once_one_finds_it_elsewhere(database: Database) -> None:
    async def advance() -> int:
        async with database.transaction() as tx:
            return len(await cursors.advance(tx, "hop", {JPY: Move(0, 1)}))

    assert sorted(await asyncio.gather(*(advance() for _ in range(8)))) == [0] * 7 + [1]


async def test_a_cursor_that_somebody_else_moved_meanwhile_is_a_conflict(database: Database) -> None:
    async with database.transaction() as tx:
        await cursors.move(tx, "hop", {JPY: Move(0, 1)})
    for wrong in (Move(0, 1), Move(2, 3)):
        with pytest.raises(Conflict):
            async with database.transaction() as tx:
                await cursors.move(tx, "hop", {JPY: wrong, EUR: Move(0, 1)})
    async with database.transaction() as tx:
        assert await cursors.lanes(tx, "hop", {JPY, EUR}, {}, {}) == {JPY: Lane(1)}


async def _park(tx: Transaction, key: str, first: int, amount: int) -> None:
    await tx.execute(
        """insert into parked (grp, topic, key, sequence, reason, event_id, type, source, time, trace, correlation_id,
            causation_id, body)
        select 'hop', $1, $2, number, 'poison', gen_random_uuid(), 't', 's', '', '', '', '', ''
        from generate_series($3::bigint, $4::bigint) as number""",
        PART.topic, key, first, first + amount - 1,
    )  # fmt: skip


async def test_of_keys_in_which_events_wait_the_lowest_is_known_however_many_wait(database: Database) -> None:
    async with database.transaction() as tx:
        assert await cursors.heads_of(tx, "hop", {JPY, EUR, VND}) == {}
        await _park(tx, "EUR", 3, 2)
        assert await cursors.heads_of(tx, "hop", {JPY, EUR, VND}) == {EUR: 3}
        await _park(tx, "AUD", 1, 2000)
        await _park(tx, "VND", 7, 2000)
        assert await cursors.heads_of(tx, "hop", {JPY, EUR, VND}) == {EUR: 3, VND: 7}
        assert await cursors.heads_of(tx, "another group", {JPY, EUR, VND}) == {}
