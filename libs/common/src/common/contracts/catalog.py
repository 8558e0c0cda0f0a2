"""What the catalog service takes in and announces: companies, their offerings with price tiers, exchange rates."""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from common import vocabulary
from common.contracts.values import (
    Attribute,
    Contact,
    Country,
    Currency,
    Day,
    Fact,
    Id,
    Language,
    Line,
    Name,
    PositiveAmount,
    Prose,
    Submission,
    TechnologyCode,
    Text,
    UnitCode,
    Value,
)


class CompanyFields(Value):
    """A company's Green Page. `example` marks an invented company."""

    names: Name
    country: Country
    languages: Annotated[list[Language], Field(max_length=20)] = []
    contacts: Annotated[list[Contact], Field(max_length=20)] = []
    website: Line | None = None
    example: bool = False
    source: Prose | None = Field(default=None, description="Where these facts were published")


class CompanySubmitted(CompanyFields, Submission):
    """A partner's request to record a company."""

    type: ClassVar[str] = "company.submitted.v1"
    service: ClassVar[str] = "catalog"


class CompanyListed(CompanyFields, Fact):
    """A company is listed, or what we know of it changed."""

    type: ClassVar[str] = "company.listed.v1"
    topic: ClassVar[str] = "catalog.companies"

    id: Id

    @property
    def subject(self) -> str:
        return self.id


class Tier(Value):
    """From this quantity on, one unit costs this much."""

    quantity: PositiveAmount
    unit_price: PositiveAmount


class Prices(Value):
    """Price tiers in one currency. `all_units`: the tier reached prices every unit; `incremental`: each tier prices its own."""

    currency: Currency
    basis: Literal["all_units", "incremental"] = "all_units"
    tiers: Annotated[list[Tier], Field(min_length=1, max_length=50)]
    tax_included: bool | None = Field(default=None, description="Null: not stated")
    note: Prose | None = None

    @model_validator(mode="after")
    def _tiers_ascend(self) -> "Prices":
        for n, (low, high) in enumerate(pairwise(self.tiers), start=1):
            if high.quantity <= low.quantity:
                raise PydanticCustomError(
                    "tiers_not_ascending",
                    "tier {n} does not ascend",
                    {"n": n + 1, "value": str(high.quantity), "before": str(low.quantity)},
                )
        return self


class OfferingFields(Value):
    """A product or service that a company offers. Quantities are in the unit of its technologies."""

    names: Name
    text: Text = {}
    technologies: Annotated[list[TechnologyCode], Field(min_length=1, max_length=10)]
    unit: UnitCode
    attributes: Annotated[list[Attribute], Field(max_length=50)] = []
    countries_served: Annotated[list[Country], Field(max_length=250)] = []
    countries_of_interest: Annotated[list[Country], Field(max_length=250)] = []
    prices: Prices | None = None
    minimum_order: PositiveAmount | None = None
    maximum_order: PositiveAmount | None = None
    lead_time_days: Annotated[int, Field(ge=0, le=10_000)] | None = None
    standards: Annotated[list[Line], Field(max_length=30)] = []
    certificates: Annotated[list[Line], Field(max_length=30)] = []
    languages: Annotated[list[Language], Field(max_length=20)] = []
    status: Literal["listed", "withdrawn"] = "listed"
    example: bool = False
    source: Prose | None = Field(default=None, description="Where these facts were published")

    @model_validator(mode="after")
    def _fits_together(self) -> "OfferingFields":
        for code in self.technologies:
            technology = vocabulary.technologies()[code]
            if not technology.unit:
                raise PydanticCustomError("technology_is_a_group", "{code} is a group", {"code": code})
            if self.unit != technology.unit:
                raise PydanticCustomError("unit_mismatch", "{code} is counted in {unit}", {"code": code, "unit": technology.unit})
        if self.minimum_order and self.maximum_order and self.minimum_order > self.maximum_order:
            raise PydanticCustomError(
                "order_range",
                "minimum above maximum",
                {"minimum": str(self.minimum_order), "maximum": str(self.maximum_order)},
            )
        return self


class OfferingSubmitted(OfferingFields, Submission):
    """A partner's request to record an offering; `company` is the subject under which it submitted the company."""

    type: ClassVar[str] = "offering.submitted.v1"
    service: ClassVar[str] = "catalog"

    company: Id


class Supplier(Value):
    """The company behind an offering, as far as others have to know it."""

    id: Id
    names: Name
    country: Country
    example: bool = False


class OfferingListed(OfferingFields, Fact):
    """An offering is listed, changed or withdrawn (see `status`)."""

    type: ClassVar[str] = "offering.listed.v1"
    topic: ClassVar[str] = "catalog.offerings"

    id: Id
    company: Supplier

    @property
    def subject(self) -> str:
        return self.id


class ExchangeRateFields(Value):
    """How many units of `currency` one US dollar bought on `as_of`."""

    currency: Currency
    per_usd: PositiveAmount
    as_of: Day
    source: Prose


class ExchangeRateSubmitted(ExchangeRateFields, Submission):
    """A partner's request to record a rate; its subject is the currency."""

    type: ClassVar[str] = "exchange-rate.submitted.v1"
    service: ClassVar[str] = "catalog"


class ExchangeRatePublished(ExchangeRateFields, Fact):
    """The newest rate of a currency."""

    type: ClassVar[str] = "exchange-rate.published.v1"
    topic: ClassVar[str] = "catalog.exchange-rates"

    @property
    def subject(self) -> str:
        return self.currency
