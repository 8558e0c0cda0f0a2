"""What `musubi tail` shows of a record, and which it shows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from aiokafka import ConsumerRecord
from rich.text import Text

from common.contracts.registry import FACTS
from common.exact_json import to_json
from common.messaging.decoding import decode, to_facts
from common.messaging.message import Event, happened, parse
from common.messaging.whole_batch import WholeBatch
from common.operating.json_shown import as_text
from musubi.tables import printable

_COLOURS = {"needs": "cyan", "catalog": "green", "matching": "magenta", "notify": "yellow"}
_SAID_BY = ("title", "names", "why")
"""Where an event says in words what it is about."""
_INDENT = " " * 25


@dataclass(frozen=True, slots=True)
class Passing:
    """A record that passes. `event` is None where it is none at all; `trouble` says why it is none, or which field breaks its
    contract."""

    record: ConsumerRecord
    event: Event | None
    data: Any = None
    trouble: str = ""

    @property
    def moment(self) -> datetime | None:
        """When the event happened."""
        return happened(self.event) if self.event else None


def decoded(record: ConsumerRecord) -> Passing:
    """Read a record as services do."""
    found = decode([record], FACTS)
    if found.broken:
        return Passing(record, envelope(record), trouble=found.broken[0].reason)
    (event,) = found.events
    _, refused = to_facts([event], found.values, FACTS)
    trouble = "; ".join(f"breaks its contract: {refusal.error}" for refusal in refused.values())
    return Passing(record, event, found.values[id(event)], trouble)


def envelope(record: ConsumerRecord) -> Event | None:
    """What a record says outside of its body; None if it is no event at all."""
    event = None if isinstance(record.value, WholeBatch) else parse(record)
    return event if isinstance(event, Event) else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are shown: events of types (patterns), those from a moment on."""

    types: Sequence[str] = ()
    since: datetime | None = None

    def includes(self, passing: Passing) -> bool:
        """A record that is no event has no type, and is shown only where none is asked for."""
        event = passing.event
        if event is None:
            return not self.types
        if self.types and not any(fnmatchcase(event.type, pattern) for pattern in self.types):
            return False
        return self.since is None or passing.moment is None or passing.moment >= self.since


def as_json(passing: Passing) -> str:
    """One line; the data is exact to the digit."""
    record, event = passing.record, passing.event
    said = event._asdict() | {"trace": event.trace.decode("ascii", "replace")} if event else {}
    said.pop("body", None)
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    return to_json(place | said | {"data": passing.data, "trouble": passing.trouble or None}).decode()


def in_words(passing: Passing, *, with_data: bool) -> Text:
    """Lines for people: when (UTC), what, which and what it is about; below, its id and what it follows from."""
    record, event = passing.record, passing.event
    if event is None:
        line = Text.assemble(_INDENT, ("no event", "bold red"), f"  {record.topic}/{record.partition}@{record.offset}")
    else:
        line = Text.assemble(
            (f"{_clock(passing):<25}", "dim"),
            (printable(event.type), _COLOURS.get(record.topic.partition(".")[0], "")),
            f"  {printable(f'{event.topic}:{event.key}:{event.sequence}')}  ",
            (printable(_about(passing.data)), "bold"),
        )
        line.append(f"\n{_INDENT}{printable(_lineage(event))}", "dim")
    if passing.trouble:
        line.append(f"\n{_INDENT}{printable(passing.trouble)}", "bold red")
    if with_data and event is not None:
        text = as_text(passing.data) if passing.data is not None else event.body.decode("utf-8", "replace")
        line.append("\n" + "\n".join(f"{_INDENT}{printable(part)}" for part in text.splitlines()))
    return line


def _clock(passing: Passing) -> str:
    return f"{passing.moment:%Y-%m-%d %H:%M:%S}.{passing.moment.microsecond // 1000:03}" if passing.moment else ""


def _lineage(event: Event) -> str:
    parts = [f"id {event.id}"]
    if event.causation_id:
        parts.append(f"caused by {event.causation_id}")
    if event.correlation_id:
        parts.append(f"follows from {event.correlation_id}")
    return "  ".join(parts)


def _about(data: Any) -> str:
    """A few words from the data, English where there are any."""
    if not isinstance(data, Mapping):
        return ""
    for name in _SAID_BY:
        text = data.get(name)
        if isinstance(text, Mapping) and text:
            return str(text.get("en") or next(iter(text.values())))
    inner = data.get("need")
    return _about(inner)
