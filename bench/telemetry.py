"""What do traces cost a hop, and what does a look at its freshness?

The hop of `bench.hop`, in turn with events none of which is sampled and nowhere for spans to go, and with one in a hundred
sampled and spans that leave by OTLP to a process that takes them. Then so many looks at a topic that nobody has read.
`python -m bench.telemetry [--events 60000] [--rounds 5]`
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry

from bench import hop, machine
from bench.hop_event import FACTS, TOPICS, NeedChanged
from bench.hop_thin import Speed
from common.freshness import GRACE_SECONDS, Freshness
from common.garbage import collect_seldom
from common.messaging.broker import Broker
from common.messaging.consumer import Consumer
from common.postgres import Database
from common.telemetry import Telemetry
from musubi import embedded_postgres
from tests import kafka_server

GOAL = 0.9
KEYS = 20_000
LOOKS = 20


class Sink(BaseHTTPRequestHandler):
    """Takes whatever is posted."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read it, and say yes."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  so it is called there
        """Say nothing."""


def _serve(told: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    told.send(server.server_port)
    server.serve_forever()


@contextmanager
def collector() -> Iterator[str]:
    """The address of a process that takes spans and forgets them."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1/traces"
    finally:
        process.terminate()
        process.join()


def _traced(endpoint: str) -> Telemetry:
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=5)
    return Telemetry("bench", sampling=hop.SAMPLING, processors=[BatchSpanProcessor(exporter)], log_level="WARNING")


async def looks(kafka: str, postgres: str, group: str) -> dict[str, float]:
    """Milliseconds of processor time of this process for one look, and how long it takes beyond the grace."""
    database = Database(postgres, hop.SCHEMA, topics=TOPICS)
    await database.open()
    freshness = Freshness(database, Broker(kafka), CollectorRegistry())
    freshness.reads(Consumer(database, group, {NeedChanged: hop.index_needs}, Telemetry("bench"), facts=FACTS, topics=TOPICS))
    await freshness.look_at_log()
    begun, cpu = time.perf_counter(), time.process_time()
    for _ in range(LOOKS):
        await freshness.look_at_log()
        await freshness.look_at_database()
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    await database.close()
    return {"cpu_ms": round(1000 * cpu / LOOKS, 1), "took_ms": round(1000 * (took / LOOKS - GRACE_SECONDS), 1)}


async def measure(events: int, rounds: int) -> dict[str, Any]:
    """Both in turn, so many rounds, on the same machine at the same time; the median of the rounds' ratios counts."""
    with (
        kafka_server.running() as plain,
        kafka_server.running() as traced,
        embedded_postgres.temporary() as server,
        collector() as endpoint,
    ):
        await hop.fill(plain, events, KEYS, sampling=0)
        await hop.fill(traced, events, KEYS)
        found: dict[str, list[Speed]] = {"without": [], "with": []}
        for _ in range(rounds):
            found["without"].append(await hop.run_full(plain, server.dsn(), events, Telemetry("bench", log_level="WARNING")))
            found["with"].append(await hop.run_full(traced, server.dsn(), events, _traced(endpoint)))
        ratios = [one.rate / other.rate for one, other in zip(found["with"], found["without"], strict=True)]
        return {
            "per_second": {name: round(statistics.median(one.rate for one in speeds)) for name, speeds in found.items()},
            "cpu_us": {name: round(statistics.median(one.cpu for one in speeds), 1) for name, speeds in found.items()},
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
            "look_at_what_nobody_read": await looks(traced, server.dsn(), "nobody"),
        }


async def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=60_000)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    about = machine.facts()
    collect_seldom()
    result = await measure(chosen.events, chosen.rounds)
    for name, figures in result.items():
        print(f"{name:26} {figures}")
    print(f"\ngoal: with traces at least {GOAL} of without\n")
    print(json.dumps({"benchmark": "telemetry", "machine": about, "events": chosen.events, "goal": GOAL, **result}))


if __name__ == "__main__":
    asyncio.run(main())
