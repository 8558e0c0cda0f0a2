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
from typing import NamedTuple

from common.background import seldom
from common.telemetry import Telemetry
from matching.suggesting import by_meaning
from matching.suggesting.near import Near

READY_SECONDS = 300
"""So long the process may take to be ready: names that are not kept are placed first, on a busy core 0.1 s each."""
ANSWER_SECONDS = 2.0
"""So long a reader waits for the meaning of a text; then the letters answer alone."""
MOST_OWED = 4
"""So many texts may wait for their answer; a reader who comes then is not made to wait."""
HANG_SECONDS = 60
"""A process that owes an answer for so long is ended, and another one begins."""
_LONGEST_PAUSE = 600
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")


class _Owed(NamedTuple):
    """An answer that the process owes, since when by the loop's clock."""

    since: float
    near: "asyncio.Future[dict[str, Near] | None]"


class Meaning:
    """One reader of meaning; it reads while `running`."""

    def __init__(self, told: Telemetry) -> None:
        self._told = told
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self._asked = 0
        self._owed: dict[int, _Owed] = {}

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
        process = self._process
        if process is None or not self._ready.is_set():
            return None
        loop = asyncio.get_running_loop()
        if len(self._owed) >= MOST_OWED:
            if loop.time() - min(one.since for one in self._owed.values()) > HANG_SECONDS:
                _end(process)
            return None
        assert process.stdin
        self._asked += 1
        # What is owed to a caller that has left is owed all the same: the process works on it.
        answer = self._owed[self._asked] = _Owed(loop.time(), loop.create_future())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                process.stdin.write(json.dumps({"asked": self._asked, "text": text}).encode() + b"\n")
                return await asyncio.shield(answer.near)
        except (TimeoutError, ConnectionError):
            return None

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        while line := await process.stdout.readline():
            answer = json.loads(line)
            near = {code: Near(*one) for code, one in answer["near"].items()}
            self._owed.pop(answer["asked"]).near.set_result(near)

    async def _keep(self) -> None:
        """Starts the process, and again when it ended, after a pause that grows."""
        failures = 0
        while True:
            try:
                was_ready = await self._live()
            except (OSError, ValueError, KeyError):  # it cannot be started, or says what it should not
                was_ready = False
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
                await self._listen(process)
        except TimeoutError:
            pass
        finally:
            self._ready.clear()
            self._process = None
            for one in self._owed.values():
                one.near.set_result(None)
            self._owed.clear()
            _end(process)
            await process.wait()
        return was_ready


def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
