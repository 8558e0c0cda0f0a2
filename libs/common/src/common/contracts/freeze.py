"""The frozen JSON Schemas: what each event's data looked like when it was first published, and what changed since.

`python -m common.contracts.freeze` writes the schemas of new types; a type that is frozen may only grow. Anything but a new
optional field needs a new type beside the old one (`need.posted.v2`).
"""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from common.contracts.registry import FACTS, SUBMISSIONS

FOLDER = Path(str(files("common.contracts") / "schemas"))


def types() -> dict[str, type]:
    """Every event type that has a contract, partners' types included."""
    return {**FACTS, **SUBMISSIONS}


def schema(event_type: str) -> dict[str, Any]:
    """The JSON Schema 2020-12 of a type's data as the code has it now."""
    found: dict[str, Any] = types()[event_type].model_json_schema()  # type: ignore[attr-defined]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"{event_type}.json", **found}


def frozen(event_type: str) -> dict[str, Any] | None:
    """The schema as it was published, or None for a type that never was."""
    path = FOLDER / f"{event_type}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What would break a reader or a writer of the frozen contract, in words; empty when the contract only grew."""
    return list(_changes("", before, now))


def _changes(where: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in before.get("$defs", {}):
        if name not in now.get("$defs", {}):
            yield f"{where}/$defs/{name}: the nested definition is gone"
        else:
            yield from _changes(f"{where}/$defs/{name}", before["$defs"][name], now["$defs"][name])
    fields, fields_now = before.get("properties", {}), now.get("properties", {})
    for name, field in fields.items():
        if name not in fields_now:
            yield f"{where}/{name}: the field is gone"
        elif (was := _rules(field)) != (is_ := _rules(fields_now[name])):
            yield f"{where}/{name}: was {json.dumps(was, sort_keys=True)}, is {json.dumps(is_, sort_keys=True)}"
    for name in sorted(set(now.get("required", ())) - set(before.get("required", ()))):
        yield f"{where}/{name}: the field is required now"
    for name in sorted(set(before.get("required", ())) - set(now.get("required", ()))):
        yield f"{where}/{name}: the field was always there and is optional now"
    rest, rest_now = (_rules({k: v for k, v in s.items() if k not in _STRUCTURE}) for s in (before, now))
    if rest != rest_now:
        yield f"{where or '/'}: was {json.dumps(rest, sort_keys=True)}, is {json.dumps(rest_now, sort_keys=True)}"


_STRUCTURE = {"$defs", "$id", "$schema", "properties", "required"}
_WORDS = {"title", "description", "examples"}


def _rules(node: Any) -> Any:
    """A schema without the words in it, which may change freely."""
    if isinstance(node, Mapping):
        return {key: _rules(value) for key, value in node.items() if key not in _WORDS}
    return [_rules(item) for item in node] if isinstance(node, list) else node


def main() -> None:
    """Write the schema of every type that has none yet."""
    for event_type in types():
        if frozen(event_type) is None:
            text = json.dumps(schema(event_type), indent=1, ensure_ascii=False, sort_keys=True)
            (FOLDER / f"{event_type}.json").write_text(text + "\n", encoding="utf-8")
            print(f"frozen: {event_type}")


if __name__ == "__main__":
    main()
