"""Needs and offerings are handed on to technology groups, each of which goes on at its own pace."""

import random
from collections import defaultdict, deque
from typing import Any

import pytest

from bench.workload import World
from common.contracts.matching import NeedRouted, OfferingRouted
from common.contracts.registry import TOPICS
from common.contracts.values import Fact
from common.messaging.consumer import Arrived
from common.messaging.placement import placed
from tests.facts import event_of
from tests.matching.pairs import NEED_ID, OFFERING_ID, need_fact, offering_fact
from tests.matching.running import Matching, handed_on, routed, work_in_groups
from tests.matching.test_exactness import something

PUMP = need_fact(technology="water.pumps", unit="unit", requirements=[])


async def by_group(matching: Matching, fact: Fact) -> dict[str, Arrived[Any]]:
    """What each group is sent for a fact."""
    return {one.data.group: one for one in await handed_on(matching.database, [fact])}


async def arrives(matching: Matching, *arrived: Arrived[Any]) -> list[str]:
    """A group handles this; returns the needs whose lists were announced."""
    async with matching.database.transaction() as tx:
        await work_in_groups(tx, matching.memory, arrived)
        return [event.key for event in tx.emitted]


async def listed(matching: Matching) -> list[str]:
    matching.needs[NEED_ID] = need_fact()
    return [rank.offering_id for rank in (await matching.stored())[NEED_ID]]


def test_what_a_group_is_sent_lies_in_one_partition_of_each_topic() -> None:
    needs, offerings = TOPICS[NeedRouted.topic], TOPICS[OfferingRouted.topic]
    assert needs.partitions == offerings.partitions == len(needs.first_parts)
    places = {group: placed(needs, f"{group}/{NEED_ID}", needs.partitions) for group in needs.first_parts}
    assert len(set(places.values())) == len(places)
    assert places == {group: placed(offerings, f"{group}/{OFFERING_ID}", needs.partitions) for group in needs.first_parts}


async def test_an_offering_goes_to_each_of_its_groups_and_word_of_it_to_those_it_left(matching: Matching) -> None:
    sent = await by_group(matching, offering_fact(technologies=["office.it", "water.pumps"], unit="unit"))
    assert {group: one.data.offering.id for group, one in sent.items()} == {"office": OFFERING_ID, "water": OFFERING_ID}
    assert [one.event.key for one in sent.values()] == [f"office/{OFFERING_ID}", f"water/{OFFERING_ID}"]
    sent = await by_group(matching, offering_fact())
    assert {group: one.data.offering is None for group, one in sent.items()} == {"lighting": False, "office": True, "water": True}


async def test_an_offering_that_says_the_same_again_is_not_handed_on(matching: Matching) -> None:
    assert await by_group(matching, offering_fact())
    assert not await by_group(matching, offering_fact(description={"en": "Other words, which no list shows"}))


async def test_what_is_handed_on_keeps_the_time_of_the_event(matching: Matching) -> None:
    posted = event_of(need_fact())._replace(time="2026-11-23T21:00:00.000Z")
    async with matching.database.transaction() as tx:
        (one,) = await routed(tx, [Arrived(posted, need_fact())])
    assert one.event.time == posted.time


async def test_the_list_of_a_need_that_moved_is_its_new_groups_whichever_hears_of_it_first(matching: Matching) -> None:
    await matching.take(need_fact(), offering_fact())
    moved = await by_group(matching, PUMP)
    assert set(moved) == {"lighting", "water"}
    withdrawn = await by_group(matching, offering_fact(status="withdrawn"))
    assert await arrives(matching, withdrawn["lighting"]) == []  # it has not heard yet that the need is another's
    assert await listed(matching) == [OFFERING_ID]
    assert await arrives(matching, moved["water"]) == [NEED_ID]
    assert await listed(matching) == []
    assert await arrives(matching, moved["lighting"]) == []
    back = await by_group(matching, need_fact())
    again = await by_group(matching, offering_fact(lead_time_days=33))
    assert await arrives(matching, again["lighting"]) == []
    assert await arrives(matching, back["lighting"]) == [NEED_ID]
    assert await arrives(matching, back["water"]) == []
    assert await listed(matching) == [OFFERING_ID]


async def test_a_day_that_is_over_for_a_need_that_left_the_group_changes_nothing(matching: Matching) -> None:
    await matching.take(need_fact(), offering_fact())
    moved = await by_group(matching, PUMP)
    await arrives(matching, moved["lighting"])
    assert await matching.run_duties() == 0
    async with matching.database.reading() as tx:
        assert await tx.fetch("select key from due") == []
    await arrives(matching, moved["water"])
    async with matching.database.reading() as tx:
        assert [row["key"] for row in await tx.fetch("select key from due")] == [f"water/{NEED_ID}"]


@pytest.mark.parametrize("seed", range(3))
async def test_lists_are_the_oracle_s_when_all_groups_have_caught_up_however_far_apart_they_were(
    matching: Matching, seed: int
) -> None:
    world, chance = World(seed=seed, technologies=40, countries=2), random.Random(seed)
    waiting: dict[str, deque[Arrived[Any]]] = defaultdict(deque)

    async def happen(*facts: Fact) -> None:
        matching.know(*facts)
        for one in await handed_on(matching.database, facts):
            waiting[one.data.group].append(one)

    async def work_on(group: str, most: int) -> None:
        await arrives(matching, *(waiting[group].popleft() for _ in range(min(most, len(waiting[group])))))

    await happen(*[world.offering() for _ in range(80)], *[world.need() for _ in range(30)])
    for _ in range(60):
        await happen(*{fact.subject: fact for fact in (something(world, chance) for _ in range(5))}.values())
        for _ in range(2):
            await work_on(chance.choice(sorted(waiting)), chance.randint(1, 20))
    for group in sorted(waiting, key=lambda _: chance.random()):
        await work_on(group, len(waiting[group]))
    assert await matching.stored() == await matching.oracle()
