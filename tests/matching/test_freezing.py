"""A process that starts from a snapshot knows the same as one that lived on, and finds the same whatever comes."""

import random
from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry

from bench.workload import World
from common.telemetry import ENGINE_TOTAL
from matching import memory_store
from matching import snapshots as snapshots_module
from matching.domain.sides import Need, Offering
from matching.engine import freezing
from matching.engine.field import Field
from matching.engine.market import Market
from matching.engine.samples import RATES, TODAY, UNIT, Sides
from matching.memory import Memory
from tests.matching.pairs import need_fact, offering_fact
from tests.matching.running import Matching
from tests.matching.test_exactness import something


def restarted(field: Field) -> Field:
    """The same field in another process."""
    market = Market()
    frozen = freezing.from_chunks(list(freezing.to_chunks(freezing.freeze({UNIT: field}, field.market))))
    (thawed,) = freezing.thaw("lighting", frozen, market).values()
    market.set(field.market.rates)
    return thawed


@pytest.mark.parametrize("seed", range(4))
def test_a_thawed_field_finds_the_same_now_and_after_any_change(seed: int) -> None:
    sides, chance, market = Sides(seed), random.Random(seed), Market()
    market.set(RATES)
    lived = Field("lighting", UNIT, market)
    needs: dict[str, Need] = {}
    offerings: dict[str, Offering] = {}

    def change(fields: list[Field]) -> None:
        came = [sides.offering(chance.choice([None, *offerings])) for _ in range(chance.randint(0, 30))]
        came = list({one.id: one for one in came}.values())
        gone = [id_ for id_ in offerings if chance.random() < 0.05 and id_ not in {one.id for one in came}]
        asked = [sides.need() for _ in range(chance.randint(0, 6))]
        closed = [id_ for id_ in needs if chance.random() < 0.05]
        for field in fields:
            field.change_offerings(came, gone)
            field.change_needs([(one, TODAY) for one in asked], closed)
            field.keep()
        for known, new, old in ((offerings, came, gone), (needs, asked, closed)):
            known |= {one.id: one for one in new}  # pyright: ignore[reportOperatorIssue]
            for id_ in old:
                del known[id_]

    for _ in range(4):
        change([lived])
    twin = restarted(lived)
    for _ in range(6):
        assert twin.bytes[0] > 0 and len(twin.offerings) == len(offerings) and len(twin.needs) == len(needs)
        for need in needs.values():
            assert twin.standing(need.id) == lived.standing(need.id)
            assert twin.scores(need.id) == lived.scores(need.id)
        asking = sides.need()
        assert twin.best(asking, TODAY) == lived.best(asking, TODAY)
        change([lived, twin])
        if chance.random() < 0.3:
            twin = restarted(twin)
    assert lived.counts.judged_plainly, "nothing was kept whole"


def test_what_is_damaged_or_cut_off_is_said() -> None:
    market = Market()
    field = Field("lighting", UNIT, market)
    field.load([Sides(1).offering()], [])
    pieces = list(freezing.to_chunks(freezing.freeze({UNIT: field}, market)))
    for wrong in ([], [pieces[0][:-9]], [b"x", *pieces]):
        with pytest.raises(ValueError, match="not frozen fields"):
            freezing.from_chunks(wrong)


async def knows(matching: Matching, memory: Memory, group: str) -> Mapping[str, object]:
    """The lists of a group, and at which version."""
    async with matching.database.transaction() as tx:
        await memory.hold(tx, [group])
        known = memory.group(group)
        return {"version": known.version} | {id_: known.listed(id_) for id_ in matching.needs}


def restored_by(registry: CollectorRegistry) -> float:
    """How many groups were known from snapshots."""
    return registry.get_sample_value(f"{ENGINE_TOTAL}_total", {"what": "groups_restored"}) or 0


@pytest.mark.parametrize("seed", range(2))
async def test_a_process_that_starts_from_snapshots_goes_on_as_the_others(matching: Matching, seed: int) -> None:
    """Rates and days change, too; a snapshot is older than the group, but never newer."""
    world, chance = World(seed=seed, technologies=8, countries=2), random.Random(seed)
    await matching.take(*world.rates())
    await matching.take(*[world.offering() for _ in range(60)], *[world.need() for _ in range(20)])
    restored = 0
    for _ in range(8):
        async with matching.database.reading() as tx:
            groups = await memory_store.groups(tx)
        for group in groups:
            if chance.random() < 0.5:
                await knows(matching, matching.memory, group)
                await matching.memory.group(group).save(matching.database)
        await matching.take(*{fact.subject: fact for fact in (something(world, chance) for _ in range(10))}.values())
        registry = CollectorRegistry()
        other = Memory(registry)
        for group in groups:
            assert await knows(matching, other, group) == await knows(matching, matching.memory, group)
        restored += restored_by(registry)
        matching.memory = other
        assert await matching.stored() == await matching.oracle()
    assert restored > 10


async def test_a_snapshot_of_another_form_or_a_damaged_one_is_not_used(
    matching: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    await matching.take(need_fact(), offering_fact())
    right = await knows(matching, matching.memory, "lighting")
    await matching.memory.group("lighting").save(matching.database)

    async def starts() -> bool:
        registry = CollectorRegistry()
        assert await knows(matching, Memory(registry), "lighting") == right
        return restored_by(registry) == 1

    assert await starts()
    with monkeypatch.context() as patched:
        patched.setattr(snapshots_module.freezing, "_EDITION", 2)
        assert not await starts()
    for damage in ("update snapshot_chunk set bytes = substr(bytes, 9)", "delete from snapshot_chunk"):
        async with matching.database.transaction() as tx:
            await tx.execute(damage)
        assert not await starts()


async def test_only_what_would_take_long_to_read_is_saved(matching: Matching, monkeypatch: pytest.MonkeyPatch) -> None:
    await matching.take(need_fact(), offering_fact())
    assert not await matching.memory.save_snapshots(matching.database)
    monkeypatch.setattr("matching.memory.FEW", 1)
    assert await matching.memory.save_snapshots(matching.database)
    assert not await matching.memory.save_snapshots(matching.database), "nothing changed since"
    await matching.take(offering_fact(lead_time_days=9))
    assert not await matching.memory.save_snapshots(matching.database)
    await matching.take(offering_fact(lead_time_days=8))
    assert await matching.memory.save_snapshots(matching.database)
