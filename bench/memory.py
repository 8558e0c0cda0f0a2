"""Does a service grow? Memory, tasks, descriptors and connections after so many events and after twice as many.

The small hop of the tests, alone in its process, on a real Kafka and PostgreSQL: every event takes effect, announces another
one, and that one takes effect too. `python -m bench.memory [--events 200000]` prints a table and JSON; it leaves with 1 if
memory grew by more than 5 % or if any of the numbers rose. It reads `/proc`, so it needs Linux.
"""

import argparse
import asyncio
import ctypes
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from bench import machine
from common import vocabulary
from common.contracts.registry import CONTROL_TOPICS, TOPICS
from musubi import topics
from tests.brokers import Broker
from tests.common.hop import Source, rate
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

LIMIT = 1.05
KEYS = sorted(vocabulary.currencies())
_EACH = 5
_AHEAD = 20_000


async def hop(postgres: str, kafka: str) -> None:
    """The hop itself: for each line of its standard input it answers with what it holds."""
    from common.garbage import collect_seldom
    from common.service import Service
    from common.settings import Settings
    from common.telemetry import Telemetry
    from tests.common.hop import HANDLERS, MIGRATIONS

    settings = Settings(postgres=postgres, kafka=kafka, migrate=True)
    service = Service("hop", settings, migrations=MIGRATIONS, telemetry=Telemetry("hop", log_level="WARNING"))
    service.on_events(HANDLERS)
    collect_seldom()
    async with service.lifespan():
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(held()), flush=True)


def held() -> dict[str, float]:
    """What this process holds. Memory after a collection, and given back to the system where the C library can."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    open_ = [_target(name) for name in Path("/proc/self/fd").iterdir()]
    return {
        "memory_mb": round(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(open_),
        "connections": sum(what.startswith("socket:") for what in open_),
        "threads": threading.active_count(),
        "objects": len(gc.get_objects()),
    }


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:  # the one that lists the others
        return ""


async def rested(process: asyncio.subprocess.Process) -> dict[str, float]:
    """What the hop holds when nothing is to do: the least of several looks, because checks come and go with a connection each."""
    assert process.stdin
    assert process.stdout
    looks: list[dict[str, float]] = []
    for _ in range(20):
        process.stdin.write(b"\n")
        looks.append(json.loads(await process.stdout.readline()))
        await asyncio.sleep(0.5)
    return {name: min(look[name] for look in looks) for name in looks[0]}


async def run(steps: Sequence[int]) -> list[dict[str, float]]:
    """What the hop holds after each of these numbers of events."""
    found: list[dict[str, float]] = []
    server, kafka = PostgresServer({"fsync": "off"}), KafkaServer()
    process: asyncio.subprocess.Process | None = None
    try:
        await asyncio.gather(asyncio.to_thread(server.start), asyncio.to_thread(kafka.start))
        topics.apply(kafka.address, [*TOPICS.values(), *CONTROL_TOPICS.values()])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.memory", "--hop", server.dsn(), kafka.address,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with Source(server.dsn(), Broker(kafka.address, "", "real")).running() as source:
            looking = await asyncpg.connect(server.dsn())
            rates, sent = [rate(key) for key in KEYS for _ in range(_EACH)], 0
            for events in steps:
                begun = time.monotonic()
                while sent < events:
                    await source.emit(*rates)
                    sent += len(rates)
                    await _until_handled(looking, 2 * (sent - _AHEAD))
                await _until_handled(looking, 2 * sent)
                print(f"{events} events in {time.monotonic() - begun:.0f} s", flush=True)
                found.append(await rested(process))
            await looking.close()
    finally:
        if process is not None:
            process.terminate()
            await process.wait()
        kafka.close()
        server.close()
    return found


async def _until_handled(looking: Any, wanted: int) -> None:
    there = "select to_regclass('hop.effect') is not null"
    handled = "select coalesce(max(id), 0) >= $1 from hop.effect"
    while wanted > 0 and not (await looking.fetchval(there) and await looking.fetchval(handled, wanted)):  # noqa: ASYNC110
        await asyncio.sleep(0.2)


def main() -> int:
    """Print a table and JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--hop", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.hop:
        asyncio.run(hop(*given.hop))
        return 0
    facts = machine.facts()
    warm, once, twice = asyncio.run(run([given.events // 4, given.events, 2 * given.events]))
    print(f"\n{'after':14} " + " ".join(f"{events:>10,}" for events in (given.events // 4, given.events, 2 * given.events)))
    for name in once:
        print(f"{name:14} {warm[name]:>10g} {once[name]:>10g} {twice[name]:>10g}")
    ratio = twice["memory_mb"] / once["memory_mb"]
    print(f"memory: {ratio:.3f} (limit {LIMIT})")
    print(json.dumps({"events": given.events, "machine": facts, "once": once, "twice": twice, "ratio": round(ratio, 4)}))
    rose = [name for name in ("tasks", "descriptors", "connections", "threads") if twice[name] > once[name]]
    return int(ratio > LIMIT or bool(rose))


if __name__ == "__main__":
    raise SystemExit(main())
