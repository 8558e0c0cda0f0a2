"""No more is sent to a broker that drops its oldest records than it keeps until everybody has read it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from common.contracts.catalog import ExchangeRatePublished
from common.messaging.control import Progress, Resend
from common.messaging.message import Event, Partition, parse
from common.messaging.placement import partition_of
from common.messaging.window import LIMIT, SILENT_SECONDS, Window
from tests.brokers import Broker
from tests.common.hop import NOTIFICATIONS, RATES, Source, looking_at, notification, rate, running_hop, until
from tests.common.records import HandMade
from tests.common.test_consumer import write
from tests.common.test_relay import nothing_left, sent

TOPIC = "t"
ONE, TWO = Partition(TOPIC, 0), Partition(TOPIC, 1)
YEN = Partition(RATES, partition_of("JPY", 4))
MEGABYTE = 1_000_000


def a_window(*readers: str) -> Window:
    """Of one topic with these readers."""
    return Window({TOPIC: readers}, limit=100)


def test_what_is_sent_fills_a_partition_until_the_slowest_reader_has_read_it() -> None:
    window = a_window("a", "b")
    window.sent(ONE, 10, 60)
    window.sent(ONE, 20, 30)
    assert window.unread(ONE) == 90
    window.heard("a", {ONE: 20})
    assert window.unread(ONE) == 90
    window.heard("b", {ONE: 19})
    assert window.unread(ONE) == 30
    window.heard("b", {ONE: 20})
    assert window.unread(ONE) == 0


def test_as_many_pass_as_there_is_room_for_in_every_partition() -> None:
    window = a_window("a")
    window.sent(ONE, 1, 70)
    assert window.fits([(ONE, 20), (TWO, 90), (ONE, 10), (ONE, 1), (TWO, 5)]) == 3


def test_something_larger_than_the_window_passes_when_all_is_read_and_only_then() -> None:
    window = a_window("a")
    assert window.fits([(ONE, 500), (ONE, 1)]) == 1
    window.sent(ONE, 1, 500)
    assert window.fits([(ONE, 1)]) == 0
    window.heard("a", {ONE: 1})
    assert window.fits([(ONE, 1)]) == 1


def test_a_topic_that_nobody_reads_is_never_full() -> None:
    window = a_window()
    window.sent(ONE, 1, 500)
    assert window.fits([(ONE, 60), (ONE, 40)]) == 2


def test_a_group_that_was_heard_is_waited_for_though_no_registry_names_it() -> None:
    window = a_window("a")
    window.heard("somebody", {ONE: 0})
    window.sent(ONE, 1, 100)
    window.heard("a", {ONE: 1})
    assert window.fits([(ONE, 1)]) == 0
    window.heard("somebody", {ONE: 1})
    assert window.fits([(ONE, 1)]) == 1


def test_a_group_beside_the_registry_that_is_silent_is_waited_for_no_longer() -> None:
    window = a_window("a")
    window.heard("somebody", {ONE: 0}, now=100)
    window.sent(ONE, 1, 100)
    window.heard("a", {ONE: 1}, now=120)
    window.forget_silent(100 + SILENT_SECONDS)
    assert window.fits([(ONE, 1)]) == 0
    window.forget_silent(101 + SILENT_SECONDS)
    assert window.fits([(ONE, 1)]) == 1


def test_a_reader_of_the_registry_is_waited_for_however_long_it_is_silent() -> None:
    window = a_window("a")
    window.heard("a", {ONE: 0}, now=100)
    window.sent(ONE, 1, 100)
    window.forget_silent(1e9)
    assert window.fits([(ONE, 1)]) == 0


def large(size: int) -> ExchangeRatePublished:
    """A rate of so many bytes; all of them go to one partition."""
    return rate("JPY").model_copy(update={"source": "x" * size})


class Reader:
    """Reads all partitions and says how far it is."""

    def __init__(self, source: Source, broker: Broker, consumer: AIOKafkaConsumer) -> None:
        self._source = source
        self._broker = broker
        self._consumer = consumer
        self.read: list[Event] = []

    async def read_all(self, amount: int) -> None:
        """Read until so many events were seen, however long it takes, saying so after each fetch."""
        while len(self.read) < amount:
            got = await asyncio.wait_for(self._consumer.getmany(timeout_ms=500), 20)
            for records in got.values():
                self.read += [event for record in records if isinstance(event := parse(record), Event)]
            next_ = {Partition(*part): await self._consumer.position(part) for part in self._consumer.assignment()}
            self._source.relay.heard(Progress("matching", self._broker.incarnation, next_))

    async def end(self) -> int:
        """Where the partitions end, in all."""
        return sum((await self._consumer.end_offsets(self._consumer.assignment())).values())


@pytest.fixture
async def reader_of(kafka: Broker) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.address, auto_offset_reset="none")
    await consumer.start()
    consumer.assign([TopicPartition(RATES, number) for number in range(4)])
    await consumer.seek_to_beginning()
    yield consumer
    await consumer.stop()


async def test_a_reader_that_comes_late_to_much_more_than_the_broker_keeps_misses_nothing(
    postgres: str, kafka: Broker, reader_of: AIOKafkaConsumer
) -> None:
    amount, size = 130, 100_000  # 13 MB of one key, in one partition
    window = Window({RATES: ("matching",)})
    async with Source(postgres, kafka, window=window).running() as source:
        reader = Reader(source, kafka, reader_of)
        for _ in range(amount // 10):
            await source.emit(*[large(size)] * 10)
        await until(lambda: window.unread(YEN) > LIMIT - 2 * size)
        assert await reader.end() <= LIMIT / size
        await reader.read_all(amount)
        await nothing_left(source)
    assert [event.sequence for event in reader.read] == list(range(1, amount + 1))


async def test_one_transaction_larger_than_the_window_leaves_in_parts(
    postgres: str, kafka: Broker, reader_of: AIOKafkaConsumer
) -> None:
    async with Source(postgres, kafka, window=Window({RATES: ("matching",)})).running() as source:
        reader = Reader(source, kafka, reader_of)
        await source.emit(*[large(MEGABYTE // 2)] * 14)
        await source.emit(rate("JPY"))
        await reader.read_all(15)
        await nothing_left(source)
    assert [event.sequence for event in reader.read] == list(range(1, 16))


async def test_a_service_that_reads_in_its_own_time_is_waited_for_and_gets_everything(postgres: str, kafka: Broker) -> None:
    amount = 1300  # 13 MB in one partition; a service reads 2,000 records at once, so the relay is always ahead of it
    async with (
        Source(postgres, kafka, window=Window({RATES: ("slow",)})).running() as source,
        looking_at(postgres, "slow") as seen,
    ):
        for _ in range(amount // 100):
            await source.emit(*[rate("JPY", source="x" * 9_900)] * 100)
        async with running_hop(postgres, kafka, "slow"):

            async def all_there() -> bool:
                return len(await seen.effects()) >= amount

            await until(all_there, seconds=60)
        assert await seen.effects() == [("JPY", sequence) for sequence in range(1, amount + 1)]


async def test_what_the_broker_dropped_unread_all_the_same_comes_again_with_its_whole_topic(
    postgres: str, kafka: Broker, reader_of: AIOKafkaConsumer
) -> None:
    part = TopicPartition(*YEN)
    async with Source(postgres, kafka, window=Window({RATES: ("late",)})).running() as source:
        await source.emit(rate("JPY"))
        await nothing_left(source)
        junk = HandMade(RATES, b"junk", b"x" * 900_000, ())
        await write(kafka, [junk] * 7, partition=YEN.number)  # by somebody who looks at no window
        assert (await reader_of.beginning_offsets([part]))[part] > 0
        async with running_hop(postgres, kafka, "late"), looking_at(postgres, "late") as seen:
            await until(seen.effects)
            assert await seen.effects() == [("JPY", 1)]


async def test_what_is_asked_for_again_and_is_larger_than_the_window_leaves_in_parts_and_each_once(
    postgres: str, kafka: Broker
) -> None:
    async with Source(postgres, kafka, window=Window({})).running() as source:
        await source.emit(*[notification("n").model_copy(update={"rule": "x" * 300_000})] * 8)
        await nothing_left(source)
        source.relay.asked(Resend(NOTIFICATIONS, "n", 1, 8))

        async def all_again() -> bool:
            return Counter(event.sequence for event in await sent(kafka, NOTIFICATIONS))[8] == 2

        await until(all_again)
        await source.emit(notification("n"))
        await nothing_left(source)
    assert [event.sequence for event in await sent(kafka, NOTIFICATIONS)] == [*range(1, 9), *range(1, 9), 9]
