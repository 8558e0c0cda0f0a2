"""The examples' dates count from the first loading, so that loading again gives the very same events."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from musubi import examples

EXAMPLES = Path(__file__).parents[2] / "examples"
DAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def test_the_day_of_the_first_loading_is_kept(tmp_path: Path) -> None:
    assert examples.first_loaded(tmp_path, DAY) == DAY
    assert examples.first_loaded(tmp_path, DAY + timedelta(days=40)) == DAY


def test_on_a_later_day_ids_and_data_are_the_same_and_only_the_time_is_new() -> None:
    first = [json.loads(item.text) for item in examples.read(EXAMPLES, DAY, NOW)]
    later = [json.loads(item.text) for item in examples.read(EXAMPLES, DAY, NOW + timedelta(days=40))]
    assert [(e["id"], e["type"], e["subject"], e["data"]) for e in first] == [
        (e["id"], e["type"], e["subject"], e["data"]) for e in later
    ]
    assert {e["time"] for e in first} == {"2026-11-24T09:00:00Z"}


def test_days_become_dates_wherever_they_stand() -> None:
    for item in examples.read(EXAMPLES, DAY, NOW):
        assert b'"days"' not in item.text, item.id
    deadlines = [json.loads(item.text)["data"]["deadline"] for item in examples.read(EXAMPLES, DAY, NOW) if "need." in item.type]
    assert all(date.fromisoformat(deadline) > DAY for deadline in deadlines)


def test_what_others_belong_to_comes_first() -> None:
    types = [item.type.partition(".")[0] for item in examples.read(EXAMPLES, DAY, NOW)]
    assert list(dict.fromkeys(types)) == ["exchange-rate", "municipality", "company", "offering", "need"]
