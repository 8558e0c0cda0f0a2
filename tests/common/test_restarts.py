"""Processes that are stopped or killed, and brokers that forget: nothing is lost, nothing takes effect twice."""

import asyncio
import os
import socket
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.service import STOP_SECONDS
from common.watchdog import EXIT_CODE
from musubi.embedded_kafka import EmbeddedBroker
from tests.brokers import Broker, make_fresh_topics
from tests.common.hop import NOTIFICATIONS, RATES, Seen, Source, looking_at, rate, running_hop, until
from tests.faults.supervisor import Watched

CURRENCIES = ("JPY", "VND", "EUR")


@pytest.fixture
def name() -> str:
    """A service name of its own for each test: it is schema and consumer group."""
    return f"hop_{uuid.uuid4().hex[:8]}"


async def everything_took_effect_once(seen: Seen, announced: int) -> None:
    """Wait until all of `announced` rates of each currency, and what followed from them, took effect; then look closely."""

    async def all_there() -> bool:
        return len(await seen.effects(NOTIFICATIONS)) >= announced * len(CURRENCIES)

    await until(all_there, seconds=40)
    effects = await seen.effects(RATES)
    for currency in CURRENCIES:
        assert [sequence for key, sequence in effects if key == currency] == list(range(1, announced + 1))
    notified = Counter(await seen.effects(NOTIFICATIONS))
    assert notified == Counter({(f"{c}-{n}", 1): 1 for c in CURRENCIES for n in range(1, announced + 1)})
    assert not await seen.parked()


async def some_effects(seen: Seen, amount: int) -> None:
    """Wait until so many rates took effect, so that the rest is on its way."""

    async def there() -> bool:
        return len(await seen.effects(RATES)) >= amount

    await until(there)


@pytest.mark.kafka
async def test_stopped_in_the_middle_and_started_again_it_loses_and_doubles_nothing(
    postgres: str, real_kafka: Broker, name: str
) -> None:
    announced = 0
    async with Source(postgres, real_kafka).running() as source:
        for _ in range(3):
            async with running_hop(postgres, real_kafka, name), looking_at(postgres, name) as seen:
                for _ in range(10):
                    announced += 1
                    await source.emit(*map(rate, CURRENCIES))
                await some_effects(seen, (announced - 5) * len(CURRENCIES))
        async with running_hop(postgres, real_kafka, name), looking_at(postgres, name) as seen:
            await everything_took_effect_once(seen, announced)


@pytest.mark.kafka
async def test_killed_in_the_middle_and_started_again_it_loses_and_doubles_nothing(
    postgres: str, real_kafka: Broker, name: str
) -> None:
    async with Source(postgres, real_kafka).running() as source:
        announced = 0
        async with looking_at(postgres, name) as seen, hop_process(postgres, real_kafka, name, seen):
            for _ in range(60):
                announced += 1
                await source.emit(*map(rate, CURRENCIES))
            await some_effects(seen, 30)
        for _ in range(20):
            announced += 1
            await source.emit(*map(rate, CURRENCIES))
        async with running_hop(postgres, real_kafka, name), looking_at(postgres, name) as seen:
            await everything_took_effect_once(seen, announced)


@asynccontextmanager
async def hop_process(
    postgres: str, broker: Broker, name: str, seen: Seen, *, port: int = 0
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The hop in a process that serves at this port, with its tables; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *a_hop(name), f"--port={port}", env=surroundings(postgres, broker), cwd=Path(__file__).parents[2]
    )

    async def migrated() -> bool:
        return bool(await seen.connection.fetchval("select to_regclass('effect') is not null"))

    try:
        await until(migrated)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def a_hop(name: str) -> list[str]:
    return [sys.executable, "-m", "tests.common.hop_process", name]


def surroundings(postgres: str, broker: Broker) -> dict[str, str]:
    """The environment of such a process."""
    said = {
        "POSTGRES": postgres, "KAFKA": broker.address, "INCARNATION": broker.incarnation, "MIGRATE": "true",
        "LOG_LEVEL": "ERROR", "SESSION_TIMEOUT": "3",  # so long the next one waits where it could not say farewell
    }  # fmt: skip
    return os.environ | {f"MUSUBI_{name}": value for name, value in said.items()}


@asynccontextmanager
async def slow_batch(seen: Seen, source: Source) -> AsyncIterator[None]:
    """One more event is in the hands of a handler that cannot write as long as the block runs."""

    async def waits() -> bool:
        sql = "select from pg_locks where relation = 'effect'::regclass and not granted"
        return bool(await seen.connection.fetch(sql))

    async with seen.connection.transaction():
        await seen.connection.execute("lock table effect in exclusive mode")
        await source.emit(rate(CURRENCIES[0]))
        await until(waits)
        yield


async def told_to_stop(process: asyncio.subprocess.Process, port: int) -> None:
    """SIGTERM; returns when it takes no more requests."""
    process.terminate()

    def closed() -> bool:
        with socket.socket() as knocking:
            return knocking.connect_ex(("127.0.0.1", port)) != 0

    await until(closed)


@asynccontextmanager
async def at_work(
    postgres: str, broker: Broker, name: str, port: int
) -> AsyncIterator[tuple[Source, Seen, asyncio.subprocess.Process]]:
    """A process that has taken in one event of each key and listens on this port; its source, and what is seen of it."""
    async with (
        Source(postgres, broker).running() as source,
        looking_at(postgres, name) as seen,
        hop_process(postgres, broker, name, seen, port=port) as process,
    ):
        await source.emit(*map(rate, CURRENCIES))
        await everything_took_effect_once(seen, 1)
        yield source, seen, process


@pytest.mark.kafka
async def test_told_to_stop_in_the_middle_of_a_slow_batch_it_lets_it_end_and_sends_what_it_announced(
    postgres: str, real_kafka: Broker, name: str, free_port: int
) -> None:
    async with at_work(postgres, real_kafka, name, free_port) as (source, seen, process):
        async with slow_batch(seen, source):
            await told_to_stop(process, free_port)
            until_then = time.monotonic() + 1
            await until(lambda: time.monotonic() > until_then)
            assert process.returncode is None, "it waits for its batch"
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
        assert len(await seen.effects()) == 4
        assert await seen.connection.fetchval("select count(*) from unsent") == 0
        await source.emit(*map(rate, CURRENCIES[1:]))
        async with running_hop(postgres, real_kafka, name):
            await everything_took_effect_once(seen, 2)


@pytest.mark.kafka
async def test_told_to_stop_in_a_batch_that_does_not_end_it_leaves_in_time_and_the_next_one_does_it_once(
    postgres: str, real_kafka: Broker, name: str, free_port: int
) -> None:
    async with at_work(postgres, real_kafka, name, free_port) as (source, seen, process):
        async with slow_batch(seen, source):
            await told_to_stop(process, free_port)
            await asyncio.wait_for(process.wait(), STOP_SECONDS + 1)
        await source.emit(*map(rate, CURRENCIES[1:]))
        assert len(await seen.effects()) == 3, "it was rolled back"
        async with running_hop(postgres, real_kafka, name):
            await everything_took_effect_once(seen, 2)


@pytest.mark.kafka
async def test_a_reader_that_stands_still_three_times_ends_its_process_and_the_next_one_goes_on(
    postgres: str, real_kafka: Broker, name: str, tmp_path: Path
) -> None:
    hop = Watched("hop", a_hop(name), surroundings(postgres, real_kafka), tmp_path / "output")
    hop.once = ["--stand-still"]
    async with Source(postgres, real_kafka).running() as source, looking_at(postgres, name) as seen:
        await source.emit(*map(rate, CURRENCIES))
        hop.start()
        try:
            await until(lambda: hop.starts == 2)
            assert hop.lives[0].code == EXIT_CODE
            await everything_took_effect_once(seen, 1)
        finally:
            await hop.stop()
    assert "the consumer stood still 3 times" in hop.output.read_text()


async def test_a_broker_that_forgot_everything_is_sent_everything_again_and_nothing_takes_effect_twice(
    postgres: str, any_kafka: Broker, name: str
) -> None:
    announced = 0
    for life in range(3):
        broker, made = _new_life(any_kafka, life)
        try:
            async with (
                Source(postgres, broker).running() as source,
                running_hop(postgres, broker, name) as hop,
                looking_at(postgres, name) as seen,
            ):
                for _ in range(10):
                    announced += 1
                    await source.emit(*map(rate, CURRENCIES))
                await some_effects(seen, (announced - 5) * len(CURRENCIES))
                if life == 2:
                    await everything_took_effect_once(seen, announced)
                    repeats = hop.telemetry.registry.get_sample_value(
                        "musubi_events_total", {"topic": RATES, "outcome": "repeat"}
                    )
                    assert repeats is not None
                    assert repeats >= 10 * len(CURRENCIES)
        finally:
            if made:
                made.stop()


def _new_life(broker: Broker, number: int) -> tuple[Broker, EmbeddedBroker | None]:
    """A broker with an empty log and a new incarnation; on a real one the topics are made anew."""
    if broker.kind == "embedded":
        made = EmbeddedBroker()
        fresh = Broker(made.address, made.incarnation, "embedded", made)
        make_fresh_topics(fresh)
        return fresh, made
    make_fresh_topics(broker)
    return Broker(broker.address, f"life {number}", "real"), None
