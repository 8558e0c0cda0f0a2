"""Where a need's offerings are found, and the most that they can earn there.

The points of technology and country follow from the place alone. So whole fields can be left out once the list is beyond their
reach, with the facets' own points.
"""

from typing import NamedTuple

from matching.domain.facets import COUNTRY, OF_INTEREST, POSSIBLE, SAME_GROUP, TECHNOLOGY
from matching.domain.sides import Need, Offering


def wide_field(need: Need) -> str:
    """All offerings of the need's group and unit, whatever their countries: "lighting/lamp"."""
    return f"{need.group}/{need.unit}"


class Step(NamedTuple):
    """A part of a search: the field to look in without those of the fields before, and the most that is to be had there."""

    field: str
    without: tuple[str, ...]
    most: int


def steps(need: Need) -> tuple[Step, ...]:
    """Where to look for the need's offerings, the most promising first; together they hold all that may be proposed."""
    served = f"{need.technology}/{need.country}/served"
    of_interest = f"{need.technology}/{need.country}/of interest"
    other_technology = POSSIBLE - TECHNOLOGY.possible + SAME_GROUP.points
    return (
        Step(served, (), POSSIBLE),
        Step(of_interest, (), POSSIBLE - COUNTRY.possible + OF_INTEREST.points),
        Step(f"{wide_field(need)}/{need.country}", (served, of_interest), other_technology),
    )


def fields_of(offering: Offering) -> list[str]:
    """Every field in which the offering is found; none once it is withdrawn."""
    if not offering.listed:
        return []
    wide = [f"{group}/{offering.unit}" for group in sorted(offering.groups)]
    found = wide + [f"{one}/{country}" for one in wide for country in sorted(offering.reach)]
    for technology in offering.technologies:
        found += [f"{technology}/{country}/served" for country in sorted(offering.serves)]
        found += [f"{technology}/{country}/of interest" for country in sorted(offering.interested_in - offering.serves)]
    return found
