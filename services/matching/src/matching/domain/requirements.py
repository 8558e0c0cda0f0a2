"""Whether an offering meets what a need asks of one attribute."""

from matching.domain.sides import Attribute, Offering, Requirement, Stated


def stated_for(requirement: Requirement, offering: Offering) -> tuple[bool, Attribute | None]:
    """Whether it is met, and by which stated attribute (or which came nearest; None: nothing is stated).

    An offering may state an attribute several times, such as two colour temperatures; one that suits is enough. Numbers
    are compared only in the same unit. What is not stated is not met.
    """
    nearest: Attribute | None = None
    for attribute in offering.attributes:
        if attribute.key != requirement.key:
            continue
        if attribute.unit_key == requirement.unit_key:
            if suits(requirement, attribute.value):
                return True, attribute
            if nearest is None or nearest.unit_key != requirement.unit_key:
                nearest = attribute
        elif nearest is None:
            nearest = attribute
    return False, nearest


def suits(requirement: Requirement, value: Stated) -> bool:
    """Whether the value is one that is asked for; their units are not looked at."""
    if requirement.op in (">=", "<="):
        asked = requirement.values[0].number
        if asked is None or value.number is None:
            return False
        return value.number >= asked if requirement.op == ">=" else value.number <= asked
    if value.number is not None:
        return any(wanted.number == value.number for wanted in requirement.values)
    return any(wanted.number is None and wanted.plain == value.plain for wanted in requirement.values)
