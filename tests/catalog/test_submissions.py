"""What becomes of companies, offerings and exchange rates that a partner submits."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from common.contracts.catalog import CompanyListed, ExchangeRatePublished, OfferingListed
from tests.partner import Partner, dated
from tests.partner_events import cloud_event, company, offering


def rate(per_usd: Any, days_ago: int = 0, currency: str = "VND", subject: str | None = None) -> dict[str, Any]:
    """How many units of a currency one dollar bought so many days ago."""
    as_of = (date.today() - timedelta(days=days_ago)).isoformat()  # noqa: DTZ011  any day near today will do
    data = {"currency": currency, "per_usd": per_usd, "as_of": as_of, "source": "A central bank"}
    return cloud_event("exchange-rate.submitted.v1", subject or currency, data)


async def test_a_company_and_its_offering_are_announced_together_with_the_company(partner: Partner) -> None:
    answers = await partner.accepted(company(), offering())
    assert [a["effect"] for a in answers] == ["created", "created"]
    listed, offered = await partner.announced()
    assert isinstance(listed, CompanyListed)
    assert isinstance(offered, OfferingListed)
    assert (offered.company.id, offered.company.names, offered.company.example) == (listed.id, listed.names, True)
    assert offered.prices is not None
    assert [tier.unit_price for tier in offered.prices.tiers] == [420, 390, 360]


async def test_the_same_content_under_a_new_id_changes_nothing_and_announces_nothing(partner: Partner) -> None:
    await partner.accepted(company(), offering())
    answers = await partner.accepted(company(), offering())
    assert [a["effect"] for a in answers] == ["unchanged", "unchanged"]
    assert len(await partner.announced()) == 2


async def test_an_offering_can_be_withdrawn_and_listed_again(partner: Partner) -> None:
    await partner.accepted(company(), offering())
    answers = await partner.accepted(offering(status="withdrawn"), offering())
    assert [a["effect"] for a in answers] == ["updated", "updated"]
    statuses = [fact.status for fact in await partner.announced() if isinstance(fact, OfferingListed)]
    assert statuses == ["listed", "withdrawn", "listed"]


async def test_listed_offerings_are_announced_again_when_their_company_changes_its_name(partner: Partner) -> None:
    await partner.accepted(company(), offering("a"), offering("b"), offering("c", status="withdrawn"))
    await partner.accepted(company(names={"en": "Akari (example)"}))
    again = (await partner.announced())[4:]
    assert [type(fact) for fact in again] == [CompanyListed, OfferingListed, OfferingListed]
    assert {f.company.names["en"] for f in again if isinstance(f, OfferingListed)} == {"Akari (example)"}


async def test_what_an_invented_company_offers_is_marked_as_invented(partner: Partner) -> None:
    await partner.accepted(company(example=True), offering(example=False))
    last = (await partner.announced())[-1]
    assert isinstance(last, OfferingListed)
    assert last.example


async def test_an_offering_of_a_company_that_is_not_known_may_be_sent_again_after_the_company(partner: Partner) -> None:
    event = offering()
    (refused,) = await partner.send(event)
    assert (refused["retryable"], refused["errors"][0]["code"]) == (True, "unknown_company")
    await partner.accepted(company(), event)


async def test_prices_that_do_not_ascend_in_quantity_are_refused_at_the_tier(partner: Partner) -> None:
    tiers = [{"quantity": 1000, "unit_price": 390}, {"quantity": 100, "unit_price": 420}]
    answers = await partner.send(company(), offering(prices={"currency": "USD", "tiers": tiers}))
    (error,) = answers[1]["errors"]
    assert (error["pointer"], error["code"]) == ("/data/prices/tiers/1/quantity", "tiers_not_ascending")
    assert "Order the tiers" in error["detail"]


async def test_a_newer_rate_replaces_an_older_one_and_never_the_other_way_round(partner: Partner) -> None:
    answers = await partner.accepted(rate(25_000, days_ago=2), rate(25_400), rate(24_000, days_ago=9))
    assert [a["effect"] for a in answers] == ["created", "updated", "unchanged"]
    assert [a["aggregate_id"] for a in answers] == ["VND"] * 3
    rates = [fact.per_usd for fact in await partner.announced() if isinstance(fact, ExchangeRatePublished)]
    assert rates == [25_000, 25_400]


async def test_the_rate_of_a_day_can_be_corrected(partner: Partner) -> None:
    await partner.accepted(rate(25_000))
    (answer,) = await partner.accepted(rate("25000.5"))
    assert answer["effect"] == "updated"
    last = (await partner.announced())[-1]
    assert isinstance(last, ExchangeRatePublished)
    assert last.per_usd == Decimal("25000.5")


@pytest.mark.parametrize(
    ("event", "pointer", "code"),
    [
        (rate(150, currency="JPY", subject="yen"), "/subject", "subject_is_the_currency"),
        (rate(150, days_ago=-5), "/data/as_of", "date_ahead"),
        (rate(0), "/data/per_usd", "greater_than"),
        (rate(1, currency="XYZ"), "/data/currency", "unknown_currency"),
        (rate(7, currency="USD"), "/data/per_usd", "dollar_is_a_dollar"),
    ],
)
async def test_a_rate_that_makes_no_sense_is_refused(partner: Partner, event: dict[str, Any], pointer: str, code: str) -> None:
    (refused,) = await partner.send(event)
    assert [(e["pointer"], e["code"]) for e in refused["errors"]] == [(pointer, code)]


async def test_an_older_event_of_an_offering_has_no_effect(partner: Partner) -> None:
    await partner.accepted(company(), dated(offering(status="withdrawn"), hours=-1))
    (answer,) = await partner.accepted(dated(offering(), hours=-2))
    assert answer["status"] == "superseded"
