"""Words between services: they arrive where they can, and cost nobody anything where they cannot."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from common.contracts.registry import PROGRESS, RESEND
from common.messaging.broker import Broker as KafkaAddress
from common.messaging.control import SAY_SECONDS, Control, Progress, Resend
from common.messaging.message import Partition
from common.telemetry import Telemetry
from musubi.embedded_kafka import EmbeddedBroker
from musubi.topics import ALL_TOPICS
from tests.brokers import Broker
from tests.common.hop import NOTIFICATIONS, Source, looking_at, notification, running_hop, until

MINE = Resend("catalog.offerings", "an offering", 3, 5)
OF_ANOTHER = Resend("needs.needs", "a need", 1, 1)
READ = Progress("matching", "a life", {Partition("catalog.offerings", 0): 12, Partition("needs.needs", 3): 4})


class Ears:
    """Notes what is heard."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.calls: list[Resend] = []

    def heard(self, progress: Progress) -> None:
        """A group said how far it is."""
        self.progress.append(progress)

    def asked(self, resend: Resend) -> None:
        """Somebody misses something."""
        self.calls.append(resend)


def control(address: str, ears: Ears, service: str = "catalog") -> Control:
    """Of one service."""
    return Control(KafkaAddress(address), service, ears, Telemetry(service))


@asynccontextmanager
async def hearing(one: Control) -> AsyncIterator[Control]:
    """With its listening task."""
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_one_service_says_the_other_hears_and_only_the_producer_is_asked(any_kafka: Broker) -> None:
    ears, other = Ears(), Ears()
    speaker = control(any_kafka.address, other, "matching")
    async with hearing(control(any_kafka.address, ears)), hearing(speaker):
        await speaker.report(READ)
        await speaker.ask(OF_ANOTHER)
        await speaker.ask(MINE)
        await until(lambda: ears.progress and ears.calls)
        await until(lambda: other.progress)
    assert ears.progress == [READ]
    assert ears.calls == [MINE]
    assert other.calls == []


async def test_what_was_said_before_is_heard_by_who_comes_late(any_kafka: Broker) -> None:
    ears = Ears()
    speaker = control(any_kafka.address, Ears(), "matching")
    await speaker.report(READ)
    await speaker.ask(MINE)
    async with hearing(speaker), hearing(control(any_kafka.address, ears)):
        await until(lambda: ears.progress == [READ] and ears.calls == [MINE])


async def test_while_the_broker_is_away_nobody_is_held_up_and_later_all_goes_on() -> None:
    ears = Ears()
    nobody = control("127.0.0.1:1", ears)
    async with hearing(nobody):
        begun = time.monotonic()
        for _ in range(20):
            await nobody.report(READ)
            await nobody.ask(MINE)
        assert time.monotonic() - begun < 2 * SAY_SECONDS


async def test_where_the_topics_are_missing_nothing_is_heard_and_nothing_fails() -> None:
    broker = EmbeddedBroker()
    try:
        told = control(broker.address, Ears())
        async with hearing(told):
            begun = time.monotonic()
            await told.report(READ)
            assert time.monotonic() - begun < SAY_SECONDS + 3
    finally:
        broker.stop()


async def test_nonsense_on_the_control_topics_is_passed_over_and_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    broker = EmbeddedBroker.with_topics((topic.name, topic.partitions) for topic in ALL_TOPICS)
    ears = Ears()
    try:
        producer = AIOKafkaProducer(bootstrap_servers=broker.address)
        await producer.start()
        progress = b'{"group": "%s", "incarnation": "a life", "next": {"catalog.offerings": {"%s": %s}}}'
        call = b'{"topic": "catalog.offerings", "key": "%s", "first": %s, "last": 9}'
        refused_by_postgresql = [
            progress % (b"a\\u0000b", b"0", b"1"),
            progress % (b"g" * 5000, b"0", b"1"),
            progress % (b"g", b"99999999999", b"1"),
            progress % (b"g", b"0", b"9223372036854775808"),
            progress % (b"g", b"0", b"-1"),
            call % (b"a\\u0000b", b"1"),
            call % (b"k", b"9223372036854775808"),
        ]
        no_words = (b"", b"\xff", b"[]", b"{}", b'{"group": 1, "incarnation": 2, "next": 3}', None)
        for word in (*no_words, *refused_by_postgresql):
            for topic in (PROGRESS, RESEND):
                await producer.send_and_wait(topic, word, key=b"k", partition=0)
        await producer.stop()
        async with hearing(control(broker.address, ears)) as told:
            await told.report(READ)
            await told.ask(MINE)
            await until(lambda: ears.progress == [READ] and ears.calls == [MINE])
        assert capfd.readouterr().err.count("no control word") == 1
    finally:
        broker.stop()


async def test_an_event_that_never_reached_the_broker_is_fetched_and_its_key_goes_on(postgres: str, any_kafka: Broker) -> None:
    async with Source(postgres, any_kafka).silent() as source, source.database.connection() as connection:
        for _ in range(4):
            await source.emit(notification("n"))
        await connection.execute("delete from unsent where batch in (select batch from outbox where sequence in (2, 3))")
    name = f"hop_{uuid.uuid4().hex[:8]}"
    async with (
        Source(postgres, any_kafka).running(),
        running_hop(postgres, any_kafka, name),
        looking_at(postgres, name) as seen,
    ):

        async def all_there() -> bool:
            return len(await seen.effects(NOTIFICATIONS)) >= 4

        await until(all_there)
        assert await seen.effects(NOTIFICATIONS) == [("n", 1), ("n", 2), ("n", 3), ("n", 4)]
        assert await seen.parked() == []
