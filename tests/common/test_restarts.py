"""Processes that are stopped or killed, and brokers that forget: nothing is lost, nothing takes effect twice."""

import asyncio
import signal
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest

from musubi.embedded_kafka import EmbeddedBroker
from tests.brokers import Broker, make_fresh_topics
from tests.common.hop import NOTIFICATIONS, RATES, Seen, Source, looking_at, rate, running_hop, until

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
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.common.hop_process", postgres, real_kafka.address, name,
            cwd=Path(__file__).parent.parent.parent,
        )  # fmt: skip
        try:
            announced = 0
            async with looking_at(postgres, name) as seen:

                async def migrated() -> bool:
                    return bool(await seen.connection.fetchval("select to_regclass('effect') is not null"))

                await until(migrated)
                for _ in range(60):
                    announced += 1
                    await source.emit(*map(rate, CURRENCIES))
                await some_effects(seen, 30)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        for _ in range(20):
            announced += 1
            await source.emit(*map(rate, CURRENCIES))
        async with running_hop(postgres, real_kafka, name), looking_at(postgres, name) as seen:
            await everything_took_effect_once(seen, announced)


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
