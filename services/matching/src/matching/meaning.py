"""Reads the meaning of texts in a process of its own, if the extra `musubi-matching[text]` is installed; else says nothing.

The model is C code that reads what people type. In its own process it cannot hold up the event loop or take the service down with
it: if it is slow, broken or not yet ready, the letters answer alone, and the answer says so. The process gets nothing of the
service's environment but where Python is.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common.background import seldom
from common.telemetry import Telemetry
from matching.suggesting import by_meaning
from matching.suggesting.near import Near

READY_SECONDS = 120
"""So long the process may take to be ready: it places a thousand names first, about 20 ms each on a slow core."""
TURN_SECONDS = 1.0
"""So long a text waits for the texts before it."""
ANSWER_SECONDS = 3.0
"""So long one text may take; the longest takes half a second on a slow core. A process that needs longer is ended."""
_LONGEST_PAUSE = 600
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")


class Meaning:
    """One reader of meaning; it reads while `running`."""

    def __init__(self, told: Telemetry) -> None:
        self._told = told
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self._asked = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the process, from its start, which nobody waits for, until the end."""
        keeper = asyncio.create_task(self._keep(), name="text model") if by_meaning.is_installed() else None
        try:
            yield
        finally:
            if keeper:
                keeper.cancel()
                await asyncio.wait([keeper])

    @property
    def process_id(self) -> int | None:
        """The process that reads; None where there is none now."""
        return self._process.pid if self._process else None

    async def ready(self) -> None:
        """Returns when texts can be read. Without the extra it never does."""
        await self._ready.wait()

    async def of(self, text: str) -> dict[str, Near] | None:
        """How near each technology is to the text; None if that cannot be said now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TURN_SECONDS):
                await self._turn.acquire()
            try:
                return await self._answer(text)
            finally:
                self._turn.release()
        return None

    async def _answer(self, text: str) -> dict[str, Near] | None:
        process = self._process
        if process is None or not self._ready.is_set():
            return None
        assert process.stdin
        assert process.stdout
        self._asked += 1
        asked = self._asked
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                process.stdin.write(json.dumps({"asked": asked, "text": text}).encode() + b"\n")
                await process.stdin.drain()
                while line := await process.stdout.readline():
                    answer = json.loads(line)
                    if answer["asked"] == asked:  # earlier ones are of callers that left
                        return {code: Near(*near) for code, near in answer["near"].items()}
        except TimeoutError:
            self._ready.clear()
            _end(process)
        except ConnectionError:
            pass
        return None

    async def _keep(self) -> None:
        """Starts the process, and again when it ended, after a pause that grows."""
        failures = 0
        while True:
            was_ready = await self._live()
            failures = 1 if was_ready else failures + 1
            if seldom(failures):
                self._told.log.warning("the text model ended; letters are read alone", extra={"in_a_row": failures})
            await asyncio.sleep(min(2**failures, _LONGEST_PAUSE))

    async def _live(self) -> bool:
        """One process from its start to its end; returns whether it was ever ready."""
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "matching.meaning_process",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment,
        )  # fmt: skip
        self._process = process
        was_ready = False
        try:
            assert process.stdout
            async with asyncio.timeout(READY_SECONDS):
                was_ready = await process.stdout.readline() == b"ready\n"
            if was_ready:
                self._ready.set()
                await process.wait()
        except TimeoutError:
            pass
        finally:
            self._ready.clear()
            self._process = None
            _end(process)
            await process.wait()
        return was_ready


def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
