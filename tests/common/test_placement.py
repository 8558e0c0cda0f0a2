"""Where an event lies: keys of a group share a partition and so their order, and few groups are spread evenly."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from common.contracts.registry import Topic
from common.messaging.broker import Broker as Address
from common.messaging.message import Event, Partition
from common.messaging.placement import partition_of, placed
from common.messaging.publisher import Publisher
from common.messaging.sender import Sender
from common.messaging.window import Window, size_of
from common.telemetry import Telemetry
from tests.brokers import Broker, FreshTopics
from tests.common.records import an_event

GROUPS = ("lighting", "cooling", "pumps", "motors", "boilers", "solar", "storage", "insulation", "controls", "recovery")
WORK = Topic("trial.work", "facts", "trial", ("trial-groups",), 6, "first-part", GROUPS)
TOPICS = {WORK.name: WORK}


def test_all_keys_of_a_group_go_to_the_same_partition() -> None:
    keys = [f"{group}/{number:04x}" for group in (*GROUPS, "somebody-new", "") for number in range(50)]
    assert len({(key.partition("/")[0], placed(WORK, key, 6)) for key in keys}) == len(GROUPS) + 2


@pytest.mark.parametrize("partitions", [1, 4, 5, 6, 10, 12])
def test_listed_groups_are_spread_as_evenly_as_they_can_be(partitions: int) -> None:
    load = Counter(placed(WORK, f"{group}/a", partitions) for group in GROUPS)
    assert max(load.values()) == -(-len(GROUPS) // partitions)
    assert len(load) == min(partitions, len(GROUPS))


def test_a_group_that_no_list_names_goes_where_its_name_says_and_a_key_without_a_slash_is_a_group() -> None:
    assert placed(WORK, "wind/1/2", 6) == placed(WORK, "wind", 6) == partition_of("wind", 6)


def test_a_list_that_grows_moves_no_other_group() -> None:
    longer = WORK._replace(first_parts=(*GROUPS, "wind"))
    assert [placed(longer, group, 6) for group in GROUPS] == [placed(WORK, group, 6) for group in GROUPS]


def test_any_other_topic_is_placed_by_the_whole_key_as_java_does() -> None:
    for topic in (None, WORK._replace(placed_by="key")):
        assert placed(topic, "lighting/1", 6) == partition_of("lighting/1", 6)


@pytest.fixture
def broker(any_kafka: Broker, fresh_topics: FreshTopics) -> Broker:
    fresh_topics(any_kafka, [WORK])
    return any_kafka


@pytest.fixture
async def publisher(broker: Broker) -> AsyncIterator[Publisher]:
    publisher = Publisher(broker.address, topics=TOPICS)
    yield publisher
    await publisher.close()


def events() -> list[Event]:
    return [an_event(topic=WORK.name, key=f"{group}/{key}") for key in range(5) for group in GROUPS]


async def test_events_lie_where_their_group_belongs_in_the_order_of_sending(broker: Broker, publisher: Publisher) -> None:
    sent = events()
    places = await publisher.places(sent)
    written = await publisher.publish(sent)
    assert {part: written[part][-1].next for part in written} == Counter(places)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        for number in range(6):
            part = TopicPartition(WORK.name, number)
            consumer.assign([part])
            expected = [event.key for place, event in zip(places, sent, strict=True) if place.number == number]
            assert [(await consumer.getone(part)).key for _ in expected] == [key.encode() for key in expected]
            assert {GROUPS.index(key.partition("/")[0]) % 6 for key in expected} == {number}
    finally:
        await consumer.stop()


async def test_the_window_and_what_is_sent_again_go_by_the_same_place(broker: Broker) -> None:
    [event] = [event for event in events() if event.key == "pumps/0"]
    window = Window({WORK.name: WORK.readers}, limit=size_of(event))
    sender = Sender(Address(broker.address, broker.incarnation), Telemetry("trial", log_level="ERROR"), window, topics=TOPICS)
    here = Partition(WORK.name, GROUPS.index("pumps"))
    try:
        amount, places = await sender.send([event, event])
        assert (amount, list(places)) == (1, [here])
        assert window.unread(here) == size_of(event)
        window.heard("trial-groups", {here: 1})
        assert await sender.count([event]) == {here: 1}
        assert list(await sender.send_again([event], {here: 1})) == [here]
    finally:
        await sender.close()
