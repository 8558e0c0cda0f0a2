"""Where needs of one technology can meet: for each attribute the values that they state, and who would accept which.

A need that asks nothing of an attribute accepts everything. Numbers with bounds meet, if they meet at all, at a number that one
of them states; sets meet at a member. So the stated values are the only ones that have to be looked at, and what a need
accepts of them is a row of bits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from matching.domain.requirements import suits
from matching.domain.sides import Attribute, Need, Requirement, Stated

ANYTHING_ELSE = 1
"""The lowest bit: any value that nobody states. Only who asks nothing accepts it."""


def meets(asked: Requirement, point: Attribute) -> bool:
    """Whether a product with this value would meet the requirement; in another unit it does not."""
    return asked.unit_key == point.unit_key and suits(asked, point.value)


class Topic(NamedTuple):
    """One attribute that needs speak of. `points` are the values that any of them states, each once, in a fixed order."""

    key: str
    name: str
    points: tuple[Attribute, ...]

    @property
    def everything(self) -> int:
        return (2 << len(self.points)) - 1

    def accepted(self, need: Need) -> int:
        """The points that meet all that the need asks of this attribute, as bits from the second lowest on."""
        asked = self.asked_by(need)
        if not asked:
            return self.everything
        return sum(2 << n for n, point in enumerate(self.points) if all(meets(one, point) for one in asked))

    def asked_by(self, need: Need) -> list[Requirement]:
        return [one for one in need.requirements if one.key == self.key]

    def among(self, accepted: int) -> list[Attribute]:
        """The points of these bits."""
        return [point for n, point in enumerate(self.points) if accepted & (2 << n)]

    def specification(self, needs: Iterable[Need]) -> list[Requirement]:
        """What asks as much as all of these needs together: the stricter bounds, or the values that all accept.

        The needs must have a value in common. It is mandatory where it is so to one of them. Empty where none asks anything.
        """
        members = list(needs)
        asked = [one for need in members for one in self.asked_by(need)]
        if not asked:
            return []
        whole = replace(asked[0], mandatory=any(one.mandatory for one in asked))
        if any(one.op in ("=", "in") for one in asked):
            accepted = self.everything
            for need in members:
                accepted &= self.accepted(need)
            values = tuple(point.value for point in self.among(accepted))
            return [replace(whole, op="=" if len(values) == 1 else "in", values=values)]
        lowest = [_number(one) for one in asked if one.op == ">="]
        highest = [_number(one) for one in asked if one.op == "<="]
        bounds: list[Requirement] = []
        if lowest:
            bounds.append(replace(whole, op=">=", values=(Stated(max(lowest)),)))
        if highest:
            bounds.append(replace(whole, op="<=", values=(Stated(min(highest)),)))
        return bounds


def topics(needs: Sequence[Need]) -> list[Topic]:
    """Every attribute that one of these needs asks something of, by name. The order of the needs does not matter."""
    asked = sorted(
        (one for need in needs for one in need.requirements),
        key=lambda one: (one.key, one.unit_key, one.name, one.unit),
    )
    names = {one.key: one.name for one in reversed(asked)}
    points: dict[str, dict[object, Attribute]] = {key: {} for key in sorted(names)}
    for one in asked:
        for value in sorted(one.values, key=_in_order):
            same = (one.unit_key, value.number, value.plain)
            points[one.key].setdefault(same, Attribute(one.key, names[one.key], one.unit_key, one.unit, value))
    return [
        Topic(key, names[key], tuple(sorted(found.values(), key=lambda point: (point.unit_key, *_in_order(point.value)))))
        for key, found in points.items()
    ]


def distance(asked: Requirement, point: Attribute) -> Fraction:
    """How far from what is asked the value is, from 0 to 1: the difference of the numbers as a share of the larger one.

    1 where there are no two numbers in one unit to compare: another text, another unit.
    """
    wanted = [value.number for value in asked.values if value.number is not None]
    if point.value.number is None or not wanted or asked.unit_key != point.unit_key:
        return Fraction(1)
    there = Fraction(point.value.number)
    return min(_apart(Fraction(number), there) for number in wanted)


def eased(asked: Requirement, point: Attribute) -> Requirement:
    """The requirement changed by as little as possible, so that this value meets it.

    A bound moves to it, a set takes it in. Where that makes no sense (another unit, a text for a bound) it is asked for instead.
    """
    if asked.unit_key == point.unit_key and asked.op in ("=", "in"):
        values = (*asked.values, point.value)
        return replace(asked, op="in" if len(values) > 1 else "=", values=values)
    if asked.unit_key == point.unit_key and point.value.number is not None:
        return replace(asked, values=(point.value,))
    return replace(asked, op="=", unit_key=point.unit_key, unit=point.unit, values=(point.value,))


def _apart(one: Fraction, other: Fraction) -> Fraction:
    larger = max(abs(one), abs(other))
    return min(abs(one - other) / larger, Fraction(1)) if larger else Fraction(0)


def _number(asked: Requirement) -> Decimal:
    number = asked.values[0].number
    if number is None:
        raise ValueError(f"{asked.name} {asked.op} needs a number")
    return number


def _in_order(value: Stated) -> tuple[bool, Decimal, str, str]:
    return value.number is None, value.number or Decimal(0), value.plain, value.text
