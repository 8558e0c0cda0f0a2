"""The examples are what they say: real facts with sources, invented companies marked, nobody outside `.example` to write to."""

import json
import re
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from common.contracts import catalog, needs
from common.contracts.registry import SUBMISSIONS
from common.contracts.values import Submission
from notify.offices import offices

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = ("exchange-rates", "municipalities", "companies", "offerings", "needs")
A_DAY = date(2026, 4, 1)
"""Any day of loading will do; what the rules say may not depend on it."""


def dated(value: Any, *, moment: bool = False) -> Any:
    """The value with every `{"days": n}` replaced by the date that many days from loading."""
    if isinstance(value, list):
        return [dated(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"days"}:
        day = (A_DAY + timedelta(days=value["days"])).isoformat()
        return f"{day}T00:00:00Z" if moment else day
    return {key: dated(item, moment=key == "time") for key, item in value.items()}


def lines(name: str) -> list[dict[str, Any]]:
    text = (EXAMPLES / f"{name}.ndjson").read_text(encoding="utf-8")
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


EVENTS = {name: lines(name) for name in FILES}


def read(event: dict[str, Any]) -> Submission:
    return SUBMISSIONS[event["type"]].model_validate(dated(event["data"]))


def all_of(name: str) -> dict[str, Any]:
    """The data of every event of a file, by its subject, as its contract reads it."""
    return {event["subject"]: read(event) for event in EVENTS[name]}


NEEDS: dict[str, needs.NeedSubmitted] = all_of("needs")
CITIES: dict[str, needs.MunicipalitySubmitted] = all_of("municipalities")
COMPANIES: dict[str, catalog.CompanySubmitted] = all_of("companies")
OFFERINGS: dict[str, catalog.OfferingSubmitted] = all_of("offerings")
RATES: dict[str, catalog.ExchangeRateSubmitted] = all_of("exchange-rates")


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_a_cloud_event_that_its_contract_accepts(name: str) -> None:
    for event in EVENTS[name]:
        assert set(event) == {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}
        assert event["specversion"] == "1.0"
        assert event["source"] == "https://musubi.example/examples"
        assert event["datacontenttype"] == "application/json"
        kind = event["type"].split(".")[0]
        assert event["id"] == f"example:{kind}:{event['subject']}"
        assert SUBMISSIONS[event["type"]].model_config.get("extra") == "forbid"
        read(event)


def test_every_event_has_its_own_id() -> None:
    ids = Counter(event["id"] for events in EVENTS.values() for event in events)
    assert [id_ for id_, times in ids.items() if times > 1] == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_stays_small_enough_to_read(name: str) -> None:
    assert (EXAMPLES / f"{name}.ndjson").stat().st_size < 1_000_000


def test_there_are_enough_cities_countries_needs_and_offerings() -> None:
    assert len(CITIES) >= 40
    assert len({city.country for city in CITIES.values()}) >= 10
    assert len(NEEDS) >= 60
    assert len({CITIES[need.municipality].country for need in NEEDS.values()}) >= 10
    assert len(OFFERINGS) >= 60
    assert 0 < sum(not offering.example for offering in OFFERINGS.values()) < len(OFFERINGS)


def test_what_is_referred_to_is_there() -> None:
    assert {need.municipality for need in NEEDS.values()} <= set(CITIES)
    assert {offering.company for offering in OFFERINGS.values()} == set(COMPANIES)
    used = {need.budget.currency for need in NEEDS.values() if need.budget}
    used |= {offering.prices.currency for offering in OFFERINGS.values() if offering.prices}
    assert set(RATES) == used


def test_every_office_that_a_city_names_is_known() -> None:
    assert {city.office_id for city in CITIES.values() if city.office_id} <= set(offices().recipients)


def test_everything_says_where_it_was_published() -> None:
    for subject, data in {**NEEDS, **CITIES, **COMPANIES, **OFFERINGS, **RATES}.items():
        assert data.source, subject
    for published in (*NEEDS.values(), *CITIES.values(), *(o for o in OFFERINGS.values() if not o.example)):
        assert "confidence: " in (published.source or "")


def test_needs_and_offerings_speak_japanese_and_english() -> None:
    for need in NEEDS.values():
        assert {"ja", "en"} <= set(need.title)
        assert {"ja", "en"} <= set(need.text)
        assert "ublished" in need.text["en"]
        assert "公表" in need.text["ja"]
    for offering in OFFERINGS.values():
        assert {"ja", "en"} <= set(offering.names)
        assert {"ja", "en"} <= set(offering.text)
    for city in CITIES.values():
        assert {"ja", "en"} <= set(city.names)


def test_every_text_says_that_the_deadline_is_an_example() -> None:
    for event in EVENTS["needs"]:
        assert 60 <= event["data"]["deadline"]["days"] <= 540
        assert "its deadline is an example" in event["data"]["text"]["en"]
        assert "期限も例" in event["data"]["text"]["ja"]


def test_a_budget_says_what_it_is() -> None:
    for subject, need in NEEDS.items():
        assert (need.budget is None) == (need.budget_basis is None), subject
        assert not need.budget_basis or need.budget_basis.startswith(
            ("published budget", "published contract value, not a budget")
        )


def test_only_tenders_and_contracts_make_a_requirement_mandatory() -> None:
    for subject, need in NEEDS.items():
        binding = need.text["en"].startswith(("Published as a tender", "Published as a contract"))
        assert binding or not any(asked.mandatory for asked in need.requirements), subject


def test_nobody_outside_of_the_reserved_domain_can_be_written_to() -> None:
    text = "".join((EXAMPLES / f"{name}.ndjson").read_text(encoding="utf-8") for name in FILES)
    addresses = re.findall(r"[^\s\"<>]+@[^\s\"<>]+", text)
    assert len(addresses) > len(CITIES)
    assert [address for address in addresses if not address.endswith(".example")] == []
    assert [url for url in re.findall(r"https?://([^/\"\s]+)", text) if not url.endswith(".example")] == []


def test_nothing_is_invented_in_the_name_of_a_real_maker() -> None:
    for subject, company in COMPANIES.items():
        if not company.example:
            assert (company.contacts, company.languages, company.website) == ([], [], None), subject
    for subject, offering in OFFERINGS.items():
        assert offering.example == COMPANIES[offering.company].example, subject
        if not offering.example:
            assert (offering.lead_time_days, offering.languages, offering.countries_of_interest) == (None, [], []), subject
            assert offering.minimum_order is offering.maximum_order is None, subject


def test_an_invented_offering_says_so_and_names_the_prices_it_is_drawn_from() -> None:
    for offering in OFFERINGS.values():
        if offering.example:
            assert offering.text["en"].startswith("Invented for the examples.")
            assert offering.text["ja"].startswith("例として作った架空の製品です。")
            assert offering.prices is None or "example" in (offering.prices.note or "")
        else:
            assert offering.prices is None or offering.prices.note


def test_the_rates_are_marked_as_examples_and_one_is_too_old() -> None:
    assert {rate.source for rate in RATES.values()} == {"Example rate, rounded; not a market rate"}
    too_old = {rate.currency for rate in RATES.values() if (A_DAY - rate.as_of).days > 35}
    assert too_old == {"RON"}
