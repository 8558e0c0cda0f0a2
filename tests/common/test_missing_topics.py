"""A real Kafka without a topic that we write or read, as after an upgrade: it is said which one, nothing is lost or overtaken,
and all goes on once it is there.
"""

import io
import json
import time
from collections.abc import Iterable

import httpx
import pytest
from confluent_kafka.admin import AdminClient
from prometheus_client import generate_latest

from common.contracts.registry import CONTROL_TOPICS, TOPICS
from common.messaging import outbox
from common.messaging.broker import Broker as KafkaAddress
from common.service import Service
from common.telemetry import Telemetry
from common.web.application import application
from musubi import topics
from tests.brokers import Broker
from tests.common.hop import HANDLERS, MIGRATIONS, NOTIFICATIONS, RATES, Source, looking_at, notification, rate, settings, until

pytestmark = pytest.mark.kafka
ALL = (*TOPICS, *CONTROL_TOPICS)


def take_away(kafka: Broker, *names: str) -> None:
    """Delete topics, until the broker has heard of it itself."""
    admin = AdminClient({"bootstrap.servers": kafka.address, "log_level": 0})
    for gone in admin.delete_topics(list(names), operation_timeout=15).values():
        gone.result()
    deadline = time.monotonic() + 15
    while admin.list_topics(timeout=5).topics.keys() & set(names):
        assert time.monotonic() < deadline, "the broker still lists them"
        time.sleep(0.05)


def lines(log: io.StringIO, *words: str) -> list[dict[str, object]]:
    """What was logged that begins with one of these words."""
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["message"].startswith(words)]


def a_service(postgres: str, kafka: Broker, name: str, log: io.StringIO) -> Service:
    """A hop that is not started."""
    service = Service(name, settings(postgres, kafka), migrations=MIGRATIONS, telemetry=Telemetry(name, log_to=log))
    service.on_events(HANDLERS)
    return service


async def asked(kafka: Broker, names: Iterable[str]) -> frozenset[str]:
    return await KafkaAddress(kafka.address).missing(list(names))


async def test_the_broker_is_asked_which_topics_it_has_not_and_asking_makes_none(real_kafka: Broker) -> None:
    take_away(real_kafka, "dead-letters")
    assert await asked(real_kafka, ALL) == await asked(real_kafka, ALL) == {"dead-letters"}
    assert await asked(real_kafka, []) == frozenset()


async def test_the_embedded_broker_is_asked_in_the_same_way(kafka: Broker) -> None:
    assert await asked(kafka, [*ALL, "of-nobody"]) == await asked(kafka, [*ALL, "of-nobody"]) == {"of-nobody"}


async def test_what_was_stored_before_goes_out_the_rest_waits_in_order_and_the_topic_is_named(
    postgres: str, real_kafka: Broker
) -> None:
    take_away(real_kafka, NOTIFICATIONS)
    log = io.StringIO()
    told = Telemetry("source", log_to=log)
    async with Source(postgres, real_kafka, telemetry=told).running() as source:
        hop = a_service(postgres, real_kafka, "waits", io.StringIO())
        async with hop.lifespan(), looking_at(postgres, "waits") as seen:
            await until(lambda: hop.readiness()["consumer"])
            await source.emit(rate("JPY"), notification("a"), rate("VND"))
            await source.emit(rate("THB"))

            async def the_first_arrived() -> bool:
                return await seen.effects() == [("JPY", 1)]

            await until(the_first_arrived)
            await until(lambda: "musubi_relay_waits_for_topic" in exposed(told))
            assert f'musubi_relay_waits_for_topic{{topic="{NOTIFICATIONS}"}} 1.0' in exposed(told)
            async with source.database.reading() as tx:
                assert await outbox.unsent(tx.connection, 9) == [1, 2]
            topics.apply(real_kafka.address)

            async def all_arrived() -> bool:
                return len(await seen.effects()) == 3 and ("a", 1) in await seen.effects(NOTIFICATIONS)

            await until(all_arrived, seconds=40)
            assert f'musubi_relay_waits_for_topic{{topic="{NOTIFICATIONS}"}}' not in exposed(told)
    assert [line["topic"] for line in lines(log, "sending waits")] == [NOTIFICATIONS]
    assert not lines(log, "relay starts again", "everything is sent")


async def test_a_service_names_what_is_missing_is_not_ready_works_on_and_reads_a_topic_once_it_is_there(
    postgres: str, real_kafka: Broker
) -> None:
    missing = ["dead-letters", RATES, *CONTROL_TOPICS]
    take_away(real_kafka, *missing)
    log = io.StringIO()
    service = a_service(postgres, real_kafka, "lacks", log)
    app = application(service)
    async with Source(postgres, real_kafka).running() as source, service.lifespan(), looking_at(postgres, "lacks") as seen:
        await until(lambda: service.readiness()["broker"] and service.readiness()["consumer"])
        await source.emit(notification("a"))

        async def took_effect() -> bool:
            return await seen.effects(NOTIFICATIONS) == [("a", 1)]

        await until(took_effect)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as caller:
            answer = await caller.get("/api/lacks/readyz")
        assert answer.status_code == 503
        said = f"{', '.join(sorted(missing))} (`musubi topics apply` creates them)"
        assert answer.json() | {"topics": False, "missing_topics": said} == answer.json()
        assert f'musubi_topic_missing{{topic="{RATES}"}} 1.0' in exposed(service.telemetry)
        topics.apply(real_kafka.address)
        await source.emit(rate("JPY"))

        async def read_on() -> bool:
            return await seen.effects() == [("JPY", 1)]

        await until(read_on, seconds=40)
        await until(lambda: all(service.readiness().values()))
        assert "missing_topics" not in service.readiness()
    (line,) = lines(log, "topics are missing")
    assert line["topics"] == sorted(missing)
    assert len(lines(log, "all topics are there")) == 1


def exposed(told: Telemetry) -> str:
    """All numbers, as Prometheus reads them."""
    return generate_latest(told.registry).decode()
