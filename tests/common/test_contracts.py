"""Contracts only grow: every event type is compared with the schema under which it was published."""

import copy

import pytest

from common.contracts import freeze
from common.contracts.registry import FACTS, TOPICS


@pytest.mark.parametrize("event_type", sorted(freeze.types()))
def test_a_contract_only_grows(event_type: str) -> None:
    before = freeze.frozen(event_type)
    assert before is not None, f"{event_type} is not frozen: python -m common.contracts.freeze"
    assert freeze.changes(before, freeze.schema(event_type)) == []


def test_every_frozen_type_still_exists() -> None:
    assert {path.stem for path in freeze.FOLDER.glob("*.json")} == set(freeze.types())


def test_every_fact_has_a_topic_of_the_registry() -> None:
    assert {fact.topic for fact in FACTS.values()} == set(TOPICS)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda s: s["properties"].pop("deadline"), "/deadline: the field is gone"),
        (lambda s: s["required"].append("budget"), "/budget: the field is required now"),
        (lambda s: s["required"].remove("title"), "/title: the field was always there and is optional now"),
        (lambda s: s["$defs"]["Money"]["properties"].pop("currency"), "/$defs/Money/currency: the field is gone"),
        (lambda s: s["properties"]["joint_purchase"].update(type="string"), "/joint_purchase: was"),
    ],
)
def test_a_breaking_change_is_named(break_it, said: str) -> None:
    before = freeze.schema("need.posted.v1")
    now = copy.deepcopy(before)
    break_it(now)
    assert [change for change in freeze.changes(before, now) if change.startswith(said)]


def test_a_new_optional_field_is_welcome() -> None:
    before = freeze.schema("need.posted.v1")
    now = copy.deepcopy(before)
    now["properties"]["colour"] = {"type": "string", "default": ""}
    assert freeze.changes(before, now) == []
