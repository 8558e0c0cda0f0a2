"""Processes of matching come and go on a real Kafka: they share the technology groups, and no list is lost or told twice."""

import asyncio
import random
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from bench.matching.on_kafka import Stream, shares
from bench.workload import World
from common.contracts.matching import NeedRouted, OfferingRouted, ShortlistChanged
from common.contracts.registry import TOPICS
from common.exact_json import load
from matching.domain.circumstances import Rate
from matching.domain.sides import Offering
from tests.brokers import Broker
from tests.chain import rows, settings_for
from tests.chain_process import ServiceProcess, services_in_a_process
from tests.eventually import eventually
from tests.matching.test_exactness import something
from tests.oracle import newest, shortlist_of

PARTS = set(range(TOPICS[NeedRouted.topic].partitions))


@pytest.mark.kafka
async def test_groups_move_as_processes_come_and_go_and_no_list_is_lost_or_told_twice(postgres: str, real_kafka: Broker) -> None:
    settings = settings_for(postgres, real_kafka, "http://127.0.0.1:8600", session_timeout=6)
    world, chance = World(seed=8, technologies=40, countries=2), random.Random(8)
    async with AsyncExitStack() as stack, Stream.to(real_kafka.address) as stream:

        async def more(amount: int) -> list[ServiceProcess]:
            start = (stack.enter_async_context(services_in_a_process(settings, "matching")) for _ in range(amount))
            return [await one for one in start]

        async def shared_by(amount: int) -> None:
            found = await eventually(
                lambda: shares(real_kafka.address),
                lambda found: len(found) == amount and all(found),
                within=60, what=f"{amount} processes to share the groups",
            )  # fmt: skip
            assert all(mine[NeedRouted.topic] == mine[OfferingRouted.topic] for mine in found)
            assert sorted(number for mine in found for number in mine[NeedRouted.topic]) == sorted(PARTS)

        async def go_on() -> None:
            for _ in range(25):
                await stream.send(something(world, chance) for _ in range(8))
                await asyncio.sleep(0.05)

        (first,) = await more(1)
        await stream.send(world.rates())
        await stream.send([*(world.offering() for _ in range(120)), *(world.need() for _ in range(40))])
        for amount in (1, 2):
            await asyncio.gather(go_on(), more(amount))
            await shared_by(2 * amount)
        going_on = asyncio.create_task(go_on())
        await first.kill()
        await going_on
        await stream.until_matched(postgres)
        await shared_by(3)

    lists = {one.need.id: one for one in await newest(postgres, "matching", ShortlistChanged)}
    offerings = [Offering.of(fact) for fact in world.offerings.values()]
    rates = {one.currency: Rate(one.currency, one.per_usd, one.as_of, one.source) for one in world.rates()}
    for need in world.needs.values():
        listed = lists[need.id]
        found = [(one.offering_id, one.score, tuple(facet.earned for facet in one.facets)) for one in listed.matches]
        assert found == shortlist_of(need, offerings, rates, listed.as_of)
    assert sum(len(one.matches) for one in lists.values()) > 100

    sql = "select body from outbox where type = $1 order by key, sequence"
    told = [load(ShortlistChanged, row["body"]) for row in await rows(postgres, "matching", sql, ShortlistChanged.type)]
    for before, after in pairwise(told):
        assert (before.need, before.matches) != (after.need, after.matches)
