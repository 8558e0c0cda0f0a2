"""Many needs and offerings from files: the engine's lists are those of the plain rules."""

from dataclasses import replace
from datetime import timedelta

from bench.workload import World
from common.vocabulary import technologies
from matching.domain.circumstances import Circumstances
from matching.domain.shortlist import LENGTH, best_of
from matching.domain.sides import Need, Offering
from musubi.quick_lists import QuickLists
from tests.matching.pairs import circumstances_of


def test_the_engine_s_lists_are_those_of_the_plain_rules_whatever_the_ids_and_days() -> None:
    world = World(seed=8, technologies=5, countries=3)
    offerings = [Offering.of(world.offering()) for _ in range(150)]
    offerings = [
        replace(one, id=f"{n % 7} a name as companies write it in their spreadsheets, 光 {n}") for n, one in enumerate(offerings)
    ]
    now = circumstances_of(world)
    later = Circumstances(now.today + timedelta(days=40), {**now.rates})  # every rate is too old by then
    asked = [(Need.of(world.need()), now if n % 3 else later) for n in range(40)]
    names = {f"{one.group}/{one.unit}" for one in technologies().values() if one.unit}
    fields = {name: [one for one in offerings if name in {f"{group}/{one.unit}" for group in one.groups}] for name in names}
    found = list(QuickLists(fields).of(asked))
    plain = [
        best_of(need, offerings, circumstances)[:LENGTH] if need.deadline >= circumstances.today else []
        for need, circumstances in asked
    ]
    assert found == plain
    assert sum(map(len, found)) > 100
