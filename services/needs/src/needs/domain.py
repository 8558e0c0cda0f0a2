"""The rules of needs: what becomes of a submitted need, which changes of its status are sensible, and when it closes."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from common.contracts.needs import (
    Buyer,
    MunicipalityListed,
    MunicipalitySubmitted,
    NeedPosted,
    NeedSubmitted,
)
from common.errors import Rejected
from common.faults import fault

HORIZON_YEARS = 50
"""A deadline later than this is a mistyped year, and the calendar of a time zone ends somewhere."""

LARGEST_UNIT_BUDGET = Decimal(10) ** 18
"""Contracts carry amounts below this; a larger budget for one unit is surely a slip of units."""


def listed(submitted: MunicipalitySubmitted, municipality_id: str) -> MunicipalityListed:
    """The municipality as it now is."""
    return MunicipalityListed.model_validate({**submitted.model_dump(), "id": municipality_id})


def buyer(municipality: MunicipalityListed) -> Buyer:
    """What others have to know of a need's municipality; its contacts stay here."""
    return Buyer(
        id=municipality.id,
        names=municipality.names,
        country=municipality.country,
        timezone=municipality.timezone,
        languages=municipality.languages,
        office_id=municipality.office_id,
    )


def posted(
    submitted: NeedSubmitted,
    need_id: str,
    municipality: MunicipalityListed,
    before: NeedPosted | None,
    now: datetime,
) -> NeedPosted:
    """The need as it now is. Raises Rejected where the deadline or the budget makes no sense or the change of status
    is refused.

    A need that we hear of first may be closed or withdrawn already: its earlier events may have been lost or come later, and
    if we refused it, the earlier one would stay open for ever."""
    today = now.astimezone(ZoneInfo(municipality.timezone)).date()
    limit = today.replace(year=today.year + HORIZON_YEARS, day=1)
    if submitted.deadline > limit:
        raise Rejected(faults=(fault("/data/deadline", "date_too_far", value=submitted.deadline, limit=limit),))
    if submitted.status == "open" and submitted.deadline < today:
        raise Rejected(faults=(fault("/data/deadline", "deadline_in_the_past", value=submitted.deadline, today=today),))
    budget, quantity = submitted.budget, submitted.quantity
    if budget and budget.amount >= LARGEST_UNIT_BUDGET * quantity:
        raise Rejected(
            faults=(fault("/data/budget/amount", "unit_budget_too_large", value=f"{budget.amount:f}", quantity=f"{quantity:f}"),)
        )
    if before and before.status == "withdrawn" and submitted.status != "withdrawn":
        raise Rejected(faults=(fault("/data/status", "need_was_withdrawn", value=submitted.status),))
    return NeedPosted.model_validate(
        {**submitted.model_dump(exclude={"municipality"}), "id": need_id, "municipality": buyer(municipality)}
    )


def at_new_address(need: NeedPosted, municipality: MunicipalityListed) -> NeedPosted:
    """The same need, carrying what is now known of its municipality."""
    return need.model_copy(update={"municipality": buyer(municipality)})


def closed(need: NeedPosted) -> NeedPosted:
    """The need after its last day. Raises Rejected for one that was withdrawn."""
    if need.status == "withdrawn":
        raise Rejected(faults=(fault("/data/status", "need_was_withdrawn", value="closed"),))
    return need.model_copy(update={"status": "closed"})


def closes_at(deadline: date, timezone: str) -> datetime:
    """The end of the last day of delivery, in the municipality's time zone, as UTC."""
    return datetime.combine(deadline + timedelta(days=1), time(), ZoneInfo(timezone)).astimezone(UTC)
