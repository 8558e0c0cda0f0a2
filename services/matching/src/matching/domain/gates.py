"""What must hold before an offering may be proposed for a need at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from matching.domain.circumstances import Circumstances
from matching.domain.requirements import stated_for
from matching.domain.sides import Attribute, Need, Offering, Requirement

Gate = Literal["need_open", "not_expired", "listed", "technology_group", "unit", "country", "requirement"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A gate that does not let the pair pass. For a mandatory requirement: which, and what the offering states of it."""

    gate: Gate
    requirement: Requirement | None = None
    stated: Attribute | None = None


def failures(need: Need, offering: Offering, circumstances: Circumstances) -> Iterator[Failure]:
    """Every gate that does not let the pair pass, each unmet mandatory requirement for itself."""
    if not need.open:
        yield Failure("need_open")
    if is_expired(need, circumstances):
        yield Failure("not_expired")
    if not offering.listed:
        yield Failure("listed")
    if need.technology not in offering.technologies and need.group not in offering.groups:
        yield Failure("technology_group")
    if need.unit != offering.unit:
        yield Failure("unit")
    if need.country not in offering.serves and need.country not in offering.interested_in:
        yield Failure("country")
    for requirement in need.requirements:
        if requirement.mandatory:
            met, stated = stated_for(requirement, offering)
            if not met:
                yield Failure("requirement", requirement, stated)


def passes(need: Need, offering: Offering, circumstances: Circumstances) -> bool:
    return next(failures(need, offering, circumstances), None) is None


def is_expired(need: Need, circumstances: Circumstances) -> bool:
    """The deadline is the last day; the day after it is too late."""
    return need.deadline < circumstances.today
