"""Through the service: how many events a second do one, two and four processes of matching take in? `--help` says more.

A real Kafka and a real PostgreSQL (fsync on); needs, offerings and rates are loaded through Kafka, then as many changes are sent
at once for each number of processes. The clock runs from the first record sent until every group has handled its last. Before and
after it, the hop of `bench.hop` on the same machine: what one hop of the messaging promise takes in, without any matching.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from bench import hop, machine
from bench.matching.on_kafka import Stream, shares
from bench.workload import World
from musubi import embedded_postgres, topics
from notify.settings import NotifySettings
from tests import kafka_server
from tests.chain_process import services_in_a_process
from tests.eventually import eventually

HOP_EVENTS, HOP_KEYS = 20_000, 5_000


class Taken(NamedTuple):
    """Events a second, and milliseconds of CPU for each event: of the processes of matching, of PostgreSQL."""

    processes: int
    rate: float
    matching_ms: float
    postgres_ms: float


async def measure(settings: NotifySettings, postmaster: int, world: World, stream: Stream, processes: int, events: int) -> Taken:
    """So many processes from their start, when they have shared the groups out, until all is matched."""
    async with AsyncExitStack() as stack:
        starting = (stack.enter_async_context(services_in_a_process(settings, "matching")) for _ in range(processes))
        running = [await one for one in starting]
        await eventually(
            lambda: shares(settings.kafka), lambda found: len(found) == processes and all(found), within=90, what="all to share"
        )
        changes = [world.change() for _ in range(events)]

        def used() -> tuple[float, float]:
            return (
                sum(machine.cpu_seconds(one.pid) for one in running),
                machine.cpu_seconds(postmaster, with_children=True),
            )

        before, begun = used(), time.perf_counter()
        await stream.send(changes)
        await stream.until_matched(settings.postgres)
        seconds, after = time.perf_counter() - begun, used()
    cpu = [1000 * (now - then) / events for now, then in zip(after, before, strict=True)]
    return Taken(processes, events / seconds, *cpu)


async def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offerings", type=int, default=5_000)
    parser.add_argument("--needs", type=int, default=5_000)
    parser.add_argument("--events", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args(arguments)
    about, world, taken = machine.facts(), World(seed=chosen.seed), list[Taken]()
    async with AsyncExitStack() as stack:
        server = stack.enter_context(embedded_postgres.temporary())
        kafka = stack.enter_context(kafka_server.running())
        topics.apply(kafka)
        settings = NotifySettings(postgres=server.dsn(), kafka=kafka, migrate=True, log_level="ERROR")
        await hop.fill(kafka, HOP_EVENTS, HOP_KEYS)
        hops = [(await hop.run_full(kafka, server.dsn(), HOP_EVENTS)).rate]
        stream = await stack.enter_async_context(Stream.to(kafka))
        async with services_in_a_process(settings, "matching"):
            await stream.send(world.rates())
            await stream.send(world.offering() for _ in range(chosen.offerings))
            await stream.send(world.need() for _ in range(chosen.needs))
            await stream.until_matched(settings.postgres)
        for _ in range(chosen.rounds):
            for processes in chosen.processes:
                taken.append(await measure(settings, server.pid(), world, stream, processes, chosen.events))
                print(taken[-1], flush=True)
        hops.append((await hop.run_full(kafka, server.dsn(), HOP_EVENTS)).rate)
    limit = statistics.mean(hops)
    print(f"\n{'processes':>9}  {'events/s':>8}  {'of the hop':>10}  {'CPU ms: matching':>16}  {'PostgreSQL':>10}   (medians)")
    for processes in chosen.processes:
        mine = [one for one in taken if one.processes == processes]
        rate, *cpu = (statistics.median(column) for column in list(zip(*mine, strict=True))[1:])
        print(f"{processes:>9}  {rate:>8.0f}  {rate / limit:>10.1%}  {cpu[0]:>16.2f}  {cpu[1]:>10.2f}")
    print(f"the hop without matching: {', '.join(f'{one:,.0f}' for one in hops)} events/s\n")
    print(json.dumps({"benchmark": "matching scale", "machine": about, "options": vars(chosen), "hops": hops, "taken": taken}))


if __name__ == "__main__":
    asyncio.run(main())
