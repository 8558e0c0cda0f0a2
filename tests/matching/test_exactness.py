"""Whatever happens in whatever order, the stored lists are those of brute force."""

import random

import pytest

from bench.workload import World
from common.contracts.values import Fact
from tests.matching.running import Matching


def something(world: World, chance: random.Random) -> Fact:
    """The next event: mostly the stream's, sometimes a changed, closed need or an offering changed once more."""
    throw = chance.random()
    if throw < 0.12 and world.needs:
        return world.change_need(chance.choice(list(world.needs.values())))
    if throw < 0.17 and world.needs:
        return world.close(chance.choice(list(world.needs.values())))
    if throw < 0.27:
        return world.offering()
    return world.change()


@pytest.mark.parametrize(("seed", "technologies", "countries"), [(1, 3, 2), (2, 6, 4), (3, 2, 1), (4, 40, 20)])
async def test_stored_lists_are_the_oracle_s_after_a_random_stream(
    matching: Matching, seed: int, technologies: int, countries: int
) -> None:
    world, chance = World(seed=seed, technologies=technologies, countries=countries), random.Random(seed)
    await matching.take(*world.rates())
    await matching.take(*[world.offering() for _ in range(60)])
    await matching.take(*[world.need() for _ in range(15)])
    assert await matching.stored() == await matching.oracle()
    for _ in range(12):
        await matching.take(*[something(world, chance) for _ in range(chance.randint(1, 12))])
        assert await matching.stored() == await matching.oracle()
    assert sum(map(len, (await matching.stored()).values())) > 20


async def test_withdrawing_everything_empties_every_list(matching: Matching) -> None:
    world = World(seed=5, technologies=2, countries=1)
    await matching.take(*[world.offering() for _ in range(40)], *[world.need() for _ in range(6)])
    for offering in list(world.offerings.values()):
        await matching.take(world.withdraw(offering))
        assert await matching.stored() == await matching.oracle()
    assert not any((await matching.stored()).values())


async def test_the_last_list_announced_is_the_one_stored(matching: Matching) -> None:
    world = World(seed=6, technologies=3, countries=2)
    await matching.take(*[world.offering() for _ in range(40)], *[world.need() for _ in range(10)])
    for _ in range(60):
        await matching.take(world.change())
    newest = {one.need.id: one for one in await matching.announced()}
    stored = await matching.stored()
    assert {id_: [(match.offering_id, match.score) for match in one.matches] for id_, one in newest.items()} == {
        id_: [(rank.offering_id, rank.score) for rank in ranks] for id_, ranks in stored.items()
    }
