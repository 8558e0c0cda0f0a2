"""Where a need and an offering can meet, and the most that an offering can earn there.

The points of technology and country follow from the place alone. So PostgreSQL can leave out every need whose list is out
of reach, with the facets' own points.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from common import vocabulary
from matching.domain.circumstances import Circumstances
from matching.domain.facets import COUNTRY, OF_INTEREST, POSSIBLE, SAME_GROUP, TECHNOLOGY
from matching.domain.sides import Need, Offering


class Place(NamedTuple):
    """Needs of one technology, unit and country; `most` is the score that the offering cannot exceed there."""

    technology: str
    unit: str
    country: str
    most: int


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


def places(offering: Offering) -> Iterator[Place]:
    """Every place in which the offering may be proposed; none once it is withdrawn."""
    if not offering.listed:
        return
    countries = {country: _lost_by_country(offering, country) for country in sorted(offering.reach)}
    for technology in _technologies(offering):
        spare = POSSIBLE - _lost_by_technology(offering, technology)
        for country, lost in countries.items():
            yield Place(technology, offering.unit, country, spare - lost)


def _technologies(offering: Offering) -> list[str]:
    """Those of its groups that are counted in its unit."""
    groups = offering.groups
    return [one.code for one in vocabulary.technologies().values() if one.unit == offering.unit and one.group in groups]


_ANY_DAY = Circumstances(date.min, {})


def _probe(offering: Offering, technology: str, country: str) -> Need:
    """A need of which nothing but its place matters."""
    return Need(
        "", technology, offering.unit, country, Decimal(1), None, "", date.max, (), requirements=(), standards=(), open=True
    )


def _lost_by_technology(offering: Offering, technology: str) -> int:
    return TECHNOLOGY.possible - TECHNOLOGY.earn(_probe(offering, technology, ""), offering, _ANY_DAY).points


def _lost_by_country(offering: Offering, country: str) -> int:
    technology = offering.technologies[0]
    return COUNTRY.possible - COUNTRY.earn(_probe(offering, technology, country), offering, _ANY_DAY).points
