"""A service with two consumer groups in one process: each has its handlers, progress and what waits; ready is when both are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from common.contracts.registry import CONTROL_TOPICS, Topic
from common.messaging.broker import Broker as Address
from common.messaging.control import Control, Progress, Resend
from common.messaging.message import Partition
from common.telemetry import Telemetry
from tests.brokers import Broker, FreshTopics
from tests.common.hop import Seen, looking_at, until
from tests.common.shared_work import ASKS, BIDS, NOTES, TOPICS, Ask, Bid, Member, NoteMade, partition


class Heard:
    """What a relay hears."""

    def __init__(self) -> None:
        self.next: dict[str, dict[Partition, int]] = {}

    def heard(self, progress: Progress) -> None:
        self.next.setdefault(progress.group, {}).update(progress.next)

    def asked(self, resend: Resend) -> None:
        """Nothing is asked here."""


@pytest.fixture
def broker(any_kafka: Broker, fresh_topics: FreshTopics) -> Broker:
    fresh_topics(any_kafka, [*TOPICS.values()])
    return any_kafka


@asynccontextmanager
async def running(postgres: str, broker: Broker, name: str) -> AsyncIterator[tuple[Member, Seen]]:
    """The service with both groups, ready."""
    member = Member(postgres, broker, name).takes(NoteMade).takes_groups()
    async with member.service.lifespan():
        await until(lambda: all(member.service.readiness().values()))
        async with looking_at(postgres, name) as seen:
            yield member, seen


def group_name(broker: Broker) -> str:
    return f"trial{id(broker)}"


async def test_each_group_has_its_handlers_its_cursors_and_its_progress(postgres: str, broker: Broker) -> None:
    heard = Heard()
    address = Address(broker.address, broker.incarnation)
    control = Control(address, "source", heard, Telemetry("source", log_level="CRITICAL"))
    listening = asyncio.create_task(control.run())
    async with running(postgres, broker, group_name(broker)) as (member, seen):
        await member.emit(Ask(key="pumps/1"), Bid(key="pumps/2"), NoteMade(key="n"))
        await until(lambda: len(member.worked) == 3)
        rows = await seen.connection.fetch("select grp, topic, key, last from inbox_cursor order by topic")
        assert [tuple(row) for row in rows] == [
            (member.group, ASKS, "pumps/1", 1), (member.group, BIDS, "pumps/2", 1), (member.name, NOTES, "n", 1),
        ]  # fmt: skip
        there = {member.group: partition("pumps/1"), member.name: None}
        await until(lambda: there.keys() <= heard.next.keys() and heard.next[member.group].get(partition("pumps/1")) == 1)
        assert {part.topic for part in heard.next[member.group]} == {ASKS, BIDS}
        assert {part.topic for part in heard.next[member.name]} == {NOTES}
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_what_a_group_parks_is_its_own_and_its_own_unparker_goes_on_with_it(postgres: str, broker: Broker) -> None:
    async with running(postgres, broker, group_name(broker)) as (member, seen):
        await member.emit(Ask(key="solar/1", said="poison"), NoteMade(key="n", said="poison"))

        async def both_wait() -> bool:
            return {row["grp"] for row in await seen.parked()} == {member.name, member.group}

        await until(both_wait)
        await seen.cure("poison")
        await until(lambda: member.worked == {ASKS: ["solar/1"], NOTES: ["n"]})


async def test_the_service_is_ready_only_when_both_groups_have_their_partitions(
    postgres: str, kafka: Broker, fresh_topics: FreshTopics
) -> None:
    fresh_topics(kafka, [TOPICS[NOTES], TOPICS[ASKS]])
    member = Member(postgres, kafka, "trial").takes(NoteMade).takes_groups()
    async with member.service.lifespan():
        await until(lambda: member.service._subscriptions["trial"].assigned)
        await asyncio.sleep(1)
        assert not member.service.readiness()["consumer"]
        assert not member.numbers(), "asks are not read before the bids are there"
        fresh_topics(kafka, [TOPICS[BIDS]])
        await until(lambda: all(member.service.readiness().values()))
        await until(lambda: len(member.numbers()) == 12)


async def test_nothing_is_handled_before_the_process_is_ready_for_what_it_owns(postgres: str, broker: Broker) -> None:
    gate = asyncio.Event()
    owned: list[bool] = []

    async def get_ready() -> None:
        owned.append(member.service.owns(member.group, "pumps"))
        await gate.wait()

    member = Member(postgres, broker, group_name(broker))
    member.takes(Ask, Bid, group=member.group, together=True, owners_retry=True, ready=get_ready)
    async with member.service.lifespan():
        await member.emit(Ask(key="pumps/1"), Bid(key="pumps/2"))
        await until(lambda: len(owned) >= 2)  # after the assignment, and before the batch
        assert all(owned) and not member.worked and not member.service.readiness()["consumer"]
        gate.set()
        await until(lambda: len(member.worked) == 2 and all(member.service.readiness().values()))


def test_what_cannot_be_is_refused_when_the_service_is_made(postgres: str, kafka: Broker) -> None:
    member = Member(postgres, kafka, "trial").takes(Ask)
    for how, why in (
        ({}, "already"),
        ({"group": "another-groups"}, "no group of trial"),
        ({"group": "trial-more"}, "another group of trial reads trial.asks"),
    ):
        with pytest.raises(ValueError, match=why):
            member.takes(Ask, **how)
    with pytest.raises(ValueError, match="equally many"):
        member.takes(Bid, NoteMade, group="trial-more", together=True)
    with pytest.raises(ValueError, match="placed by the first part"):
        member.takes(NoteMade, group="trial-more", owners_retry=True)


def test_a_topics_readers_belong_to_the_service_before_the_hyphen() -> None:
    topic = Topic("t", "facts", "needs", ("matching-groups", "notify"))
    assert [service for service in ("needs", "matching", "notify") if topic.is_read_by(service)] == ["matching", "notify"]
    assert not any(topic.is_read_by("matching") for topic in CONTROL_TOPICS.values())
