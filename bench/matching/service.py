"""What matching costs at 10,000 needs and 10,000 offerings: one pair, one event, one search. `python -m bench.matching [size]`

Handlers run as in the service: on PostgreSQL, one transaction each, with the outbox but without a broker. CPU is said beside
the time on the clock, for this process and for PostgreSQL: on a busy machine only that can be compared.
"""

import contextlib
import os
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from importlib.resources import files
from pathlib import Path

import asyncpg

from bench.workload import World
from common import migrate
from common.clock import utc_now
from common.contracts.needs import NeedPosted
from common.contracts.values import Fact
from common.messaging.message import Event
from common.postgres import Database
from common.transaction import Transaction
from matching import page_store, store
from matching.domain.circumstances import Circumstances
from matching.domain.places import wide_field
from matching.domain.shortlist import judge
from matching.domain.sides import Need
from matching.memory import Memory
from matching.page_store import Scope
from musubi import embedded_postgres
from tests.matching import running

SIZE = 10_000
LOADED_AT_ONCE = 200
EVENTS = 600


_MEMORY = Memory()


async def handle(database: Database, facts: Sequence[Fact]) -> Sequence[Event]:
    """Handed on to the groups and handled by them, each in one transaction, without Kafka between; returns what was announced."""
    return await running.handle(database, _MEMORY, facts)


@contextlib.asynccontextmanager
async def migrated(dsn: str) -> AsyncIterator[Database]:
    folders = {
        "messaging": files("common") / "migrations" / "messaging",
        "matching": files("matching") / "migrations",
    }
    await migrate.apply(dsn, "matching", folders)
    database = Database(dsn, "matching", clock=utc_now)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


class Cpu:
    """Seconds of CPU since it was made: of this process, and of a PostgreSQL server with all its sessions."""

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster
        self._ours, self._theirs = time.process_time(), self._server()

    def each(self, n: int) -> str:
        ours, theirs = time.process_time() - self._ours, self._server() - self._theirs
        return f"CPU each: Python {1000 * ours / n:.1f} ms, PostgreSQL {1000 * theirs / n:.1f} ms"

    def _server(self) -> float:
        """Sessions that ended are not counted; the benchmark keeps its own."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(") ")[2].split()
                if self._postmaster in (int(fields[1]), int(stat.parent.name)):
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


async def load(database: Database, world: World, size: int, postmaster: int) -> None:
    await handle(database, world.rates())
    for make, what in ((world.offering, "offerings"), (world.need, "needs")):
        begun, cpu = time.perf_counter(), Cpu(postmaster)
        for _ in range(0, size, LOADED_AT_ONCE):
            await handle(database, [make() for _ in range(min(LOADED_AT_ONCE, size))])
        taken = time.perf_counter() - begun
        print(f"{size:,} {what} loaded in {taken:.1f} s, {1000 * taken / size:.2f} ms each; {cpu.each(size)}")
    async with database.connection() as connection:
        await connection.execute("analyze")


async def one_pair(tx: Transaction, needs: Sequence[NeedPosted], today: Circumstances) -> None:
    """Reading candidates and judging them, per pair; a pair whose score cannot reach the list is given up early."""
    reading = judging = pairs = passed = 0
    for fact in needs:
        need = Need.of(fact)
        begun = time.perf_counter()
        candidates = await page_store.offerings_in(tx, Scope(), wide_field(need))
        read = time.perf_counter()
        passed += sum(judge(need, offering, today) is not None for offering in candidates)
        judging += time.perf_counter() - read
        reading += read - begun
        pairs += len(candidates)
    print(
        f"a pair: read {1e6 * reading / pairs:.1f} µs, judged in full {1e6 * judging / pairs:.1f} µs; "
        f"{pairs / len(needs):.0f} candidates a need, {passed / len(needs):.0f} pass"
    )


def tell(what: str, seconds: list[float], announced: int) -> None:
    if not seconds:
        return
    ordered = sorted(1000 * one for one in seconds)
    p50, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(
        f"{what}: n={len(ordered)}, mean {statistics.fmean(ordered):.1f} ms, p50 {p50:.1f}, p99 {p99:.1f}, "
        f"{announced / len(ordered):.1f} lists announced each"
    )


async def stream(database: Database, world: World, postmaster: int) -> None:
    """One event a transaction, as at low load."""
    cpu = Cpu(postmaster)
    taken: dict[str, list[float]] = {}
    announced: Counter[str] = Counter()
    sizes: list[int] = []
    for _ in range(EVENTS):
        fact = world.change()
        what = "a new need" if isinstance(fact, NeedPosted) else f"an offering {getattr(fact, 'status', '')}"
        begun = time.perf_counter()
        events = await handle(database, [fact])
        taken.setdefault(what, []).append(time.perf_counter() - begun)
        announced[what] += len(events)
        sizes += [len(event.body) for event in events]
    for what, seconds in sorted(taken.items()):
        tell(what, seconds, announced[what])
    everything = [one for seconds in taken.values() for one in seconds]
    tell("the stream (70 % changed, 25 % new needs, 5 % withdrawn)", everything, sum(announced.values()))
    print(f"the stream's {cpu.each(EVENTS)}")
    print(f"an announced list has {statistics.fmean(sizes):,.0f} bytes on average")


async def main(size: int) -> None:
    with embedded_postgres.temporary() as server:
        connection = await asyncpg.connect(server.dsn())
        await connection.execute("create database bench")
        await connection.close()
        async with migrated(server.dsn("bench")) as database:
            world = World(today=utc_now().date())
            await load(database, world, size, server.pid())
            async with database.reading() as tx:
                today = Circumstances(world.today, await store.rates(tx))
                await one_pair(tx, list(world.needs.values())[:100], today)
            await stream(database, world, server.pid())
