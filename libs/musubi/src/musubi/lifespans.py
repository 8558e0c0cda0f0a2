"""Starts several applications side by side and stops them so: one that waits for its broker does not hold up the others."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager


@asynccontextmanager
async def side_by_side(lifespans: Iterable[Callable[[], AbstractAsyncContextManager[object]]]) -> AsyncIterator[None]:
    """Enter all at once; go on when all are in; leave all at once. If one fails, the others are left and its error is raised.

    Each is entered and left in a task of its own, because what it opens may be bound to the task."""
    stop = asyncio.Event()
    entered: list[asyncio.Future[None]] = []

    async def live(lifespan: Callable[[], AbstractAsyncContextManager[object]], ready: asyncio.Future[None]) -> None:
        try:
            async with lifespan():
                ready.set_result(None)
                await stop.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
                return
            raise

    tasks = []
    for lifespan in lifespans:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entered.append(ready)
        tasks.append(asyncio.create_task(live(lifespan, ready)))
    try:
        await asyncio.gather(*entered)
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        for ready in entered:
            if ready.done() and not ready.cancelled():
                ready.exception()  # the first one was raised; the others must not be reported as never looked at
