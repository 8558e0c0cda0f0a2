"""Whatever happens to a field in whatever order, its lists are those of brute force; and what is undone never was."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.domain.circumstances import Circumstances, Rates
from matching.domain.shortlist import LENGTH, Rank, Standing, best_of, judge
from matching.domain.sides import Need, Offering
from matching.engine.field import Field
from matching.engine.market import Market
from matching.engine.samples import RATES, TODAY, UNIT, Sides


class Lamps:
    """A field, and beside it what is in it."""

    def __init__(self, seed: int) -> None:
        self.sides, self.chance = Sides(seed), random.Random(seed)
        self.market = Market()
        self.market.set(RATES)
        self.field = Field("lighting", UNIT, self.market)
        self.rates: Rates = RATES
        offerings, needs = [self.sides.offering() for _ in range(60)], [self.sides.need() for _ in range(8)]
        self.offerings: dict[str, Offering] = {one.id: one for one in offerings}
        self.needs: dict[str, tuple[Need, date]] = {one.id: (one, TODAY) for one in needs}
        self.field.load(offerings, list(self.needs.values()))

    def something_happens(self) -> None:
        """A batch of new, changed and withdrawn offerings, or of needs."""
        chance = self.chance
        if chance.random() < 0.7:
            gone = self._some(self.offerings, 4)
            changed = [self.sides.offering(id_) for id_ in self._some(self.offerings, 4) if id_ not in gone]
            new = [self.sides.offering() for _ in range(chance.randint(0, 4))]
            self.field.change_offerings([*changed, *new], gone)
            self.offerings = {id_: one for id_, one in self.offerings.items() if id_ not in gone}
            self.offerings |= {one.id: one for one in (*changed, *new)}
        else:
            gone = self._some(self.needs, 1)
            changed = [self.sides.need(id_) for id_ in self._some(self.needs, 2) if id_ not in gone]
            new = [self.sides.need() for _ in range(chance.randint(0, 2))]
            came = [(need, TODAY + timedelta(days=chance.randint(0, 1))) for need in (*changed, *new)]
            self.field.change_needs(came, gone)
            self.needs = {id_: one for id_, one in self.needs.items() if id_ not in gone}
            self.needs |= {need.id: (need, today) for need, today in came}
            self.needs = {id_: (need, today) for id_, (need, today) in self.needs.items() if today <= need.deadline}

    def new_rates(self) -> None:
        """The dong falls. Lists are exact again once every need was given again; offerings change meanwhile."""
        dong = self.rates["VND"]
        self.rates = {**self.rates, "VND": replace(dong, per_usd=dong.per_usd * self.chance.randint(2, 9) / 5)}
        self.market.set(self.rates)

    def _some(self, known: Iterable[str], most: int) -> list[str]:
        return self.chance.sample(sorted(known), self.chance.randint(0, min(most, len(set(known)))))

    def standings(self) -> dict[str, Standing | None]:
        return {id_: self.field.standing(id_) for id_ in self.needs}

    def brute_force(self) -> dict[str, list[Rank]]:
        """The whole order of each need."""
        found: dict[str, list[Rank]] = {}
        for id_, (need, today) in self.needs.items():
            judged = (judge(need, one, Circumstances(today, self.rates)) for one in self.offerings.values())
            found[id_] = sorted(one.rank for one in judged if one)
        return found

    def check(self) -> None:
        """Each list is exactly what ranks at its floor or better, and has the ten best."""
        brute = self.brute_force()
        for id_, standing in self.standings().items():
            assert standing is not None
            order = brute[id_]
            assert standing.ranks == [rank for rank in order if standing.floor is None or rank <= standing.floor]
            assert standing.listed == order[:LENGTH]


@pytest.mark.parametrize("seed", range(4))
def test_lists_are_those_of_brute_force_after_every_batch(seed: int) -> None:
    lamps = Lamps(seed)
    for _ in range(60):
        lamps.something_happens()
        lamps.field.keep()
        lamps.check()
    assert sum(map(len, lamps.brute_force().values())) > 50


@pytest.mark.parametrize("seed", range(10, 13))
def test_what_is_undone_never_was(seed: int) -> None:
    lamps = Lamps(seed)
    for _ in range(50):
        needs, offerings, before = dict(lamps.needs), dict(lamps.offerings), lamps.standings()
        for _ in range(lamps.chance.randint(1, 4)):
            lamps.something_happens()
        if lamps.chance.random() < 0.5:
            lamps.field.undo()
            lamps.needs, lamps.offerings = needs, offerings
            assert lamps.standings() == before
        else:
            lamps.field.keep()
        lamps.check()


def test_after_new_rates_lists_are_exact_once_each_need_was_searched_again() -> None:
    lamps = Lamps(31)
    for _ in range(12):
        for _ in range(4):
            lamps.something_happens()
        lamps.field.keep()
        lamps.new_rates()
        for need, today in list(lamps.needs.values()):
            lamps.field.change_needs([(need, today)])
            lamps.field.change_offerings([lamps.offerings[id_] for id_ in lamps._some(lamps.offerings, 2)])
        lamps.field.keep()
        lamps.check()


def test_changed_lists_are_those_that_read_differently() -> None:
    lamps = Lamps(21)
    for _ in range(60):
        before = {id_: standing.listed for id_, standing in lamps.standings().items() if standing}
        offerings = dict(lamps.offerings)
        lamps.something_happens()
        told = {change.need_id: change for change in lamps.field.changed_lists()}
        for id_, standing in lamps.standings().items():
            assert standing is not None
            new = {
                rank.offering_id
                for rank in standing.listed
                if lamps.offerings[rank.offering_id] != offerings.get(rank.offering_id)
            }
            if before.get(id_) != standing.listed or new:
                assert told[id_].listed == standing.listed
                assert new <= told[id_].renewed
        lamps.field.keep()
    assert lamps.field.changed_lists() == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_the_order_in_which_offerings_come_does_not_matter(seed: int, chance: random.Random) -> None:
    sides = Sides(seed)
    needs = [(sides.need(), TODAY) for _ in range(4)]
    offerings = [sides.offering() for _ in range(60)]
    standings = []
    for loaded in (60, 0, 25):
        market = Market()
        market.set(RATES)
        field = Field("lighting", UNIT, market)
        field.load(offerings[:loaded], needs)
        for one in offerings[loaded:]:
            field.change_offerings([one])
        found = [field.standing(need.id) for need, _ in needs]
        standings.append([standing.listed for standing in found if standing])
        chance.shuffle(offerings)
    assert standings[0] == standings[1] == standings[2]
    best = [best_of(need, offerings, Circumstances(today, RATES))[:LENGTH] for need, today in needs]
    assert standings[0] == [[one.rank for one in some] for some in best]
