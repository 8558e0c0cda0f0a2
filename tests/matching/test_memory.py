"""What a process has in memory stands as PostgreSQL does: whatever fails, whoever else works on the same groups."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from bench.workload import World
from common.contracts.values import Fact
from common.messaging.consumer import Arrived
from common.transaction import Transaction
from matching import memory as memory_module
from matching import memory_store
from matching.handlers import take_locks
from matching.memory import Memory
from tests.matching.pairs import NEED_ID, OFFERING_ID, need_fact, offering_fact
from tests.matching.running import Matching, handed_on, work, work_in_groups
from tests.matching.test_exactness import something


class Accident(Exception):
    """What a test lets happen."""


async def ids_in_memory(matching: Matching, memory: Memory, group: str) -> dict[str, list[str]]:
    """The offerings on each list of a group, as this memory has it."""
    async with matching.database.transaction() as tx:
        await memory.hold(tx, [group])
        found = {id_: memory.group(group).listed(id_) for id_ in matching.needs}
        return {id_: [rank.offering_id for rank in listed] for id_, listed in found.items() if listed is not None}


async def test_a_transaction_that_is_rolled_back_leaves_no_trace_in_memory(matching: Matching) -> None:
    await matching.take(need_fact())
    with pytest.raises(Accident):
        async with matching.database.transaction() as tx:
            await work(tx, matching.memory, [offering_fact(), need_fact(quantity=7)])
            raise Accident
    assert await ids_in_memory(matching, matching.memory, "lighting") == {NEED_ID: []}
    await matching.take(offering_fact())
    assert await ids_in_memory(matching, matching.memory, "lighting") == {NEED_ID: [OFFERING_ID]}


async def test_what_stood_before_a_savepoint_failed_stays_and_what_failed_does_not(matching: Matching) -> None:
    """The consumer halves a batch until the guilty event is found: the parts that succeed have to stand in memory, too."""
    other = offering_fact(id=f"{OFFERING_ID[:-1]}e")
    async with matching.database.transaction() as tx:
        async with tx.savepoint():
            await work(tx, matching.memory, [need_fact(), offering_fact()])
        with pytest.raises(Accident):
            async with tx.savepoint():
                await work(tx, matching.memory, [other])
                raise Accident
        async with tx.savepoint():
            await work(tx, matching.memory, [offering_fact(lead_time_days=170)])
    matching.know(need_fact(), offering_fact(lead_time_days=170))
    assert await ids_in_memory(matching, matching.memory, "lighting") == {NEED_ID: [OFFERING_ID]}
    assert await matching.stored() == await matching.oracle()


async def test_what_was_read_of_a_transaction_that_is_rolled_back_in_the_end_is_forgotten(matching: Matching) -> None:
    await matching.take(need_fact())
    with pytest.raises(Accident):
        async with matching.database.transaction() as tx:
            async with tx.savepoint():
                await work(tx, matching.memory, [offering_fact()])
            with pytest.raises(Accident):
                async with tx.savepoint():
                    await work(tx, matching.memory, [need_fact(quantity=7)])
                    raise Accident
            async with tx.savepoint():  # reads its own, uncommitted changes
                await work(tx, matching.memory, [offering_fact(lead_time_days=170)])
            raise Accident
    assert await ids_in_memory(matching, matching.memory, "lighting") == {NEED_ID: []}


async def test_a_need_that_changes_its_group_is_on_no_list_of_the_old_one(matching: Matching) -> None:
    await matching.take(need_fact(), offering_fact())
    pump = need_fact(technology="water.pumps", unit="unit", requirements=[])
    await matching.take(pump)
    assert await matching.stored() == {NEED_ID: []}
    others = Memory()
    for memory in (matching.memory, others):
        assert await ids_in_memory(matching, memory, "lighting") == {}
        assert await ids_in_memory(matching, memory, "water") == {NEED_ID: []}
    await matching.take(need_fact())
    assert await ids_in_memory(matching, others, "lighting") == {NEED_ID: [OFFERING_ID]}
    assert await ids_in_memory(matching, others, "water") == {}


@pytest.mark.parametrize("seed", range(4))
async def test_lists_are_the_oracle_s_though_transactions_die_and_two_processes_take_turns(matching: Matching, seed: int) -> None:
    """Each batch is handled by one of two processes; many are rolled back, in parts or as a whole, by the handler or because
    the session died; now and then a process forgets everything, as a new one would."""
    world, chance = World(seed=seed, technologies=6, countries=2), random.Random(seed)
    memories = [matching.memory, Memory()]
    died = 0
    await matching.take(*world.rates())
    await matching.take(*[world.offering() for _ in range(50)], *[world.need() for _ in range(12)])
    for _ in range(40):
        if chance.random() < 0.1:
            memories[chance.randrange(2)] = Memory()
        facts = list({fact.subject: fact for fact in (something(world, chance) for _ in range(chance.randint(1, 10)))}.values())
        died += await _until_committed(matching, chance.choice(memories), facts, chance)
        matching.know(*facts)
        assert await matching.stored() == await matching.oracle()
    assert died >= 5
    async with matching.database.reading() as tx:
        groups = await memory_store.groups(tx)
    for group in groups:
        found = [await ids_in_memory(matching, memory, group) for memory in (*memories, Memory())]
        assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("seed", range(3))
async def test_transactions_of_one_process_that_run_side_by_side_leave_memory_as_the_database_is(
    matching: Matching, seed: int
) -> None:
    """PostgreSQL lets the next one in with the commit, before memory has followed."""
    world, chance = World(seed=seed, technologies=2, countries=2), random.Random(seed)
    await matching.take(*[world.offering() for _ in range(40)], *[world.need() for _ in range(10)])
    for _ in range(25):
        facts = list({fact.subject: fact for fact in (something(world, chance) for _ in range(9))}.values())
        shares = [facts[number::3] for number in range(3)]
        await asyncio.gather(*(_until_committed(matching, matching.memory, share, chance) for share in shares if share))
        matching.know(*facts)
        assert await matching.stored() == await matching.oracle()
    async with matching.database.reading() as tx:
        groups = await memory_store.groups(tx)
    for group in groups:
        assert await ids_in_memory(matching, matching.memory, group) == await ids_in_memory(matching, Memory(), group)


async def _until_committed(matching: Matching, memory: Memory, facts: Sequence[Fact], chance: random.Random) -> int:
    """Try until it worked; returns how often it did not."""
    died, arrived = 0, await handed_on(matching.database, facts)
    while True:
        try:
            async with matching.database.transaction() as tx:
                await _with_accidents(tx, memory, arrived, chance)
        except (Accident, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, RuntimeError, asyncio.CancelledError):
            died += 1
        except Exception as error:
            if type(error).__name__ != "TryAgain":
                raise
            died += 1
        else:
            return died


async def _with_accidents(tx: Transaction, memory: Memory, arrived: Sequence[Arrived[Any]], chance: random.Random) -> None:
    # As the consumer's first try, with the whole batch, does: later tries need no lock that is not held already.
    await take_locks(arrived, tx, memory)
    middle = chance.randint(0, len(arrived))
    for part in (arrived[:middle], arrived[middle:]):
        while part:
            try:
                async with tx.savepoint():
                    await work_in_groups(tx, memory, part)
                    if chance.random() < 0.2:
                        raise Accident
            except Accident:
                continue
            break
        if chance.random() < 0.1:
            raise Accident
    if chance.random() < 0.1:
        tx.connection.terminate()


async def test_a_new_process_reads_only_what_it_has_not_seen(matching: Matching) -> None:
    await matching.take(need_fact(), offering_fact())
    others = Memory()
    assert await ids_in_memory(matching, others, "lighting") == {NEED_ID: [OFFERING_ID]}
    version = others.group("lighting").version
    await matching.take(offering_fact(status="withdrawn"))
    async with matching.database.transaction() as tx:
        since = [one async for some in memory_store.offerings_since(tx, "lighting", version, 10) for one in some]
        needs = [one async for some in memory_store.needs_since(tx, "lighting", version, 10) for one in some]
    assert ([one.id for one in since], needs) == ([OFFERING_ID], [])
    assert await ids_in_memory(matching, others, "lighting") == {NEED_ID: []}


async def test_a_process_knows_its_groups_before_their_first_event_and_forgets_them_when_they_are_another_s(
    matching: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    await matching.take(need_fact(), offering_fact(), need_fact(id=f"{NEED_ID[:-1]}2", technology="water.pumps", unit="unit"))
    others, ours = Memory(), {"lighting", "water"}

    async def versions() -> list[int]:
        await others.follow(matching.database, ("lighting", "water", "waste"), ours.__contains__)
        return [others.group(name).version for name in ("lighting", "water", "waste")]

    assert await versions() == [matching.memory.group("lighting").version, matching.memory.group("water").version, 0]
    ours.remove("water")
    assert (await versions())[1] > 0  # between two owners nothing is anybody's for a moment
    monkeypatch.setattr(memory_module, "FORGET_AFTER", -1)
    assert [version > 0 for version in await versions()] == [True, False, False]
    ours.add("water")
    assert (await versions())[1] == matching.memory.group("water").version
