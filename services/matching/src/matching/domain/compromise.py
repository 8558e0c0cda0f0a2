"""What keeps needs of one technology apart, and the cheapest compromise: who would have to change which requirement.

Needs belong in one pool if one specification meets all that their cities ask, preferred or mandatory. Bounds meet at the
stricter one, sets at what they share, and never across units; welcome standards keep nobody apart. Countries and deadlines are
not looked at: whoever wants the domestic pool passes the domestic needs.

**What a compromise costs**, in this order: how many needs must change; how many of their *mandatory* requirements; how far the
values move, from 0 to 1 each (`common_ground.distance`). So conceding a preference is always cheaper than conceding what
is mandatory, and two small changes of mandatory requirements are dearer than one large one.

**What is exact.** The largest pool is (`pooling`). From a largest pool, each need more takes at least one need that concedes,
since all that concede nothing are a pool already; every step here takes just one, so that no way to a pool of that size has fewer
that concede. Among single concessions each step is the cheapest: the newcomer's own, or that of a member who alone stands in the
way. Steps build on each other, and what is conceded stays; a different order might move values less in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from matching.domain.changes import Said, says
from matching.domain.common_ground import Topic, distance, eased, meets, topics
from matching.domain.pooling import LIMIT, camps, largest, units_of
from matching.domain.sides import Attribute, Need, Requirement

ACCEPT = says(
    "accept_too",
    "Accept {offered:stated} for {attribute}, beside {before:wanted}",
    "{attribute}に、{before:wanted}のほか{offered:stated}も認める",
)
ASK_FOR = says(
    "ask_instead",
    "For {attribute} ask for {after:wanted} instead of {before:wanted}",
    "{attribute}の条件を、{before:wanted}から{after:wanted}に変える",
)
NAME_ONE = says(
    "name_one",
    "For {attribute}, where no value would do now, ask for {after:wanted}",
    "今はどの値も認めていない{attribute}に、{after:wanted}を認める",
)
CONCESSIONS = (ACCEPT, ASK_FOR, NAME_ONE)


class Asking(NamedTuple):
    """A need, and the id of the city whose it is."""

    need: Need
    city: str


@dataclass(frozen=True, slots=True)
class Pool:
    """Needs that one specification meets. `specification` asks as much as all of them together."""

    members: tuple[Asking, ...]
    specification: tuple[Requirement, ...]

    @property
    def cities(self) -> int:
        return cities_of(self.members)

    @property
    def units(self) -> Decimal:
        return quantity_of(self.members)


@dataclass(frozen=True, slots=True)
class Divider:
    """An attribute that keeps needs apart. Were it the only one, those `outside` could not join the largest group that agrees.

    `positions`: how many values or ranges that cannot all be had at once are asked for. `freed`: how many needs more the
    largest pool would have if nobody asked anything of it.
    """

    key: str
    name: str
    outside: tuple[Asking, ...]
    positions: int
    freed: int

    @property
    def outside_cities(self) -> int:
        return cities_of(self.outside)

    @property
    def outside_units(self) -> Decimal:
        return quantity_of(self.outside)


@dataclass(frozen=True, slots=True)
class Concession:
    """One requirement that changes. `distance` is how far its value moves, from 0 to 1."""

    before: Requirement
    after: Requirement
    distance: Fraction
    what: Said


@dataclass(frozen=True, slots=True)
class Step:
    """One need concedes, and `joining` come into the pool: itself, or another that it alone kept out.

    `pool` is the pool afterwards, with requirements as conceded so far.
    """

    conceding: Asking
    concessions: tuple[Concession, ...]
    joining: tuple[Asking, ...]
    pool: Pool

    @property
    def mandatory(self) -> int:
        """How many mandatory requirements change."""
        return sum(1 for one in self.concessions if one.before.mandatory)

    @property
    def distance(self) -> Fraction:
        return sum((one.distance for one in self.concessions), Fraction(0))


@dataclass(frozen=True, slots=True)
class Compromise:
    """Everything about these needs: pools as asked now, what divides them, and the steps that would bring them together.

    `start` is the pool from which the steps go on: the largest, even where it has one member or none. `pools` of two or more: the
    largest, the largest of those left, and so on; `alone` fit with nobody that is left. `outside` are not in the pool even after
    all steps. `exact` is False where there was too much to search: larger pools may exist.
    """

    start: Pool
    pools: tuple[Pool, ...]
    alone: tuple[Asking, ...]
    dividers: tuple[Divider, ...]
    steps: tuple[Step, ...]
    outside: tuple[Asking, ...]
    exact: bool


def cities_of(asking: Sequence[Asking]) -> int:
    """How many different cities."""
    return len({one.city for one in asking})


def quantity_of(asking: Sequence[Asking]) -> Decimal:
    return sum((one.need.quantity for one in asking), Decimal(0))


def compromise(asking: Sequence[Asking], *, most_steps: int = 50, limit: int = LIMIT) -> Compromise:
    """What keeps these needs apart. Raises `ValueError` unless they are different needs of one technology, in one unit."""
    if len({(one.need.technology, one.need.unit) for one in asking}) > 1:
        raise ValueError("needs of different technologies or units cannot be pooled")
    if len({one.need.id for one in asking}) < len(asking):
        raise ValueError("a need is there twice")
    table = _Table(sorted(asking, key=lambda one: one.need.id))
    pools, exact = table.pools(limit)
    dividers, sure = table.dividers(pools[0].bit_count() if pools else 0, limit)
    together = [pool for pool in pools if pool.bit_count() > 1]
    alone = table.everybody
    for pool in together:
        alone &= ~pool
    told, start = tuple(table.pool(pool) for pool in together), table.pool(pools[0] if pools else 0)
    steps, outside = table.steps(pools[0] if pools else 0, most_steps)
    return Compromise(start, told, table.of(alone), dividers, tuple(steps), table.of(outside), exact and sure)


class _Cost(NamedTuple):
    """Less is cheaper. One need concedes in each step, so its number says nothing here; of equal ones the newcomer concedes."""

    mandatory: int
    distance: Fraction
    by_a_member: bool
    units_lost: Decimal
    conceding: str
    joining: str


class _Plan(NamedTuple):
    cost: _Cost
    conceding: int
    joining: int
    points: tuple[tuple[int, Attribute], ...]
    """The attributes, by number, in which it concedes, each with the value that it comes to accept."""


class _Table:
    """The needs in rows, the attributes in columns: which points each accepts. Steps change it as needs concede."""

    def __init__(self, asking: list[Asking]) -> None:
        self.asking = asking
        self.topics = topics([one.need for one in asking])
        self.accepted = [[topic.accepted(one.need) for topic in self.topics] for one in asking]
        self.quantities = [one.need.quantity for one in asking]
        self.everybody = (1 << len(asking)) - 1

    def of(self, members: int) -> tuple[Asking, ...]:
        return tuple(self.asking[n] for n in _numbers(members))

    def pool(self, members: int) -> Pool:
        found = self.of(members)
        needs = [one.need for one in found]
        return Pool(found, tuple(asked for topic in self.topics for asked in topic.specification(needs)))

    def pools(self, limit: int) -> tuple[list[int], bool]:
        """The largest, the largest of the rest, and so on; what agrees with nobody, not even itself, is in none."""
        of_topics = self._camps()
        among, found = self.everybody, list[int]()
        while among:
            pool, limit = largest(of_topics, self.quantities, among, limit)
            if not pool or (found and pool.bit_count() == 1):
                break
            found.append(pool)
            among &= ~pool
        return found, limit > 0

    def dividers(self, now: int, limit: int) -> tuple[tuple[Divider, ...], bool]:
        """Those that keep most out of the largest pool first."""
        of_topics, found, exact = self._camps(), list[Divider](), True
        share = limit // max(len(self.topics), 1)
        for n, topic in enumerate(self.topics):
            agree = max(of_topics[n], key=lambda camp: (camp.bit_count(), units_of(camp, self.quantities)), default=0)
            if agree == self.everybody:
                continue
            without = largest(of_topics[:n] + of_topics[n + 1 :], self.quantities, self.everybody, share)
            exact = exact and without.left > 0
            freed = without.members.bit_count() - now
            outside = self.of(self.everybody & ~agree)
            found.append(Divider(topic.key, topic.name, outside, len(of_topics[n]), max(freed, 0)))
        found.sort(key=lambda one: (-len(one.outside), -quantity_of(one.outside), one.key))
        return tuple(found), exact

    def steps(self, pool: int, most: int) -> tuple[list[Step], int]:
        """Steps from this pool on, and who is outside after them."""
        found: list[Step] = []
        while len(found) < most and (plan := self._cheapest(pool)):
            before = self.asking[plan.conceding]
            concessions = self._concede(plan)
            joined = 1 << plan.joining
            # After a search that was ended early, others may fit by now; after an exact one nobody does.
            for n in _numbers(self.everybody & ~pool & ~joined):
                if _agree(self.accepted[n], self._common(pool | joined)):
                    joined |= 1 << n
            pool |= joined
            found.append(Step(before, concessions, self.of(joined), self.pool(pool)))
        return found, self.everybody & ~pool

    def _camps(self) -> list[list[int]]:
        return [camps([row[n] for row in self.accepted]) for n in range(len(self.topics))]

    def _common(self, members: int) -> list[int]:
        common = [topic.everything for topic in self.topics]
        for n in _numbers(members):
            common = _both(common, self.accepted[n])
        return common

    def _cheapest(self, pool: int) -> _Plan | None:
        common, rest = self._common(pool), self._without_each(pool)
        plans: list[_Plan] = []
        for joining in _numbers(self.everybody & ~pool):
            mine = self.accepted[joining]
            plans += self._plan(joining, joining, common)
            for member, others in rest:
                if _agree(mine, others):
                    plans += self._plan(member, joining, _both(mine, others))
        return min(plans, key=lambda plan: plan.cost, default=None)

    def _without_each(self, pool: int) -> list[tuple[int, list[int]]]:
        """For each member what all the others accept in common, if that is any more than with it."""
        everything = [topic.everything for topic in self.topics]
        members = [n for n in _numbers(pool) if self.accepted[n] != everything]
        rows = [self.accepted[n] for n in members]
        before = list(accumulate(rows, _both, initial=everything))
        after = list(accumulate(reversed(rows), _both, initial=everything))[::-1]
        found = ((n, _both(before[at], after[at + 1])) for at, n in enumerate(members))
        return [(n, others) for n, others in found if others != before[-1]]

    def _plan(self, conceding: int, joining: int, targets: list[int]) -> list[_Plan]:
        """How this need comes to accept one of the target's points in every attribute; empty where no value is stated."""
        need = self.asking[conceding].need
        points: list[tuple[int, Attribute]] = []
        mandatory, moved = 0, Fraction(0)
        for n, topic in enumerate(self.topics):
            if self.accepted[conceding][n] & targets[n]:
                continue
            asked = topic.asked_by(need)
            costs = [(*_cost(asked, point), at) for at, point in enumerate(topic.points) if targets[n] & (2 << at)]
            if not costs:
                return []
            must, far, at = min(costs)
            mandatory, moved = mandatory + must, moved + far
            points.append((n, topic.points[at]))
        newcomer = self.asking[joining].need
        cost = _Cost(mandatory, moved, conceding != joining, -newcomer.quantity, need.id, newcomer.id)
        return [_Plan(cost, conceding, joining, tuple(points))]

    def _concede(self, plan: _Plan) -> tuple[Concession, ...]:
        """The need asks for less from now on."""
        before = self.asking[plan.conceding]
        need, made = before.need, list[Concession]()
        for n, point in plan.points:
            for asked in self.topics[n].asked_by(need):
                if not meets(asked, point):
                    made.append(_concession(self.topics[n], asked, point))
                    need = replace(need, requirements=tuple(made[-1].after if one is asked else one for one in need.requirements))
            self.accepted[plan.conceding][n] = self.topics[n].accepted(need)
        self.asking[plan.conceding] = before._replace(need=need)
        return tuple(made)


def _concession(topic: Topic, asked: Requirement, point: Attribute) -> Concession:
    after = eased(asked, point)
    values = {"attribute": topic.name.replace("_", " "), "before": (asked,), "after": (after,), "offered": point}
    reason = NAME_ONE if not asked.values else ACCEPT if after.op == "in" else ASK_FOR
    return Concession(asked, after, distance(asked, point), Said(reason, values))


def _cost(asked: list[Requirement], point: Attribute) -> tuple[int, Fraction]:
    missed = [one for one in asked if not meets(one, point)]
    return sum(1 for one in missed if one.mandatory), sum((distance(one, point) for one in missed), Fraction(0))


def _agree(some: list[int], others: list[int]) -> bool:
    return all(one & other for one, other in zip(some, others, strict=True))


def _both(some: list[int], others: list[int]) -> list[int]:
    return [one & other for one, other in zip(some, others, strict=True)]


def _numbers(members: int) -> list[int]:
    return [n for n in range(members.bit_length()) if members >> n & 1]
