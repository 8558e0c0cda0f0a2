"""Services are started side by side and stopped side by side."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from musubi.lifespans import side_by_side


async def test_all_are_in_before_the_block_runs_and_all_are_left_after_it() -> None:
    told: list[str] = []
    both = asyncio.Barrier(2)

    @asynccontextmanager
    async def life(name: str) -> AsyncIterator[None]:
        await both.wait()  # passes only if the other is being started at the same time
        told.append(f"in {name}")
        yield
        told.append(f"out {name}")

    async with asyncio.timeout(5), side_by_side([lambda: life("a"), lambda: life("b")]):
        assert sorted(told) == ["in a", "in b"]
    assert sorted(told[2:]) == ["out a", "out b"]


async def test_if_one_fails_the_others_are_left_and_its_error_is_raised() -> None:
    left: list[str] = []

    @asynccontextmanager
    async def healthy() -> AsyncIterator[None]:
        yield
        left.append("healthy")

    @asynccontextmanager
    async def ill() -> AsyncIterator[None]:
        raise ConnectionError("no database")
        yield

    with pytest.raises(ConnectionError, match="no database"):
        async with side_by_side([healthy, ill]):
            pytest.fail("the block must not run")
    assert left == ["healthy"]


async def test_a_service_that_fails_in_stopping_is_reported() -> None:
    @asynccontextmanager
    async def ill() -> AsyncIterator[None]:
        yield
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError, match="cut"):
        async with side_by_side([ill]):
            pass
