"""What the needs service takes in and announces: municipalities and what they need."""

from decimal import Decimal
from functools import cache
from typing import Annotated, ClassVar, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from common import vocabulary
from common.contracts.values import (
    Amount,
    Attribute,
    Contact,
    Country,
    Day,
    Fact,
    Id,
    Language,
    Line,
    Measure,
    Money,
    Name,
    Position,
    PositiveAmount,
    Prose,
    Submission,
    TechnologyCode,
    Text,
    UnitCode,
    Value,
)


@cache
def _zones() -> frozenset[str]:
    """All zones. `available_timezones` walks through the zone files each time, which takes milliseconds."""
    return frozenset(available_timezones())


def _known_zone(value: str) -> str:
    if value not in _zones():
        raise PydanticCustomError("unknown_timezone", "{value} is not known", {"value": value[:80]})
    return value


TimeZone = Annotated[str, AfterValidator(_known_zone)]
"""An IANA zone, such as `Asia/Ho_Chi_Minh`."""

NeedStatus = Literal["open", "closed", "withdrawn"]


class Requirement(Value):
    """What the need asks of an offering: `efficacy >= 150 lm/W`. `in` takes a list of texts or numbers.

    A mandatory requirement must be met; a preferred one earns points."""

    attribute: Line
    op: Literal["=", ">=", "<=", "in"]
    value: Measure | Line | list[Measure | Line]
    unit: Line | None = None
    mandatory: bool = False

    @model_validator(mode="after")
    def _value_suits_the_comparison(self) -> "Requirement":
        if self.op in (">=", "<=") and not isinstance(self.value, Decimal):
            raise PydanticCustomError("requirement_not_a_number", "{op} needs a number", {"op": self.op})
        if (self.op == "in") != isinstance(self.value, list):
            raise PydanticCustomError("requirement_list", "a list goes with 'in' and with nothing else")
        return self


def _accepts_something(asked: Requirement) -> Requirement:
    if asked.value == []:
        raise PydanticCustomError("requirement_empty_list", "a list of nothing is met by nothing")
    return asked


class MunicipalityFields(Value):
    """A municipality's City Page."""

    names: Name
    country: Country
    timezone: TimeZone
    languages: Annotated[list[Language], Field(min_length=1, max_length=10)]
    office_id: Id | None = Field(default=None, description="The trade office that looks after it; else the one of its country")
    contacts: Annotated[list[Contact], Field(max_length=20)] = []
    interests: Annotated[list[TechnologyCode], Field(max_length=50)] = []
    population: Annotated[int, Field(ge=0)] | None = None
    position: Position | None = None
    source: Prose | None = Field(default=None, description="Where these facts were published")


class MunicipalitySubmitted(MunicipalityFields, Submission):
    """A partner's request to record a municipality."""

    type: ClassVar[str] = "municipality.submitted.v1"
    service: ClassVar[str] = "needs"


class MunicipalityListed(MunicipalityFields, Fact):
    """A municipality is listed, or what we know of it changed."""

    type: ClassVar[str] = "municipality.listed.v1"
    topic: ClassVar[str] = "needs.municipalities"

    id: Id

    @property
    def subject(self) -> str:
        return self.id


class NeedFields(Value):
    """What a municipality wants to buy. `budget` is for the whole quantity; the deadline is the last day of delivery, in the
    municipality's time zone."""

    title: Name
    text: Text = {}
    technology: TechnologyCode
    quantity: PositiveAmount
    unit: UnitCode
    budget: Money | None = None
    budget_basis: Prose | None = Field(default=None, description="What the budget covers, in the source's words")
    deadline: Day
    requirements: Annotated[list[Requirement], Field(max_length=50)] = []
    standards: Annotated[list[Line], Field(max_length=30)] = Field(
        default=[], description="Standards and certificates that are welcome"
    )
    baseline: Annotated[list[Attribute], Field(max_length=30)] = Field(default=[], description="What is there today")
    joint_purchase: bool = Field(default=False, description="Welcome to buy together with others")
    status: NeedStatus = "open"
    source: Prose | None = Field(default=None, description="Where this need was published")

    @model_validator(mode="after")
    def _unit_is_that_of_the_technology(self) -> "NeedFields":
        technology = vocabulary.technologies()[self.technology]
        if not technology.unit:
            raise PydanticCustomError("technology_is_a_group", "{code} is a group", {"code": self.technology})
        if self.unit != technology.unit:
            raise PydanticCustomError(
                "unit_mismatch", "{code} is counted in {unit}", {"code": self.technology, "unit": technology.unit}
            )
        return self


class NeedSubmitted(NeedFields, Submission):
    """A partner's request to record a need; `municipality` is the subject under which it submitted the municipality."""

    type: ClassVar[str] = "need.submitted.v1"
    service: ClassVar[str] = "needs"

    municipality: Id
    # Only here: facts that were accepted with an empty list stay readable.
    requirements: Annotated[list[Annotated[Requirement, AfterValidator(_accepts_something)]], Field(max_length=50)] = []


class Buyer(Value):
    """The municipality behind a need, as far as others have to know it."""

    id: Id
    names: Name
    country: Country
    timezone: TimeZone
    languages: list[Language]
    office_id: Id | None = None


class NeedPosted(NeedFields, Fact):
    """A need is posted, changed, closed or withdrawn (see `status`)."""

    type: ClassVar[str] = "need.posted.v1"
    topic: ClassVar[str] = "needs.needs"

    id: Id
    municipality: Buyer

    @property
    def subject(self) -> str:
        return self.id

    @property
    def unit_budget(self) -> Amount | None:
        """The budget for one unit, in the budget's currency."""
        return self.budget.amount / self.quantity if self.budget else None
