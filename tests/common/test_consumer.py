"""The promise on a broker: every event takes effect once, in order per key, whatever else arrives. Embedded and real alike."""

import uuid

import pytest

from tests.brokers import Broker
from tests.common.hop import NOTIFICATIONS, Source, looking_at, notification, rate, running_hop, until


@pytest.fixture
def name() -> str:
    """A service name of its own for each test: it is schema and consumer group."""
    return f"hop_{uuid.uuid4().hex[:8]}"


async def test_what_a_source_announces_takes_effect_once_and_in_order(postgres: str, any_kafka: Broker, name: str) -> None:
    async with Source(postgres, any_kafka).running() as source, running_hop(postgres, any_kafka, name):
        for number in range(20):
            await source.emit(*(rate(currency, per_usd=str(number + 1)) for currency in ("JPY", "VND", "EUR")))
        async with looking_at(postgres, name) as seen:
            await until(lambda: _count(seen, 60))
            effects = await seen.effects()
    for currency in ("JPY", "VND", "EUR"):
        assert [sequence for key, sequence in effects if key == currency] == list(range(1, 21))


async def _count(seen, amount):
    return len(await seen.effects()) >= amount
