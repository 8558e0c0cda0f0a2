"""The rules of the catalogue: what becomes of a submitted company or offering, and which exchange rate is the newest."""

from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from common.contracts.catalog import (
    CompanyListed,
    CompanySubmitted,
    ExchangeRatePublished,
    ExchangeRateSubmitted,
    OfferingListed,
    OfferingSubmitted,
    Prices,
    Supplier,
)
from common.errors import Rejected
from common.faults import fault


def listed_company(submitted: CompanySubmitted, company_id: str) -> CompanyListed:
    """The company as it now is."""
    return CompanyListed.model_validate({**submitted.model_dump(), "id": company_id})


def supplier(company: CompanyListed) -> Supplier:
    """What others have to know of the company behind an offering; its contacts stay here."""
    return Supplier(id=company.id, names=company.names, country=company.country, example=company.example)


def listed_offering(submitted: OfferingSubmitted, offering_id: str, company: CompanyListed) -> OfferingListed:
    """The offering as it now is. What an invented company offers is invented too."""
    return OfferingListed.model_validate(
        {
            **submitted.model_dump(exclude={"company"}),
            "id": offering_id,
            "company": supplier(company),
            "example": submitted.example or company.example,
        }
    )


def of_changed_company(offering: OfferingListed, company: CompanyListed) -> OfferingListed:
    """The same offering, carrying what is now known of its company."""
    return offering.model_copy(update={"company": supplier(company), "example": offering.example or company.example})


def newest_rate(
    submitted: ExchangeRateSubmitted, subject: str, before: ExchangeRatePublished | None, today: date
) -> ExchangeRatePublished:
    """The rate that holds from now on: an older one never replaces a newer. Raises Rejected for another currency's subject, for
    a dollar that is not one dollar, and for a day that has not been anywhere on earth."""
    if subject != submitted.currency:
        raise Rejected(faults=(fault("/subject", "subject_is_the_currency", value=subject, currency=submitted.currency),))
    if submitted.currency == "USD" and submitted.per_usd != 1:
        raise Rejected(faults=(fault("/data/per_usd", "dollar_is_a_dollar", value=f"{submitted.per_usd:f}"),))
    if submitted.as_of > today + timedelta(days=1):
        raise Rejected(faults=(fault("/data/as_of", "date_ahead", value=submitted.as_of, today=today),))
    if before and submitted.as_of < before.as_of:
        return before
    return ExchangeRatePublished.model_validate(submitted.model_dump())


class PriceBand(NamedTuple):
    """From `first` on, up to but not including `until` (None: without end), one unit costs `price`."""

    first: Decimal
    until: Decimal | None
    price: Decimal


def price_bands(prices: Prices) -> list[PriceBand]:
    """The tiers as a reader sees them: each with where it ends."""
    ends = [*(tier.quantity for tier in prices.tiers[1:]), None]
    return [PriceBand(tier.quantity, end, tier.unit_price) for tier, end in zip(prices.tiers, ends, strict=True)]
