"""Keeps processes running as Kubernetes would: whatever ends is started again, and at the end everything is ended for certain."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
"""Seconds before it is started again; the pause doubles where it ends within `SOON`, as Kubernetes does with longer ones."""
SOON = 2.0
STOP_SECONDS = 15.0


@dataclass
class Life:
    """One life of a process. `code` is None while it lives, below 0 the signal that ended it."""

    pid: int
    begun: float = field(default_factory=time.time)
    ended: float | None = None
    code: int | None = None


class Watched:
    """One process that is kept running until `stop`."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
        """`output` takes what it writes."""
        self.name = name
        self.lives: list[Life] = []
        self.once: list[str] = []
        """More arguments for the next start only."""
        self._command = list(command)
        self._environment = dict(environment)
        self.output = output
        self._wanted = False
        self._keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the life that runs, if one does."""
        life = self.lives[-1] if self.lives else None
        return life.pid if life and life.code is None else None

    @property
    def starts(self) -> int:
        return len(self.lives)

    def start(self) -> None:
        """Start it and keep it running."""
        self._wanted = True
        self._keeping = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        pause = SHORTEST_PAUSE
        while self._wanted:
            life = await self._live()
            pause = SHORTEST_PAUSE if time.time() - life.begun > SOON else min(2 * pause, LONGEST_PAUSE)
            if self._wanted:
                await asyncio.sleep(pause)

    async def _live(self) -> Life:
        command, self.once = [*self._command, *self.once], []
        with self.output.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        life = Life(process.pid)
        self.lives.append(life)
        try:
            life.code = await process.wait()
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.kill()
            raise
        finally:
            life.ended = time.time()
        return life

    def signal(self, number: signal.Signals) -> bool:
        """Send it to the process; False if none runs just now."""
        pid = self.pid
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left of its group after a while. Not started again."""
        self._wanted = False
        if self._keeping is None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self._keeping], timeout=STOP_SECONDS)
        if not done:
            self._kill_group()
            _, late = await asyncio.wait([self._keeping], timeout=5)
            if late:
                self._keeping.cancel()
        self._kill_group()

    def _kill_group(self) -> None:
        for life in self.lives[-1:]:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(life.pid, signal.SIGKILL)


class Supervisor:
    """All processes of one house, by name."""

    def __init__(self) -> None:
        self.watched: dict[str, Watched] = {}

    def add(self, watched: Watched) -> None:
        """Keep this one running, too."""
        self.watched[watched.name] = watched
        watched.start()

    def starts(self) -> int:
        """How often any process was started."""
        return sum(watched.starts for watched in self.watched.values())

    async def stop(self) -> None:
        """End all, side by side."""
        await asyncio.gather(*(watched.stop() for watched in self.watched.values()))
