"""Waiting for what has to happen, with a deadline, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    look: Callable[[], Awaitable[T]],
    satisfies: Callable[[T], object] = bool,
    *,
    within: float = 30,
    every: float = 0.05,
    what: str = "",
) -> T:
    """Look until what is seen satisfies, and return it. After `within` seconds fail, saying what was seen last."""
    deadline = time.monotonic() + within
    while True:
        seen = await look()
        if satisfies(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within} s for {what or 'something'}; last seen: {str(seen)[:2000]}")
        await asyncio.sleep(every)
