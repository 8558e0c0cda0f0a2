"""What do healthy keys notice of bad records in their topic? From the moment an event is announced until its effect is committed
and seen by another session, at a fixed rate, whatever the answer.

`python -m bench.poison [--rounds 9] [--seconds 8] [--rate 200]` starts a Kafka and a PostgreSQL of its own (fsync on), and a
service in a process of its own. Every round has a period without bad records, one in which 1 % of all records are bad (every kind
in turn), and one in which 100 keys of the same topic are parked and fail whenever they are tried again. It prints p50 and p99 of
each, medians of the rounds, and how the p99 compares with the period without; it leaves with 1 if a ratio is over the limit.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
from aiokafka import AIOKafkaProducer

from bench import machine
from bench.open_loop import drive, percentile
from bench.poison_service import CHANNEL, SCHEMA
from common.clock import rfc3339
from common.contracts.registry import CONTROL_TOPICS
from common.exact_json import dump
from common.messaging.message import Event, to_headers
from musubi import embedded_postgres, topics
from tests import kafka_server
from tests.common.hop import until
from tests.faults import counter, poison
from tests.faults.counter import SAID, NumberSaid

LIMIT = 1.2
KEYS = 200
SHARE = 0.01
PARKED = 100
HANDLER_ERROR = "the handler fails"
KINDS = (*poison.KINDS, HANDLER_ERROR)
PERIODS = ("healthy", "poison", "parked")


class Latency(NamedTuple):
    """Milliseconds of one period."""

    p50: float
    p99: float


class World:
    """Made by `World.running()`."""

    def __init__(
        self, healthy: AIOKafkaProducer, bad: AIOKafkaProducer, looking: asyncpg.Connection, kinds: Sequence[str]
    ) -> None:
        self._healthy = healthy
        self._bad = bad  # a producer of its own: nobody's events stand in line behind these before they are in Kafka
        self._looking = looking
        self._chance = random.Random(1)
        self._kinds = itertools.cycle(kinds)
        self._numbers = itertools.count(1)
        self._sequences: Counter[str] = Counter()
        self._seen: dict[int, float] = {}

    @classmethod
    @asynccontextmanager
    async def running(cls, kafka: str, postgres: str, log: Path, kinds: Sequence[str]) -> AsyncIterator["World"]:
        """With the service ready, and an ear for what it commits."""
        topics.apply(kafka, [*counter.TOPICS.values(), *CONTROL_TOPICS.values()])
        service = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.poison_service", postgres, kafka, str(log), stdout=asyncio.subprocess.PIPE
        )
        healthy, bad = (AIOKafkaProducer(bootstrap_servers=kafka, acks="all", max_request_size=2**21) for _ in range(2))
        try:
            assert service.stdout
            async with asyncio.timeout(60):
                await service.stdout.readline()
            await healthy.start()
            await bad.start()
            looking = await asyncpg.connect(postgres, server_settings={"search_path": SCHEMA})
            world = cls(healthy, bad, looking, kinds)
            await looking.add_listener(CHANNEL, world._hear)
            yield world
            await looking.close()
        finally:
            await healthy.stop()
            await bad.stop()
            if service.returncode is None:
                service.kill()
            await service.wait()

    def _hear(self, *said: Any) -> None:
        now = time.time()
        for number in json.loads(said[-1]):
            self._seen[number] = now

    async def period(self, what: str, rate: float, seconds: float) -> Latency:
        """Healthy events at this rate for so long, with what belongs to the period beside them."""
        if what == "parked":
            await self._park()
        amount = int(rate * seconds)
        every = 1 / rate
        first = next(self._numbers)
        items: list[int] = list(range(first, first + amount))
        moments = [place * every for place in range(amount)]
        if what == "poison":  # a record that is bad has no number
            bad = range(0, amount, round(1 / SHARE))
            items += [-1 - place for place in bad]
            moments += [(place + 0.5) * every for place in bad]
        self._numbers = itertools.count(first + amount)
        order = sorted(range(len(items)), key=moments.__getitem__)
        sent = await drive([items[place] for place in order], [moments[place] for place in order], self._send)
        assert not sent.failed, next(iter(sent.failed.values()))
        meant = {number: moment for number, moment in sent.meant.items() if number > 0}
        await until(lambda: meant.keys() <= self._seen.keys())
        times = [1000 * (self._seen.pop(number) - moment) for number, moment in meant.items()]
        if what == "parked":
            assert await self._waiting() == PARKED
        await self._clear()
        return Latency(percentile(times, 0.5), percentile(times, 0.99))

    async def _send(self, number: int) -> None:
        if number < 0:
            await self._send_bad(next(self._kinds))
            return
        key = f"key-{number % KEYS}"
        self._sequences[key] += 1
        id_ = str(uuid.uuid4())
        body = dump(NumberSaid(key=key, number=number))
        now = rfc3339(datetime.now(UTC))
        event = Event(SAID, key, self._sequences[key], id_, NumberSaid.type, "/services/bench", now, body, b"", id_)
        await self._healthy.send_and_wait(SAID, body, key=key.encode(), headers=to_headers(event))

    async def _send_bad(self, kind: str) -> None:
        record = poison.make(self._chance, "" if kind == HANDLER_ERROR else kind, SAID)
        if kind == HANDLER_ERROR:
            failing = NumberSaid(key=record.key, number=1, trouble=counter.POISON)
            record = poison.make(self._chance, "breaks its contract", SAID)._replace(
                raw_key=failing.key.encode(), value=dump(failing)
            )
        await self._bad.send_and_wait(SAID, record.value, key=record.raw_key, headers=record.headers)

    async def _park(self) -> None:
        """Half of them break their contract, the handler fails for the others."""
        for kind, _ in zip(itertools.cycle(["breaks its contract", HANDLER_ERROR]), range(PARKED), strict=False):
            await self._send_bad(kind)

        async def all_wait() -> bool:
            return await self._waiting() == PARKED

        await until(all_wait)

    async def _waiting(self) -> int:
        return await self._looking.fetchval("select count(*) from parked") or 0

    async def _clear(self) -> None:
        """So that the next period begins like the first."""
        await self._looking.execute("delete from parked")
        await asyncio.sleep(1)


def _rounds(rounds: int) -> Iterator[Sequence[str]]:
    """The periods of each round; each of them comes first in turn."""
    for number in range(rounds):
        begin = number % len(PERIODS)
        yield PERIODS[begin:] + PERIODS[:begin]


async def measure(given: argparse.Namespace, log: Path) -> dict[str, list[Latency]]:
    """The periods of all rounds."""
    found: dict[str, list[Latency]] = {what: [] for what in PERIODS}
    with kafka_server.running() as kafka, embedded_postgres.temporary() as postgres:
        async with World.running(kafka, postgres.dsn(), log, given.kinds) as world:
            await world.period("healthy", given.rate, 5)  # warm up
            for periods in _rounds(given.rounds):
                for what in periods:
                    found[what].append(latency := await world.period(what, given.rate, given.seconds))
                    print(f"  {what} {latency.p50:.1f}/{latency.p99:.1f}", end="", flush=True)
                print()
    return found


def summary(found: dict[str, list[Latency]]) -> dict[str, Any]:
    """Medians of the rounds; a ratio is the median of the rounds' own."""
    result: dict[str, Any] = {}
    for what, latencies in found.items():
        ratios = [one.p99 / plain.p99 for one, plain in zip(latencies, found["healthy"], strict=True)]
        result[what] = {
            "p50_ms": round(statistics.median(one.p50 for one in latencies), 2),
            "p99_ms": round(statistics.median(one.p99 for one in latencies), 2),
            "ratio_of_p99": round(statistics.median(ratios), 2),
            "ratios": [round(ratio, 2) for ratio in ratios],
        }
    return result


def main() -> int:
    """Print a table and JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--seconds", type=float, default=8)
    options.add_argument("--rate", type=float, default=200)
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=f"of {', '.join(KINDS)}")
    options.add_argument("--log", type=Path, help="keep the service's log here")
    given = options.parse_args()
    about = machine.facts()
    with tempfile.TemporaryDirectory(prefix="musubi-poison-") as temporary:
        found = asyncio.run(measure(given, given.log or Path(temporary) / "log"))
    result = summary(found)
    print(f"\n{given.rate:g} events a second over {KEYS} keys, {given.rounds} rounds of {given.seconds:g} s; medians\n")
    print(f"{'':10} {'p50 ms':>8} {'p99 ms':>8} {'ratio of p99':>13}   limit {LIMIT}")
    for what, row in result.items():
        print(f"{what:10} {row['p50_ms']:8.1f} {row['p99_ms']:8.1f} {row['ratio_of_p99']:13.2f}   (rounds: {row['ratios']})")
    about_run = {"rate": given.rate, "keys": KEYS, "share": SHARE, "parked": PARKED, "seconds": given.seconds}
    print(json.dumps({"benchmark": "poison", "machine": about, **about_run, "limit": LIMIT, "periods": result}))
    return int(any(row["ratio_of_p99"] > LIMIT for row in result.values()))


if __name__ == "__main__":
    raise SystemExit(main())
