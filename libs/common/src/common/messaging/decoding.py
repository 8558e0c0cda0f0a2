"""From Kafka records to facts. What is no event of ours is set apart as `Broken`; what breaks its contract is refused by field.

Pure; every body is decoded once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from common.contracts.values import Fact
from common.exact_json import NotJson, from_json
from common.messaging.gate import Place, Refusal
from common.messaging.message import Broken, Event, Record, parse
from common.messaging.whole_batch import WholeBatch

_SHOWN = 5
"""So many faults of one event are put into words; the rest is counted."""

_UNREAD = object()


@dataclass(slots=True)
class Decoded:
    """What a batch of records holds: events with their values, and records that are none.

    `values` and `records` are by `id(event)`, Python's own, which costs nothing and tells repeats apart."""

    events: list[Event] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    values: dict[int, Any] = field(default_factory=dict)
    records: dict[int, Record] = field(default_factory=dict)


def decode(records: Iterable[Record], facts: Mapping[str, type[Fact]]) -> Decoded:
    """Read records; `facts` are all known types."""
    found = Decoded()
    for record in records:
        if isinstance(record.value, WholeBatch):
            found.broken.append(Broken(record, record.value.reason))
            continue
        event = parse(record)
        if isinstance(event, Broken):
            found.broken.append(event)
            continue
        fact = facts.get(event.type)
        if fact is None:
            found.broken.append(Broken(record, f"unknown type {event.type}"))
            continue
        if fact.topic != event.topic:
            found.broken.append(Broken(record, f"type {event.type} belongs to topic {fact.topic}"))
            continue
        try:
            value = from_json(event.body)
        except Exception as error:  # noqa: BLE001  what a body does to the reader must not stop the partition
            found.broken.append(Broken(record, f"not JSON: {error}"))
            continue
        found.events.append(event)
        found.values[id(event)] = value
        found.records[id(event)] = record
    return found


def to_facts(
    events: Sequence[Event], values: Mapping[int, Any], facts: Mapping[str, type[Fact]]
) -> tuple[dict[int, Fact], dict[Place, Refusal]]:
    """The facts of these events by `id(event)`, and what breaks its contract. Types that are not in `facts` are left out.

    `values` are the bodies that were read already, by `id(event)`; any other body is read here."""
    good: dict[int, Fact] = {}
    refused: dict[Place, Refusal] = {}
    for event in events:
        fact = facts.get(event.type)
        if fact is None:
            continue
        try:
            value = values.get(id(event), _UNREAD)
            # What `model_validate` calls, without asking about options that nobody gave: an eighth of its time.
            data = fact.__pydantic_validator__.validate_python(from_json(event.body) if value is _UNREAD else value)
            if data.subject == event.key:
                good[id(event)] = data
            else:
                refused[event[:3]] = Refusal("", f"the key is {event.key}, but the data is about {data.subject}")
        except ValidationError as error:
            refused[event[:3]] = refusal(error)
        except NotJson as error:
            refused[event[:3]] = Refusal("", f"not JSON: {error}"[:256])
        except Exception as error:  # noqa: BLE001  a validator that stumbles over strange data must not stop the partition
            refused[event[:3]] = Refusal("", repr(error)[:256])
    return good, refused


def refusal(error: ValidationError) -> Refusal:
    """The faults of one event in words, the first one's place as a JSON pointer."""
    problems = error.errors(include_url=False, include_input=False)
    words = [f"{_pointer(problem['loc']) or '/'}: {problem['msg']}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        words.append(f"and {len(problems) - _SHOWN} more")
    return Refusal(_pointer(problems[0]["loc"]), "; ".join(words)[:2000].replace("\x00", "�"))


def _pointer(location: Sequence[int | str]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in location)[:500].replace("\x00", "�")
