"""Work that goes on beside requests and events: loops that survive every error, run at once when woken, and end when told."""

import asyncio
from collections.abc import Awaitable, Callable

from common.telemetry import Telemetry

Step = Callable[[], Awaitable[bool]]
"""Does a bit of work; True if there may be more to do at once."""

_LONGEST_PAUSE = 30.0


def seldom(failures: int) -> bool:
    """Is this failure in a row one to be logged? The 1st, 2nd, 4th, 8th… and every 64th."""
    return failures & (failures - 1) == 0 or failures % 64 == 0


class Loop:
    """One step, again and again: at once while there is more to do, else `every` so many seconds or when woken."""

    def __init__(self, name: str, step: Step, *, every: float, told: Telemetry, after_commits: bool = True) -> None:
        """`after_commits`: may something that was just committed give it work to do?"""
        self.name = name
        self.after_commits = after_commits
        self._step = step
        self._every = every
        self._told = told
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Run now."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            self._wake.clear()
            try:
                more = await self._step()
            except Exception as error:  # noqa: BLE001  a loop that gives up is worse than any error
                failures += 1
                if seldom(failures):
                    said = {"loop": self.name, "in_a_row": failures, "error": repr(error)[:256]}
                    self._told.log.warning("background work failed", extra=said)
                await asyncio.sleep(min(0.25 * 2**failures, self._every, _LONGEST_PAUSE))
                continue
            failures = 0
            if not more:
                try:
                    async with asyncio.timeout(self._every):
                        await self._wake.wait()
                except TimeoutError:
                    pass
