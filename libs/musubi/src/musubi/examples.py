"""The example events: real cities, needs and offerings, whose dates are days from the first loading, so that they stay open.

The day of the first loading is kept beside the data. Loading again gives the very same events, which change nothing.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from musubi.advice import CannotGoOn
from musubi.events_file import Item

FILES = ("exchange-rates", "municipalities", "companies", "offerings", "needs")
"""In this order: what a need or an offering belongs to comes first."""
LOADED = "examples-loaded.json"


class NoExamples(CannotGoOn):
    """The example files are not where they are looked for."""


def find(given: Path | None) -> Path:
    """The folder of the examples: the one given, that of the working copy this is run from, or ./examples."""
    working_copy = Path(__file__).parents[4:5]  # an image has none
    candidates = [given] if given else [folder / "examples" for folder in (*working_copy, Path.cwd())]
    for folder in candidates:
        if all((folder / f"{name}.ndjson").exists() for name in FILES):
            return folder
    raise NoExamples(f"The example files are not in {' or '.join(map(str, candidates))}. Say where they are: --examples FOLDER.")


def first_loaded(folder: Path, today: date) -> date:
    """The day on which the examples were first loaded into this data folder; today where they never were, which is noted down."""
    note = folder / LOADED
    if note.exists():
        return date.fromisoformat(json.loads(note.read_text())["on"])
    unfinished = note.with_suffix(".new")
    unfinished.write_text(json.dumps({"on": today.isoformat()}) + "\n")
    unfinished.replace(note)  # in one step, so that a kill leaves no half of it
    return today


def read(examples: Path, day: date, now: datetime) -> Iterator[Item]:
    """All example events in order. `{"days": n}` is the date n days after `day`; as an event's time it is `now` plus n days."""
    for name in FILES:
        with (examples / f"{name}.ndjson").open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                event = json.loads(line)
                event["time"] = _time(event.get("time"), now)
                event["data"] = dated(event["data"], day)
                yield Item(number, json.dumps(event, ensure_ascii=False).encode(), event["type"], event["id"])


def _time(written: Any, now: datetime) -> str:
    if isinstance(written, str):
        return written
    days = written["days"] if written else 0
    return f"{(now + timedelta(days=days)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def dated(value: Any, day: date) -> Any:
    """The value with `{"days": n}` as the date n days after `day`, wherever it stands."""
    match value:
        case {"days": int(days), **others} if not others:
            return (day + timedelta(days=days)).isoformat()
        case dict():
            return {name: dated(part, day) for name, part in value.items()}
        case list():
            return [dated(part, day) for part in value]
        case _:
            return value
