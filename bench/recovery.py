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
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bench import machine
from bench.recovery_world import HopProcess, World, until
from tests.proxy import Proxy

SESSION = 10.0
T = TypeVar("T")


Times = AsyncGenerator[float]
"""One time after the other, in seconds, each of a fault of its own."""


class Measure(NamedTuple):
    """What is measured, how often at least, and the limit in seconds."""

    what: str
    run: Callable[[World], Times]
    limit: float


async def killed_in_place(world: World) -> Times:
    """kill -9, and a new process under the same instance name at once; until its first effect."""
    process = await world.started("a")
    while True:
        await world.flowing()
        process.kill()
        begun = time.monotonic()
        await process.gone()
        process = await world.started("a", ready=False)
        await process.says(migrations=True)  # what takes effect from now on is its doing
        yield await first_effect(world, begun)


async def first_effect(world: World, begun: float) -> float:
    """Wait for one from now on; how long it took since then."""
    before = await world.effects()
    await until(world.new_effect, before)
    return time.monotonic() - begun


def one_of_two_killed(
    look: Callable[[World], Awaitable[T]], moved: Callable[[World, T], Coroutine[Any, Any, bool]]
) -> Callable[[World], Times]:
    """kill -9 of the one that was there first; from then until what is looked at has moved."""

    async def times(world: World) -> Times:
        one = await world.started("")
        while True:
            other = await world.started("")
            await world.flowing_everywhere()
            one.kill()
            begun = time.monotonic()
            await one.gone()
            before = await look(world)
            await until(moved, world, before)
            yield time.monotonic() - begun
            one = other

    return times


def once_back(away: Callable[[World], Awaitable[None]]) -> Callable[[World], Times]:
    """Something is away for a while; from when it is back until the first effect."""

    async def times(world: World) -> Times:
        await world.started("a")
        while True:
            await world.flowing()
            await away(world)
            yield await first_effect(world, time.monotonic())

    return times


async def both_silent(world: World) -> None:
    """Nothing comes through to broker and database for 20 s."""
    async with world.silent(world.to_kafka), world.silent(world.to_postgres):
        await asyncio.sleep(20)


def until_noticed(cut: Callable[[World], Proxy], noticed: Callable[[HopProcess], Awaitable[None]]) -> Callable[[World], Times]:
    """Nothing comes through any more; from then until that is noticed."""

    async def times(world: World) -> Times:
        process = await world.started("a")
        while True:
            await world.flowing()
            await process.ready()
            async with world.silent(cut(world)):
                begun = time.monotonic()
                await noticed(process)
                yield time.monotonic() - begun

    return times


async def gives_up_its_connections(process: HopProcess) -> None:
    """Statements that wait for an answer get none."""
    await process.says(database=False)
    await process.logs("all connections are given up")


MEASURES = {
    "in-place": Measure("a process is killed and restarted in place", killed_in_place, 8),
    "gone": Measure(
        "a process is killed for good",
        one_of_two_killed(World.last_of_each_key, World.every_key_moved),
        SESSION + 5,
    ),
    "relay": Measure("the leading relay is killed", one_of_two_killed(World.sent, World.more_sent), 3),
    "postgres": Measure("PostgreSQL stopped immediately, and is back", once_back(lambda world: world.crash_postgres(away=5)), 10),
    "broker": Measure("the broker was killed, and is back", once_back(lambda world: world.kill_kafka(away=5)), 15),
    "silent-broker": Measure(
        "a silent cut to the broker is noticed",
        until_noticed(lambda world: world.to_kafka, lambda process: process.says(broker=False)),
        15,
    ),
    "silent-postgres": Measure(
        "a silent cut to PostgreSQL is noticed", until_noticed(lambda world: world.to_postgres, gives_up_its_connections), 15
    ),
    "after-silence": Measure("both silent for 20 s, and heard again", once_back(both_silent), 15),
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
