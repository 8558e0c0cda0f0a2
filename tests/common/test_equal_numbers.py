"""Several processes share a group's work: partitions of equal number of all its topics lie with one of them, on a real Kafka."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import pytest

from tests.brokers import Broker, FreshTopics
from tests.common.hop import looking_at, until
from tests.common.shared_work import ASKS, BIDS, GROUPS, TOPICS, Ask, Bid, Member, partition

pytestmark = pytest.mark.kafka
EVERYTHING = {(topic, number) for topic in (ASKS, BIDS) for number in range(6)}

Begin = Callable[..., Awaitable[Member]]


@pytest.fixture
async def begin(postgres: str, real_kafka: Broker, fresh_topics: FreshTopics) -> AsyncIterator[Begin]:
    """Starts another process of the group."""
    fresh_topics(real_kafka, [*TOPICS.values()])
    name = f"trial{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:

        async def another(stack: AsyncExitStack = stack, *, together: bool = True) -> Member:
            member = Member(postgres, real_kafka, name).takes_groups(together=together)
            await stack.enter_async_context(member.service.lifespan())
            return member

        yield another


def numbers(member: Member) -> set[int]:
    return {number for _, number in member.numbers()}


def all_is_shared(members: Sequence[Member]) -> bool:
    """Every partition is with exactly one member, and every member has some."""
    parts = [part for member in members for part in member.numbers()]
    return sorted(parts) == sorted(EVERYTHING) and all(member.numbers() for member in members)


async def test_each_number_is_with_one_member_whether_they_are_one_two_or_four(begin: Begin) -> None:
    members: list[Member] = []
    twice: set[int] = set()

    async def watch() -> None:
        while True:
            mine = [numbers(member) for member in members]
            twice.update(number for number in range(6) if sum(number in some for some in mine) > 1)
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    for amount in (1, 2, 4):
        while len(members) < amount:
            members.append(await begin())
        await until(lambda: all_is_shared(members), seconds=40)
        await asyncio.sleep(1)
        assert all_is_shared(members)
        assert all(member.numbers() == {(t, n) for t in (ASKS, BIDS) for n in numbers(member)} for member in members)
    watching.cancel()
    assert not twice, "not even while they are dealt out anew"


async def test_the_events_of_a_group_are_worked_on_by_one_member_whatever_their_topic(begin: Begin) -> None:
    members = [await begin(), await begin()]
    await until(lambda: all_is_shared(members), seconds=40)
    await members[0].emit(*(kind(key=f"{group}/{n}") for n in range(3) for group in GROUPS for kind in (Ask, Bid)))
    await until(lambda: sum(len(keys) for member in members for keys in member.worked.values()) == 60)
    for member in members:
        mine = {group for group in GROUPS if partition(group).number in numbers(member)}
        assert {topic: {key.partition("/")[0] for key in keys} for topic, keys in member.worked.items()} == {
            ASKS: mine,
            BIDS: mine,
        }


async def test_while_members_of_before_are_among_them_all_is_read_and_when_they_are_gone_numbers_are_together(
    begin: Begin,
) -> None:
    async with AsyncExitStack() as stack:
        before = await begin(stack, together=False)
        new = await begin()
        await until(lambda: all_is_shared([before, new]), seconds=40)
        await new.emit(*(Ask(key=f"{group}/0") for group in GROUPS))
        await until(lambda: len(before.worked[ASKS]) + len(new.worked[ASKS]) == len(GROUPS))
    members = [new, await begin()]
    await until(lambda: all_is_shared(members), seconds=40)
    assert numbers(members[0]).isdisjoint(numbers(members[1]))


async def test_what_is_parked_is_retried_by_the_member_that_reads_its_group_and_by_its_heir_when_that_one_is_gone(
    begin: Begin, postgres: str
) -> None:
    async with AsyncExitStack() as stack:
        heir, leaver = await begin(), await begin(stack)
        await until(lambda: all_is_shared([heir, leaver]), seconds=40)
        async with looking_at(postgres, heir.name) as seen:
            await heir.emit(*(Ask(key=f"{group}/1", said="poison") for group in GROUPS))

            async def all_wait() -> bool:
                return len(await seen.parked()) == len(GROUPS)

            await until(all_wait)
            await asyncio.sleep(3)  # each has tried some, the longer ones wait for seconds
            await seen.cure("poison")
            await until(lambda: len(heir.worked[ASKS]) + len(leaver.worked[ASKS]) == len(GROUPS), seconds=40)
            for member in (heir, leaver):
                assert {partition(key).number for key in member.worked[ASKS]} <= numbers(member)
                assert member.worked[ASKS]
            await seen.connection.execute("delete from cured")
            await heir.emit(*(Ask(key=f"{group}/2", said="poison") for group in GROUPS))
            await until(all_wait)
            await stack.aclose()
            await seen.cure("poison")
            await until(lambda: sum(key.endswith("/2") for key in heir.worked[ASKS]) == len(GROUPS), seconds=40)
