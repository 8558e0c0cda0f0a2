"""Ends a process that hangs, so that whoever supervises it starts a new one. Before, it writes down where every thread was.

A thread asks the event loop for a sign of life every second. Time in which the whole process stood still (a stopped process, a
machine asleep) does not count, and a loop that has nothing to do answers at once. Where the thread itself cannot run, because a
call into C holds the interpreter's lock, `common.last_resort` ends the process.
"""

import asyncio
import faulthandler
import os
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from common.last_resort import LAST_RESORT
from common.telemetry import Telemetry

EXIT_CODE = 70
"""An internal software error, as sysexits.h has it."""
_TICK = 1.0
_LOG_SECONDS = 2.0


@dataclass
class Patience:
    """How long there was no sign of life: pure. Between two looks at most two ticks count, however late the second one comes."""

    seconds: float
    tick: float = _TICK
    silent: float = 0.0
    _looked: float | None = None

    def ends(self, now: float, *, answered: bool) -> bool:
        """Look: True if it has been silent for too long."""
        since = now - self._looked if self._looked is not None else 0.0
        self._looked = now
        self.silent = 0.0 if answered else self.silent + min(since, 2 * self.tick)
        return self.silent >= self.seconds


class Watchdog:
    """The watchdog of one service; several in one process do no harm."""

    def __init__(self, seconds: float, told: Telemetry, *, end: Callable[[int], None] = os._exit) -> None:
        """`seconds` without an answer of the event loop are too many; with 0 it only logs what others ask it to end for."""
        self._seconds = seconds
        self._last_resort_seconds = 2 * seconds + 5 * _TICK  # not before the thread had its chance
        self._told = told
        self._end = end
        self._answered = threading.Event()
        self._over = threading.Event()
        self.looks = 0

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch the running event loop while the block runs."""
        if not self._seconds:
            yield
            return
        loop = asyncio.get_running_loop()
        self._answered.set()
        self._over.clear()
        LAST_RESORT.begin(self._last_resort_seconds)
        threading.Thread(target=self._watch, args=(loop,), name=f"{self._told.service} watchdog", daemon=True).start()
        try:
            yield
        finally:
            self._over.set()
            LAST_RESORT.end()

    def give_up(self, reason: str) -> None:
        """End the process now, because only a new one may help."""
        if self._seconds:
            self._end_process(reason)
        else:
            self._told.log.error("only a new process may help", extra={"reason": reason})

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        patience = Patience(self._seconds)
        while not self._over.wait(_TICK):
            self.looks += 1
            LAST_RESORT.put_off(self._last_resort_seconds)
            answered = self._answered.is_set()
            if patience.ends(time.monotonic(), answered=answered):
                self._end_process(f"the event loop has not answered for {patience.silent:.0f} s")
                return
            if answered:
                self._answered.clear()
                try:
                    loop.call_soon_threadsafe(self._answered.set)
                except RuntimeError:  # closed
                    return

    def _end_process(self, reason: str) -> None:
        farewell = threading.Thread(target=self._say, args=(reason, _stacks()), daemon=True)  # the log may be what hangs
        farewell.start()
        farewell.join(_LOG_SECONDS)
        self._end(EXIT_CODE)

    def _say(self, reason: str, where: str) -> None:
        print(f"{self._told.service}: {reason}; the process ends\n{where}", file=sys.stderr, flush=True)
        self._told.log.critical("the process ends", extra={"reason": reason, "stacks": where})


def _stacks() -> str:
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file=file, all_threads=True)
        file.seek(0)
        return file.read().decode(errors="replace")
