"""What partners send: a repeat gets the same answer, other content under the same id is refused, older news is recognised."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from common.partners import inbox
from common.partners.inbox import Receipt
from common.postgres import Database

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


async def test_the_same_event_again_gets_the_same_answer(database: Database) -> None:
    async with database.transaction() as tx:
        assert await inbox.receipt(tx, "/partner", "1", b"digest") == Receipt("new")
        await inbox.settle(tx, "/partner", "1", {"status": "accepted"})
    async with database.transaction() as tx:
        assert await inbox.receipt(tx, "/partner", "1", b"digest") == Receipt("repeat", {"status": "accepted"})
        assert await inbox.receipt(tx, "/other partner", "1", b"digest") == Receipt("new")


async def test_other_content_under_the_same_id_is_a_conflict(database: Database) -> None:
    async with database.transaction() as tx:
        await inbox.receipt(tx, "/partner", "1", b"digest")
    async with database.transaction() as tx:
        assert (await inbox.receipt(tx, "/partner", "1", b"another")).status == "conflict"


async def test_of_ten_who_bring_the_same_event_at_once_one_is_the_first(database: Database) -> None:
    async def bring() -> str:
        async with database.transaction() as tx:
            return (await inbox.receipt(tx, "/partner", "1", b"digest")).status

    assert sorted(await asyncio.gather(*(bring() for _ in range(10)))) == ["new"] + ["repeat"] * 9


async def test_an_event_that_failed_was_never_received(database: Database) -> None:
    with pytest.raises(ValueError, match="bad"):
        async with database.transaction() as tx:
            await inbox.receipt(tx, "/partner", "1", b"digest")
            raise ValueError("bad")
    async with database.transaction() as tx:
        assert (await inbox.receipt(tx, "/partner", "1", b"digest")).status == "new"


async def test_the_newest_time_of_a_subject_never_goes_back(database: Database) -> None:
    async with database.transaction() as tx:
        assert await inbox.newest_time(tx, "/partner", "n1") is None
        await inbox.took_effect(tx, "/partner", "n1", NOW)
        await inbox.took_effect(tx, "/partner", "n1", NOW - timedelta(days=1))
        assert await inbox.newest_time(tx, "/partner", "n1") == NOW
        assert await inbox.newest_time(tx, "/partner", "n2") is None


async def test_two_events_of_one_subject_at_once_are_judged_one_after_the_other(database: Database) -> None:
    async def apply(time: datetime) -> bool:
        async with database.transaction() as tx:
            newest = await inbox.newest_time(tx, "/partner", "n1")
            if newest is not None and newest > time:
                return False
            await inbox.took_effect(tx, "/partner", "n1", time)
            return True

    times = [NOW + timedelta(minutes=number) for number in (3, 1, 4, 1, 5, 9, 2, 6)]
    assert any(await asyncio.gather(*map(apply, times)))
    async with database.transaction() as tx:
        assert await inbox.newest_time(tx, "/partner", "n1") == max(times)
