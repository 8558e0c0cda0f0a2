"""What the matching service announces: for every need its shortlist, explained, and what became of a match; and to itself, what a
technology group has to know."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from common.contracts.catalog import OfferingListed, Supplier
from common.contracts.needs import Buyer, NeedPosted
from common.contracts.values import (
    Amount,
    Fact,
    Id,
    Line,
    Money,
    Name,
    Note,
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


Speaking = Literal["municipality", "company", "office", "secretariat"]
"""Who may say what becomes of a match, by kind of organisation."""
Word = Literal["interested", "declined", "introduced", "awarded", "taken_back"]
"""What can be said of a match. `taken_back` makes the organisation's word before it count no more."""
Outcome = Literal["awarded", "introduced", "interested", "one_sided", "declined"]
"""What became of a match. `one_sided`: one is interested, the other has declined."""


class Statement(Value):
    """What one organisation said of a match, and where the match stood on the need's list at that moment."""

    organisation_id: Id
    organisation: Name
    kind: Speaking
    word: Word
    reason: Line | None = Field(None, description="Why it declined: a code of the list of reasons")
    note: Note | None = None
    on_behalf_of: Id | None = Field(None, description="The municipality whose award an office or the secretariat recorded")
    said_by: Id = Field(description="An account, not a name")
    said_at: AwareDatetime
    place: Annotated[int, Field(ge=1)] | None = Field(None, description="Rank on the need's list; none: not on it")
    score: Annotated[int, Field(ge=0, le=100)] | None = Field(None, description="None: it did not fit any more")
    weights: Line = Field(description="Version of the facets' points")


class FeedbackGiven(Fact):
    """Somebody said something of a match: what it was, and with it all that stands of the match now."""

    type: ClassVar[str] = "feedback.given.v1"
    topic: ClassVar[str] = "matching.feedback"

    need_id: Id
    offering_id: Id
    municipality_id: Id
    company_id: Id
    technology: TechnologyCode
    said: Statement
    standing: list[Statement] = Field(description="The latest word of each organisation, without those taken back; newest first")
    outcome: Outcome | None = Field(description="None: all was taken back")

    @property
    def subject(self) -> str:
        """The match, so that what is said of it stays in order; of two matches of a need nothing has to be in order."""
        return f"{self.need_id}/{self.offering_id}"


class NeedRouted(Fact):
    """A need as a technology group has to know it from now on. Matching sends it to itself: one process works on a group."""

    type: ClassVar[str] = "need.routed.v1"
    topic: ClassVar[str] = "matching.needs-by-group"

    group: Line
    id: Id
    need: NeedPosted | None = Field(description="Null: it belongs to another group now")

    @property
    def subject(self) -> str:
        return f"{self.group}/{self.id}"


class OfferingRouted(Fact):
    """The same for an offering; one that has technologies of several groups is sent to each."""

    type: ClassVar[str] = "offering.routed.v1"
    topic: ClassVar[str] = "matching.offerings-by-group"

    group: Line
    id: Id
    offering: OfferingListed | None = Field(description="Null: it has no technology of this group any more")

    @property
    def subject(self) -> str:
        return f"{self.group}/{self.id}"
