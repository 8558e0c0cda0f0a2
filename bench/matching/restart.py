"""How long a new process of matching takes until it knows every technology group. `python -m bench.matching.restart --help`

The tables are filled as the service fills them; then a memory that knows nothing reads everything, as a
process does at its start. Reading, packing and searching every list are one figure: nobody waits for only one of them.
"""

import argparse
import asyncio
import resource
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import asyncpg

from bench import machine
from bench.matching.records import Market
from bench.matching.service import migrated
from bench.matching.workload import SKEWS, Sizes, market
from common.postgres import Database
from common.vocabulary import technologies
from matching import memory_store, routing, store
from matching.engine import self_check
from matching.memory import Memory
from matching.memory_store import Member
from matching.store import NeedRow, OfferingRow
from musubi import embedded_postgres

SIZES = {"small": (100_000, 10_000), "large": (1_000_000, 100_000)}
WRITTEN_AT_ONCE = 2_000
_COMPANY = '{"id": "company", "names": {"en": "Example company"}, "country": "JP", "example": true}'
_SUMMARY = '{"municipality": {"timezone": "UTC"}}'


def _portions(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while portion := list(islice(rest, size)):
        yield portion


async def fill(database: Database, made: Market) -> None:
    """Write the market's sides and rates as they stand after a long life, all at version 1."""
    lexicon, now = made.lexicon, datetime.now(UTC)
    groups = sorted({one.group for one in technologies().values()})
    async with database.transaction() as tx:
        await store.save_rates(tx, list(lexicon.rates.values()))
        await memory_store.save(tx, [], dict.fromkeys(groups, 1))
    versions = dict.fromkeys(groups, 1)
    for rows in _portions(range(len(made.offerings)), WRITTEN_AT_ONCE):
        offered = made.offering_objects(rows)
        async with database.transaction() as tx:
            await store.save_offerings(tx, [OfferingRow(one, '{"en": "Example"}', _COMPANY, b"") for one in offered])
            await memory_store.save(
                tx, [Member(group, "offering", one.id, one) for one in offered for group in one.groups], versions
            )
    for records in _portions(made.needs, WRITTEN_AT_ONCE):
        asked = [lexicon.need(record) for record in records]
        async with database.transaction() as tx:
            await store.save_needs(tx, [NeedRow(one, "city", True, _SUMMARY, b"", now, lexicon.today) for one in asked])
            await memory_store.save(tx, [Member(one.group, "need", one.id, one, lexicon.today) for one in asked], versions)
    async with database.connection() as connection:
        await connection.execute("analyze")


async def known_again(database: Database) -> tuple[Memory, float]:
    """A new memory that has all groups, and after how many seconds."""
    begun, memory = time.perf_counter(), Memory()
    await memory.follow(database, routing.GROUPS, lambda group: True)
    return memory, time.perf_counter() - begun


async def saved(database: Database, memory: Memory) -> float:
    """Seconds until all groups have their snapshots."""
    begun = time.perf_counter()
    for group in routing.GROUPS:
        await memory.group(group).save(database)
    return time.perf_counter() - begun


async def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--skew", choices=SKEWS, default="even")
    parser.add_argument("--rounds", type=int, default=3, help="from snapshots, and from the members (at least once)")
    parser.add_argument("--once", action="store_true", help="read the members only once; that takes long with a million")
    chosen = parser.parse_args(arguments)
    offerings, needs = SIZES[chosen.size]
    made = market(chosen.skew, Sizes(offerings, needs, events=0))
    self_check.check()
    with embedded_postgres.temporary() as server:
        connection = await asyncpg.connect(server.dsn())
        await connection.execute("create database bench")
        await connection.close()
        async with migrated(server.dsn("bench")) as database:
            await fill(database, made)
            memory, *took = await known_again(database)
            for _ in range(0 if chosen.once else chosen.rounds - 1):
                took.append((await known_again(database))[1])
            saving = await saved(database, memory)
            del memory
            restored = [(await known_again(database))[1] for _ in range(chosen.rounds)]
            async with database.reading() as tx:
                size = await tx.fetchval("select sum(length(bytes)) from snapshot_chunk")
    print(machine.facts())
    print(f"{offerings:,} offerings and {needs:,} needs, {chosen.skew}: all groups known again")
    print(f"  from their members after {_median(took)}")
    print(f"  from their snapshots after {_median(restored)}; to write these took {saving:.1f} s, {size / 1e6:,.0f} MB")
    print(f"  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:,} MB at most")


def _median(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} s (median of {', '.join(f'{one:.2f}' for one in seconds)})"


if __name__ == "__main__":
    asyncio.run(main())
