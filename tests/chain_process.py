"""Some or all services in a process of their own, which can be killed: `python -m tests.chain_process SERVICE…`.

Settings come from the environment, as in production. Prints the address once everything runs, and stays until it is ended.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from common import garbage
from notify.settings import NotifySettings


async def _run(services: Iterable[str]) -> None:
    from tests.chain import MAKERS, free_socket, served

    garbage.collect_seldom()
    settings = NotifySettings.read()
    apps = {name: MAKERS[name](settings) for name in services}
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    listening = free_socket()
    async with served(apps, listening):
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        await stop.wait()


class ServiceProcess:
    """A running process of services; `origin` is where it answers."""

    def __init__(self, process: asyncio.subprocess.Process, origin: str) -> None:
        self._process = process
        self.origin = origin

    @property
    def pid(self) -> int:
        return self._process.pid

    async def kill(self) -> None:
        """kill -9: it gets no chance to finish anything."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, then what has to be."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 20)
            except TimeoutError:
                await self.kill()


@asynccontextmanager
async def services_in_a_process(settings: NotifySettings, *services: str) -> AsyncIterator[ServiceProcess]:
    """Start a process with these services and wait until they are ready; it is stopped at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chain_process", *services,
        env={**os.environ, **_environment(settings)}, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    running = ServiceProcess(process, "")
    try:
        assert process.stdout
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        running.origin = line.decode().strip()
        assert running.origin, f"{services} did not start"
        yield running
    finally:
        await running.stop()


def _environment(settings: NotifySettings) -> dict[str, str]:
    """Settings as the environment variables that say the same."""
    return {
        f"MUSUBI_{name.upper()}": str(value)
        for name, value in settings.model_dump(exclude_none=True, exclude_defaults=True).items()
    }


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1:]))
