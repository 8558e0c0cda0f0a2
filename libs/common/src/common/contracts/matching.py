"""What the matching service announces: for every need its shortlist, explained."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from common.contracts.catalog import Supplier
from common.contracts.needs import Buyer
from common.contracts.values import (
    Amount,
    Fact,
    Id,
    Line,
    Money,
    Name,
    PositiveAmount,
    TechnologyCode,
    Text,
    UnitCode,
    Value,
)


class FacetScore(Value):
    """What one facet earned of what it could have: a stable reason code, its real values, and the sentence by language."""

    facet: Line
    earned: Annotated[int, Field(ge=0)]
    possible: Annotated[int, Field(ge=0)]
    reason: Line
    values: dict[str, str | int] = {}
    words: Text


class PriceAtQuantity(Value):
    """The price at the need's quantity. `tier` counts from 1; `total` is what the whole quantity costs."""

    unit_price: Money
    total: Money
    tier: Annotated[int, Field(ge=1)]
    tiers: Annotated[int, Field(ge=1)]
    basis: Literal["all_units", "incremental"]


class Match(Value):
    """One offering for one need: score out of 100 and why."""

    offering_id: Id
    offering: Name
    company: Supplier
    score: Annotated[int, Field(ge=0, le=100)]
    facets: list[FacetScore]
    price: PriceAtQuantity | None = None
    lead_time_days: int | None = None


class NeedSummary(Value):
    """The need that a shortlist answers."""

    id: Id
    title: Name
    municipality: Buyer
    technology: TechnologyCode
    quantity: PositiveAmount
    unit: UnitCode
    budget: Money | None = None
    unit_budget: Amount | None = None
    deadline: date
    status: Literal["open", "closed", "withdrawn"]
    joint_purchase: bool = False


class ShortlistChanged(Fact):
    """The exact ten best offerings of a need, best first (score, then offering id); empty where none fits or it is closed."""

    type: ClassVar[str] = "shortlist.changed.v1"
    topic: ClassVar[str] = "matching.proposals"

    need: NeedSummary
    matches: Annotated[list[Match], Field(max_length=10)]
    as_of: AwareDatetime = Field(description="The moment for which it was computed")
    weights: Line = Field(description="Version of the facets' points")

    @property
    def subject(self) -> str:
        return self.need.id
