"""A need and an offering that reach two matching processes at the same moment find each other, whichever comes first."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle, islice

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient

from common import vocabulary
from common.contracts.catalog import OfferingListed
from common.contracts.matching import ShortlistChanged
from common.contracts.needs import NeedPosted
from common.contracts.values import Fact
from common.messaging.message import to_headers
from tests.brokers import Broker
from tests.chain import settings_for
from tests.chain_process import services_in_a_process
from tests.eventually import eventually
from tests.facts import event_of, need_posted, offering_listed
from tests.oracle import newest

PAIRS = 1000

Assignment = list[dict[str, list[int]]]
"""For each process that reads: the partitions that it has of each topic."""


@pytest.mark.kafka
async def test_a_need_and_an_offering_sent_together_to_two_matching_processes_always_meet(
    postgres: str, real_kafka: Broker
) -> None:
    settings = settings_for(postgres, real_kafka, "http://127.0.0.1:8600")
    async with (
        services_in_a_process(settings, "matching"),
        services_in_a_process(settings, "matching"),
        producing(real_kafka) as producer,
    ):
        one, other = await eventually(lambda: assignment(real_kafka), both_have_both, within=60, what="both to have partitions")
        routes = cycle(
            [
                *pairs(one[NeedPosted.topic], other[OfferingListed.topic]),
                *pairs(other[NeedPosted.topic], one[OfferingListed.topic]),
            ]
        )
        for n, (technology, country) in enumerate(islice(own_corners(), PAIRS)):
            need_partition, offering_partition = next(routes)
            both = [
                (need_posted(f"need-{n}", technology=technology, country=country), need_partition),
                (offering_listed(f"offering-{n}", technology=technology, country=country), offering_partition),
            ]
            await asyncio.gather(*(put(producer, *fact) for fact in (both if n % 2 else reversed(both))))

        async def shortlists() -> dict[str, list[str]]:
            announced = await newest(postgres, "matching", ShortlistChanged)
            return {shortlist.need.id: [match.offering_id for match in shortlist.matches] for shortlist in announced}

        expected = {f"need-{n}": [f"offering-{n}"] for n in range(PAIRS)}
        found = await eventually(shortlists, expected.__eq__, within=60, every=0.5, what="each need to have its offering")
    assert found == expected


def own_corners() -> Iterator[tuple[str, str]]:
    """(technology, country), each from another combination of group and country, so that nothing else can fit."""
    groups: dict[str, str] = {}
    for technology in vocabulary.technologies().values():
        if technology.unit:
            groups.setdefault(technology.group, technology.code)
    for country in sorted(vocabulary.countries()):
        for technology in groups.values():
            yield technology, country


async def assignment(broker: Broker) -> Assignment:
    """What each member of matching's group reads, as the broker has it."""

    def ask() -> Assignment:
        admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
        group = admin.describe_consumer_groups(["matching"], request_timeout=10)["matching"].result()
        found = []
        for member in group.members:
            mine: dict[str, list[int]] = {}
            for part in member.assignment.topic_partitions:
                mine.setdefault(part.topic, []).append(part.partition)
            found.append(mine)
        return found

    return await asyncio.to_thread(ask)


def both_have_both(found: Assignment) -> bool:
    return len(found) == 2 and all(NeedPosted.topic in mine and OfferingListed.topic in mine for mine in found)


def pairs(needs: list[int], offerings: list[int]) -> list[tuple[int, int]]:
    return [(need, offering) for need in needs for offering in offerings]


@asynccontextmanager
async def producing(broker: Broker) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def put(producer: AIOKafkaProducer, fact: Fact, partition: int) -> None:
    """Send a fact to exactly this partition."""
    event = event_of(fact)
    await producer.send_and_wait(event.topic, event.body, key=event.key.encode(), headers=to_headers(event), partition=partition)
