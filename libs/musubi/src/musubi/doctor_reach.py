"""Whether an address on the network can be reached at all, and the words for why not. No call here outlives its deadline."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

from musubi.doctor_findings import ANSWER_SECONDS

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """Run what blocks, in a thread that nobody waits for: those of `asyncio.to_thread` hold up the end of the process, and a
    resolver whose server is silent blocks for half a minute."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if answer.cancelled():
            return
        if error:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # pyright: ignore[reportArgumentType]  without an error it is a T

    def run() -> None:
        result, failure = None, None
        try:
            result = call()
        except Exception as error:  # noqa: BLE001  whatever it is belongs to the one who waits
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True).start()
    return await answer


async def trouble_with_name(host: str) -> str | None:
    """Why this name leads nowhere; None if it does."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await in_thread(lambda: socket.getaddrinfo(host, None))
    except TimeoutError:
        return f"the name server does not answer for {host}"
    except (OSError, UnicodeError):
        return f"no machine of the name {host} is known here"
    return None


async def trouble_with(address: str) -> str | None:
    """Why nothing can be reached at host:port; None if something listens."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal():
        return f"{address} is no HOST:PORT"
    if trouble := await trouble_with_name(host):
        return trouble
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            _, writer = await asyncio.open_connection(host, int(port))
    except TimeoutError:
        return f"{address} does not answer"
    except ConnectionRefusedError:
        return f"nothing listens at {address}"
    except (OSError, OverflowError) as error:
        return f"{address} cannot be reached ({error})"
    writer.close()
    return None
