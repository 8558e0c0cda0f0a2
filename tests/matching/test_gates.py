"""What keeps an offering from being proposed at all."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from matching.domain.gates import failures
from tests.matching.pairs import DIMMING, EFFICACY, NOW, TODAY, need, offering


def failed(of_need: dict[str, Any] | None = None, of_offering: dict[str, Any] | None = None) -> list[str]:
    return [one.gate for one in failures(need(**of_need or {}), offering(**of_offering or {}), NOW)]


def test_a_pair_that_fits_passes() -> None:
    assert failed() == []


@pytest.mark.parametrize(
    ("gate", "of_need", "of_offering"),
    [
        ("need_open", {"status": "closed"}, {}),
        ("need_open", {"status": "withdrawn"}, {}),
        ("not_expired", {"deadline": TODAY - timedelta(days=1)}, {}),
        ("listed", {}, {"status": "withdrawn"}),
        ("technology_group", {}, {"technologies": ["planning.inventory"], "unit": "city"}),
        ("unit", {}, {"technologies": ["lighting.street_control"], "unit": "controller"}),
        ("country", {}, {"countries_served": ["JP"], "countries_of_interest": ["TH"]}),
        ("requirement", {"requirements": [{**EFFICACY, "value": 161, "mandatory": True}]}, {}),
    ],
)
def test_each_gate_stops_a_pair(gate: str, of_need: dict[str, Any], of_offering: dict[str, Any]) -> None:
    assert gate in failed(of_need, of_offering)


def test_the_deadline_is_the_last_day_itself() -> None:
    assert failed({"deadline": TODAY}) == []


def test_another_technology_of_the_group_in_the_same_unit_passes() -> None:
    assert failed(of_offering={"technologies": ["lighting.tunnel_led"]}) == []


def test_a_country_of_interest_is_enough() -> None:
    assert failed(of_offering={"countries_served": [], "countries_of_interest": ["VN"]}) == []


def test_a_preferred_requirement_stops_nobody() -> None:
    assert failed({"requirements": [{**EFFICACY, "value": 1000, "mandatory": False}]}) == []


@pytest.mark.parametrize(
    ("op", "value", "unit", "stated", "met"),
    [
        (">=", 150, "lm/W", {"value": 150, "unit": "lm/W"}, True),
        (">=", 150, "lm/W", {"value": Decimal("149.999999"), "unit": "lm/W"}, False),
        (">=", 150, "lm/W", {"value": 150, "unit": "LM/w"}, True),
        (">=", 150, "lm/W", {"value": 200, "unit": "lm"}, False),
        (">=", 150, "lm/W", {"value": 200, "unit": None}, False),
        ("<=", 60, "W", {"value": 60, "unit": "W"}, True),
        ("<=", 60, "W", {"value": 61, "unit": "W"}, False),
        ("=", 4000, "K", {"value": 4000, "unit": "K"}, True),
        ("=", 4000, "K", {"value": 3000, "unit": "K"}, False),
        ("=", "DALI", None, {"value": "dali", "unit": None}, True),
        ("=", "DALI", None, {"value": "ＤＡＬＩ", "unit": None}, True),
        ("=", "DALI", None, {"value": "Zhaga", "unit": None}, False),
        ("in", [3000, 4000], "K", {"value": 4000, "unit": "K"}, True),
        ("in", ["DALI", "Zhaga"], None, {"value": "zhaga", "unit": None}, True),
        ("in", ["DALI", "Zhaga"], None, {"value": "0-10 V", "unit": None}, False),
        (">=", 150, "lm/W", None, False),
    ],
)
def test_a_mandatory_requirement_is_met_only_by_what_is_stated_in_its_unit(
    op: str, value: Any, unit: str | None, stated: dict[str, Any] | None, met: bool
) -> None:
    asked = {"attribute": "Property", "op": op, "value": value, "unit": unit, "mandatory": True}
    attributes = [{"name": "property", **stated}] if stated else []
    assert (failed({"requirements": [asked]}, {"attributes": attributes}) == []) is met


def test_an_offering_that_comes_in_two_colours_meets_either() -> None:
    asked = {"attribute": "colour", "op": "=", "value": 4000, "unit": "K", "mandatory": True}
    colours = [{"name": "colour", "value": value, "unit": "K"} for value in (3000, 4000)]
    assert failed({"requirements": [asked]}, {"attributes": colours}) == []


def test_each_unmet_requirement_counts_for_itself() -> None:
    both = [{**EFFICACY, "mandatory": True}, {**DIMMING, "mandatory": True}]
    assert failed({"requirements": both}, {"attributes": []}) == ["requirement", "requirement"]
