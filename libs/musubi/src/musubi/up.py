"""`musubi up`: everything on this machine until Ctrl-C."""

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path

from musubi import one_machine, sign_in_links


def run(folder: Path, port: int) -> int:
    """Returns 0 after Ctrl-C."""
    return until_stopped(_up(folder.absolute(), port), folder)


def until_stopped(work: Coroutine[None, None, int], folder: Path) -> int:
    """Run `work` to its end or until somebody stops it; says where the data is."""
    code = interruptible(work)
    if code is None:
        print(f"\nStopped. What was stored is in {folder} and will be there next time.")
    return code or 0


def interruptible(work: Coroutine[None, None, int]) -> int | None:
    """Run `work`; Ctrl-C, SIGTERM and a closed terminal let it clean up, and then there is no result."""

    async def watched() -> int:
        task = asyncio.current_task()
        assert task
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await work

    try:
        return asyncio.run(watched())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return None


async def _up(folder: Path, port: int) -> int:
    print("Starting PostgreSQL, the broker and the four services…", flush=True)
    async with one_machine.running(folder, port) as machine:
        print(f"Musubi is ready: {machine.address}   ({machine.seconds['ready']:.1f} s; log: {machine.folder / 'musubi.log'})")
        sign_in_links.print_links(await sign_in_links.issue(machine.address, machine.databases.by_name))
        print("\nPublish a file of events: musubi publish FILE.  Ctrl-C stops everything.", flush=True)
        await machine.until_it_ends()
    return 1
