"""What every page template of every service must keep to, so that the content security policy never bites."""

import re
from pathlib import Path

import jinja2
import pytest

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted([*ROOT.glob("libs/*/src/*/pages/*.html"), *ROOT.glob("services/*/src/*/pages/*.html")])
FORBIDDEN = {
    "an inline style": re.compile(r"\sstyle\s*="),
    "an inline script": re.compile(r"<script(?![^>]*\ssrc=)", re.IGNORECASE),
    "a style element": re.compile(r"<style", re.IGNORECASE),
    "an event handler": re.compile(r"<[a-z][^>{]*\son[a-z]+\s*=", re.IGNORECASE),
    "an address with script in it": re.compile(r"javascript:", re.IGNORECASE),
    "something loaded from elsewhere": re.compile(
        r"<(?:link|script|img|iframe)[^>]*(?:href|src)=[\"'](?:https?:)?//", re.IGNORECASE
    ),
    "text that is not escaped": re.compile(r"\|\s*safe\b"),
}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: f"{path.parents[1].name}/{path.name}")
def test_a_template_holds_nothing_that_the_policy_forbids(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    found = [what for what, pattern in FORBIDDEN.items() if pattern.search(text)]
    assert found == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: f"{path.parents[1].name}/{path.name}")
def test_a_template_says_in_both_languages_what_it_says_in_one(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    calls = re.findall(r"\bt\((.*?)\)\s*(?:\}\}|%\}|,|\]|\))", text, re.DOTALL)
    assert all(("en=" in call) == ("ja=" in call) for call in calls)
    jinja2.Environment().parse(text)


def test_there_are_templates_to_look_at() -> None:
    assert {path.parents[1].name for path in TEMPLATES} >= {"common", "needs"}
