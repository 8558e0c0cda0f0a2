"""A need and an offering that arrive together, at two processes, always meet."""

import asyncio

from common.postgres import Database
from matching.memory import Memory
from tests.matching.pairs import NEED_ID, OFFERING_ID, need_fact, offering_fact
from tests.matching.running import Clock, Matching, handle

TIMES = 250


async def test_two_transactions_that_run_together_always_meet(matching: Matching, postgres: str) -> None:
    second, others = Database(postgres, "matching", clock=Clock()), Memory()
    await second.open()
    try:
        for number in range(TIMES):
            # Each pair has a lot of its own, so that no earlier one fits.
            need = need_fact(id=f"{NEED_ID[:-4]}{number:04}", requirements=_only(number))
            offering = offering_fact(id=f"{OFFERING_ID[:-4]}{number:04}", attributes=_states(number))
            await asyncio.gather(handle(matching.database, matching.memory, [need]), handle(second, others, [offering]))
    finally:
        await second.close()
    async with matching.database.reading() as tx:
        met = {row["need_id"][-4:]: row["offering_id"][-4:] for row in await tx.fetch("select * from match")}
    assert met == {f"{number:04}": f"{number:04}" for number in range(TIMES)}


def _only(number: int) -> list[dict[str, object]]:
    return [{"attribute": "lot", "op": "=", "value": number, "mandatory": True}]


def _states(number: int) -> list[dict[str, object]]:
    return [{"name": "lot", "value": number}]


async def test_batches_of_many_groups_in_opposite_order_do_not_lock_each_other_out(matching: Matching, postgres: str) -> None:
    second, others = Database(postgres, "matching", clock=Clock()), Memory()
    await second.open()
    pumps = {"technology": "water.pumps", "unit": "unit", "requirements": []}
    try:
        for number in range(40):
            lamp = need_fact(id=f"{NEED_ID[:-4]}{number:04}", requirements=[])
            pump = offering_fact(id=f"{OFFERING_ID[:-4]}{number:04}", technologies=["water.pumps"], unit="unit")
            other_pump = need_fact(id=f"{NEED_ID[:-4]}{number + 5000:04}", **pumps)
            other_lamp = offering_fact(id=f"{OFFERING_ID[:-4]}{number + 5000:04}")
            # A deadlock would raise here.
            await asyncio.gather(
                handle(matching.database, matching.memory, [lamp, pump]), handle(second, others, [other_pump, other_lamp])
            )
    finally:
        await second.close()
    async with matching.database.reading() as tx:
        lists = await tx.fetchval(
            "select count(*) from (select need_id from match group by 1 having count(*) = 10) as full_lists"
        )
    assert lists == 80
