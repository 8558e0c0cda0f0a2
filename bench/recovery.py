"""How soon does work go on after something died? From the fault to the first new effect, on a real Kafka and PostgreSQL.

A small hop, in processes of its own, takes in what a source announces all the time. `python -m bench.recovery [--rounds 5]
[--only NAME]` starts its own broker and database (fsync on), does each thing so many times, and prints p50, p99, the longest
and the limit as a table and as JSON. It leaves with 1 if a limit was passed.
"""

import argparse
import asyncio
import json
import math
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import NamedTuple

from bench import machine
from bench.recovery_world import World, until

SESSION = 10.0


class Measure(NamedTuple):
    """What is measured, how often at least, and the limit in seconds."""

    what: str
    run: Callable[[World], AsyncGenerator[float]]
    limit: float


async def in_place(world: World) -> AsyncGenerator[float]:
    """kill -9, and a new process under the same instance name at once."""
    process = await world.started("a")
    while True:
        await world.flowing()
        process.kill()
        begun = time.monotonic()
        await process.gone()
        process = await world.started("a", ready=False)
        await process.says(migrations=True)  # what takes effect from now on is its doing
        before = await world.effects()
        await until(world.new_effect, before)
        yield time.monotonic() - begun


async def gone_for_good(world: World) -> AsyncGenerator[float]:
    """kill -9 of one of two; until each key has a new effect."""
    one = await world.started("")
    while True:
        other = await world.started("")
        await world.flowing_everywhere()
        one.kill()
        begun = time.monotonic()
        await one.gone()
        before = await world.last_of_each_key()
        await until(world.every_key_moved, before)
        yield time.monotonic() - begun
        one = other


async def relay(world: World) -> AsyncGenerator[float]:
    """kill -9 of the process that leads, while another one stands by; until something new is on the topic."""
    leader = await world.started("")
    while True:
        second = await world.started("")
        await world.flowing_everywhere()
        leader.kill()
        begun = time.monotonic()
        await leader.gone()
        before = await world.sent()
        await until(world.more_sent, before)
        yield time.monotonic() - begun
        leader = second


async def postgres(world: World) -> AsyncGenerator[float]:
    """PostgreSQL stops immediately; from when it takes connections again."""
    await world.started("a")
    while True:
        await world.flowing()
        await world.crash_postgres(away=5)
        begun = time.monotonic()
        before = await world.effects()
        await until(world.new_effect, before)
        yield time.monotonic() - begun


async def broker(world: World) -> AsyncGenerator[float]:
    """kill -9 of the broker; from when it leads its partitions again."""
    await world.started("a")
    while True:
        await world.flowing()
        await world.kill_kafka(away=5)
        begun = time.monotonic()
        before = await world.effects()
        await until(world.new_effect, before)
        yield time.monotonic() - begun


async def silent_broker(world: World) -> AsyncGenerator[float]:
    """Nothing comes through to the broker any more; until the service says that it is not ready."""
    process = await world.started("a")
    while True:
        await world.flowing()
        await process.ready()
        async with world.silent(world.to_kafka):
            begun = time.monotonic()
            await process.says(broker=False)
            yield time.monotonic() - begun


async def silent_postgres(world: World) -> AsyncGenerator[float]:
    """Nothing comes through to PostgreSQL any more; until statements that wait for an answer are given up."""
    process = await world.started("a")
    while True:
        await world.flowing()
        await process.ready()
        async with world.silent(world.to_postgres):
            begun = time.monotonic()
            await process.says(database=False)
            await process.logs("all connections are given up")
            yield time.monotonic() - begun


async def after_silence(world: World) -> AsyncGenerator[float]:
    """Both were silent for 20 s; from when they are heard again."""
    await world.started("a")
    while True:
        await world.flowing()
        async with world.silent(world.to_kafka), world.silent(world.to_postgres):
            await asyncio.sleep(20)
        begun = time.monotonic()
        before = await world.effects()
        await until(world.new_effect, before)
        yield time.monotonic() - begun


MEASURES = {
    "in-place": Measure("a process is killed and restarted in place", in_place, 8),
    "gone": Measure("a process is killed for good", gone_for_good, SESSION + 5),
    "relay": Measure("the leading relay is killed", relay, 3),
    "postgres": Measure("PostgreSQL stopped immediately, and is back", postgres, 10),
    "broker": Measure("the broker was killed, and is back", broker, 15),
    "silent-broker": Measure("a silent cut to the broker is noticed", silent_broker, 15),
    "silent-postgres": Measure("a silent cut to PostgreSQL is noticed", silent_postgres, 15),
    "after-silence": Measure("both silent for 20 s, and heard again", after_silence, 15),
}


async def measured(measure: Measure, rounds: int, logs: Path) -> list[float]:
    """So many times, in a world of its own."""
    found: list[float] = []
    async with World.made(logs) as world:
        times = measure.run(world)
        async for seconds in times:
            found.append(seconds)
            print(f"  {seconds:.2f}", end="", flush=True)
            if len(found) == rounds:
                break
        await times.aclose()
    print()
    return found


def quantile(values: list[float], share: float) -> float:
    """The value that so large a share does not pass; with few values, the longest."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def main() -> int:
    """Print a table and JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", choices=MEASURES, action="append")
    options.add_argument("--logs", type=Path, help="keep the processes' logs in this folder")
    given = options.parse_args()
    facts = machine.facts()
    result: dict[str, dict[str, float]] = {}
    if given.logs:
        given.logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="musubi-recovery-") as temporary:
        for name in given.only or MEASURES:
            print(f"{name}:", end="", flush=True)
            times = asyncio.run(measured(MEASURES[name], given.rounds, given.logs or Path(temporary)))
            result[name] = {
                "p50": statistics.median(times), "p99": quantile(times, 0.99), "max": max(times), "limit": MEASURES[name].limit,
            }  # fmt: skip
    print(f"\n{'seconds':46} {'p50':>6} {'p99':>6} {'max':>6} {'limit':>6}")
    for name, row in result.items():
        print(f"{MEASURES[name].what:46} " + " ".join(f"{row[column]:6.2f}" for column in ("p50", "p99", "max", "limit")))
    rounded = {name: {column: round(value, 3) for column, value in row.items()} for name, row in result.items()}
    print(json.dumps({"rounds": given.rounds, "machine": facts, "seconds": rounded}))
    return int(any(row["p99"] > row["limit"] for row in result.values()))


if __name__ == "__main__":
    raise SystemExit(main())
