"""The oracle: a process of its own that sends the workload and keeps the ledger, outside the system under test.

`python -m tests.faults.oracle` reads one line of JSON that says where everything is, then lines with what has changed
(`{"kafka": …}`, `{"stop": true}`); it writes a line of counts every second, and ends when all is answered.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.faults.ledger import Ledger
from tests.faults.sending import Sender, Surroundings, client
from tests.faults.workload import Rates, Workload


class Oracle:
    """The campaign's end of that process. `counts` is what it said last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.counts: dict[str, int] = {}
        self.wave = 0
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            self.counts, self.wave = said["counts"], said["wave"]

    @property
    def accepted(self) -> int:
        return self.counts.get("accepted", 0)

    def tell(self, **said: Any) -> None:
        """Something has changed: where the broker is, or that it is time to stop."""
        assert self._process.stdin
        if self._process.returncode is None:
            self._process.stdin.write(json.dumps(said).encode() + b"\n")

    async def finish(self, *, within: float) -> None:
        """No more faults come; wait until everything is answered. Raises `TimeoutError`, or AssertionError where it failed."""
        self.tell(stop=True)
        async with asyncio.timeout(within):
            code = await self._process.wait()
            await self._listening
        assert code == 0, f"the oracle ended with {code}"

    @property
    def lives(self) -> bool:
        return self._process.returncode is None


@asynccontextmanager
async def oracle(ledger: Path, log: Path, seed: int, rates: Rates, where: Surroundings) -> AsyncIterator[Oracle]:
    """The process, sending, while the block runs. `log` takes what it writes of errors."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.oracle", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
    running = Oracle(process)
    running.tell(ledger=str(ledger), seed=seed, rates=vars(rates), where=vars(where))
    try:
        yield running
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _run() -> None:
    lines = await _stdin()
    begin = json.loads(await lines.readline())
    book = Ledger(Path(begin["ledger"]))
    sender = Sender(book, Surroundings(**begin["where"]), client())
    workload = Workload(sender, begin["seed"], Rates(**begin["rates"]))
    book.note("epoch", time.time() - time.monotonic())
    reading = asyncio.create_task(_follow(lines, workload))
    saying = asyncio.create_task(_say(workload))
    running = asyncio.create_task(workload.run())
    await asyncio.wait([running, reading], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running
    else:
        raise SystemExit("the campaign is gone")
    saying.cancel()
    book.note("counts", json.dumps(workload.counts))
    print(_said(workload), flush=True)


async def _stdin() -> asyncio.StreamReader:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    return lines


async def _follow(lines: asyncio.StreamReader, workload: Workload) -> None:
    while line := await lines.readline():
        said: Mapping[str, Any] = json.loads(line)
        workload.where.kafka = said.get("kafka", workload.where.kafka)
        if said.get("stop"):
            workload.sender.calm = True
            workload.stop()


async def _say(workload: Workload) -> None:
    while True:
        await asyncio.sleep(1)
        print(_said(workload), flush=True)


def _said(workload: Workload) -> str:
    return json.dumps({"counts": workload.counts, "wave": workload.wave()})


if __name__ == "__main__":
    asyncio.run(_run())
