"""How fast is one hop with the whole promise, against the thinnest hop written by hand?

A hop consumes, upserts one row and announces one event. `full` is what the services run; `thin` does the same work without the
promise; `bare` is thin without contract and exact decimals too. `python -m bench.hop [--events 60000] [--rounds 3]` starts a
Kafka and a PostgreSQL of its own (fsync on), lets the hops work through the same records in turn, and prints a table and JSON.
What counts is the ratio in one run: the figures alone say as much about the machine.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import asyncpg
from aiokafka import ConsumerRecord
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from bench import hop_event, hop_thin, machine
from bench.hop_event import FACTS, IN, PARTITIONS, STATE_TABLE, TOPICS, UPSERT, NeedChanged, NeedIndexed
from bench.hop_thin import Speed
from common import migrate
from common.exact_json import dump
from common.garbage import collect_seldom
from common.messaging.broker import Broker
from common.messaging.consumer import Arrived, Consumer
from common.messaging.cursors import Ownership, Partition
from common.messaging.publisher import Publisher
from common.messaging.relay import Relay
from common.messaging.subscription import Subscription
from common.postgres import Database
from common.telemetry import Telemetry
from common.transaction import Transaction
from musubi import embedded_postgres, topics
from tests import kafka_server

SCHEMA = "bench_full"
SAMPLING = 0.01
GOAL = 0.85


class Discard(SpanExporter):
    """Takes spans as a collector would, and forgets them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Timed(Consumer):
    """Notes when the first batch began, by wall clock and by CPU, and counts records."""

    begun: tuple[float, float] | None = None
    taken = 0

    async def store(
        self, records: Sequence[ConsumerRecord], after: Mapping[Partition, int], owned: Ownership, *, patient: bool
    ) -> None:
        self.begun = self.begun or (time.perf_counter(), time.process_time())
        await super().store(records, after, owned, patient=patient)
        self.taken += len(records)


async def index_needs(arrived: Sequence[Arrived[NeedChanged]], tx: Transaction) -> None:
    """The handler: keep the newest state of each need, announce that it was indexed."""
    state: dict[str, str] = {}
    for event, need in ((item.event, item.data) for item in arrived):
        body = dump(need)
        state[need.id] = body.decode()
        tx.emit_json(NeedIndexed, need.id, body, cause=event)
    await tx.execute(UPSERT, list(state), list(state.values()))


async def run_full(kafka: str, postgres: str, events: int, told: Telemetry | None = None) -> Speed:
    """Take in so many events from empty tables, with everything that the services have; at the end `told` is closed."""
    await _empty_tables(postgres)
    group = f"full-{time.time_ns()}"
    told = told or Telemetry("bench", sampling=SAMPLING, processors=[BatchSpanProcessor(Discard())], log_level="WARNING")
    broker = Broker(kafka)
    relay = Relay(postgres, SCHEMA, broker, told)
    database = Database(postgres, SCHEMA, announce=relay.announce, topics=TOPICS)
    await database.open()
    consumer = Timed(database, group, {NeedChanged: index_needs}, told, facts=FACTS, topics=TOPICS)
    tasks = [asyncio.create_task(relay.run())]
    while not relay.leading:  # noqa: ASYNC110  nothing to wait on, and the clock does not run yet
        await asyncio.sleep(0.02)
    tasks.append(asyncio.create_task(Subscription(consumer, broker, told).run()))
    handled = {"topic": IN, "outcome": "handled"}
    while consumer.taken < events or told.registry.get_sample_value("musubi_events_total", handled) != events:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    async with database.connection() as connection:
        while await connection.fetchval("select exists (select from unsent)"):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        assert consumer.begun
        speed = Speed(
            events / (time.perf_counter() - consumer.begun[0]), 1e6 * (time.process_time() - consumer.begun[1]) / events
        )
        assert await connection.fetchval("select count(*) from outbox") == events
        assert not await connection.fetchval("select count(*) from parked")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await database.close()
    told.close()
    return speed


async def _empty_tables(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"drop schema if exists {SCHEMA} cascade")
    await migrate.apply(postgres, SCHEMA, {"messaging": files("common") / "migrations" / "messaging"})
    await connection.execute(f"set search_path = {SCHEMA}")
    await connection.execute(STATE_TABLE)
    await connection.execute("checkpoint")
    await connection.close()


async def fill(kafka: str, events: int, keys: int, *, sampling: float = SAMPLING) -> None:
    """Make the topics, and write all events into them."""
    topics.apply(kafka, TOPICS.values())
    publisher = Publisher(kafka, deadline=60)
    batch = []
    for event in hop_event.events(events, keys, sampling=sampling):
        batch.append(event)
        if len(batch) == 2000:
            await publisher.publish(batch)
            batch = []
    await publisher.publish(batch)
    await publisher.close()


async def measure(kafka: str, postgres: str, events: int, keys: int, rounds: int) -> dict[str, Any]:
    """The hops in turn, so many rounds; medians, and the median of the rounds' ratios."""
    await fill(kafka, events, keys)
    speeds: dict[str, list[Speed]] = {"bare": [], "thin": [], "full": []}
    for _ in range(rounds):
        speeds["bare"].append(await hop_thin.run(kafka, postgres, events, bare=True))
        speeds["thin"].append(await hop_thin.run(kafka, postgres, events))
        speeds["full"].append(await run_full(kafka, postgres, events))
    ratios = _ratios(speeds["full"], speeds["thin"])
    return {
        "keys": keys,
        "per_second": {name: round(statistics.median(speed.rate for speed in found)) for name, found in speeds.items()},
        "cpu_us": {name: round(statistics.median(speed.cpu for speed in found), 1) for name, found in speeds.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "ratio_to_bare": round(statistics.median(_ratios(speeds["full"], speeds["bare"])), 2),
    }


def _ratios(full: Sequence[Speed], other: Sequence[Speed]) -> list[float]:
    return [one.rate / two.rate for one, two in zip(full, other, strict=True)]


def _table(results: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{'keys':>7}  {'hop':<5} {'events/s':>9} {'client CPU':>11}  ratio of full to it"]
    for row in results:
        for name, rate in row["per_second"].items():
            ratio = {"thin": f"{row['ratio']}  (rounds: {row['ratios']})", "bare": str(row["ratio_to_bare"])}.get(name, "")
            lines.append(f"{row['keys']:>7,}  {name:<5} {rate:>9,} {row['cpu_us'][name]:>8} us  {ratio}")
    return "\n".join(lines)


async def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=60_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--keys", type=int, nargs="+", default=[20_000, 200])
    chosen = options.parse_args()
    about = machine.facts()
    collect_seldom()  # as the services' processes do; it serves the thin hop as well
    results = []
    for keys in chosen.keys:
        with kafka_server.running() as kafka, embedded_postgres.temporary() as postgres:
            results.append(await measure(kafka, postgres.dsn(), chosen.events, keys, chosen.rounds))
    print(
        f"{chosen.events:,} events, {PARTITIONS} partitions, {chosen.rounds} rounds, {SAMPLING:.0%} of traces sampled; medians\n"
    )
    print(_table(results))
    print(f"\ngoal: full at least {GOAL} of thin\n")
    print(json.dumps({"benchmark": "hop", "machine": about, "events": chosen.events, "goal": GOAL, "results": results}))


if __name__ == "__main__":
    asyncio.run(main())
