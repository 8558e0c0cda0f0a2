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
from matching.domain.facets import COUNTRY, POSSIBLE, TECHNOLOGY
from matching.domain.sides import Need, Offering


class Place(NamedTuple):
    """Needs of one technology, unit and country; `most` is the score that the offering cannot exceed there."""

    technology: str
    unit: str
    country: str
    most: int


def field(need: Need) -> str:
    """Where offerings for this need are looked for: "lighting/lamp/VN"."""
    return f"{wide_field(need)}/{need.country}"


def wide_field(need: Need) -> str:
    """The same without the country: "lighting/lamp"."""
    return f"{need.group}/{need.unit}"


def fields_of(offering: Offering) -> list[str]:
    """Every field in which the offering is found; none once it is withdrawn."""
    if not offering.listed:
        return []
    wide = [f"{group}/{offering.unit}" for group in sorted(offering.groups)]
    return wide + [f"{one}/{country}" for one in wide for country in sorted(offering.reach)]


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
