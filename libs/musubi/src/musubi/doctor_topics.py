"""Compares what a broker says of its topics with what the registry says. Pure."""

from collections.abc import Mapping
from typing import Any

from common.contracts.registry import Topic
from musubi.doctor_findings import Finding, failed, left_out, well
from musubi.topics import KEPT

_AT_LEAST = ("retention.ms", "min.compaction.lag.ms")
"""Settings that may be longer than ours. The others, but for the policy, only say how soon a log is tidied."""


def compared(
    topics: Mapping[str, Topic], seen: Mapping[str, Any], settings: Mapping[str, Mapping[str, str]], address: str
) -> list[Finding]:
    """What is wrong with these topics on a real broker: `seen` is its metadata, `settings` how it keeps each topic, as far as it
    told us."""
    if not topics:
        return [left_out("topics", "we may not see them")]
    if found := _of_metadata(topics, seen, "run `musubi topics apply`", address) + _of_settings(topics, settings, address):
        return found
    if not settings:
        return [well("topics", f"{len(topics)} topics with their partitions; how the broker keeps them we may not see")]
    return [well("topics", f"{len(topics)} topics, as the registry says")]


def on_embedded(topics: Mapping[str, Topic], seen: Mapping[str, Any], address: str) -> list[Finding]:
    """The same on the embedded broker, which keeps nothing."""
    found = _of_metadata(topics, seen, "stop Musubi with Ctrl-C and start it again", address)
    return found or [well("topics", f"{len(topics)} topics, as the registry says")]


def _of_metadata(topics: Mapping[str, Topic], seen: Mapping[str, Any], to_make: str, address: str) -> list[Finding]:
    """Missing topics (`to_make` makes them), too few partitions, partitions that nobody leads or that lack copies."""
    found = []
    if absent := [name for name in topics if name not in seen]:
        found.append(failed("topics", f"missing: {', '.join(absent)}", to_make))
    there = {name: seen[name].partitions.values() for name in topics if name in seen}
    for name, parts in there.items():
        if len(parts) < topics[name].partitions:
            more = f"{tool('topics', address)} --alter --topic {name} --partitions {topics[name].partitions}"
            told = f"{name} has not the {topics[name].partitions} partitions that the registry says, but {len(parts)}"
            found.append(failed("topics", told, f"stop the services and run `{more}`"))
    if led := [name for name, parts in there.items() if any(part.leader < 0 for part in parts)]:
        found.append(failed("topics", f"nobody leads a partition of {', '.join(led)}", "start the brokers that hold it"))
    elif behind := [name for name, parts in there.items() if any(len(part.isrs) < len(part.replicas) for part in parts)]:
        fix = "start the brokers that are down, and wait until they have caught up"
        found.append(failed("topics", f"not every copy is up to date: {', '.join(behind)}", fix))
    return found


def _of_settings(topics: Mapping[str, Topic], settings: Mapping[str, Mapping[str, str]], address: str) -> list[Finding]:
    """Topics that the broker does not keep as their contract promises."""
    found = []
    for name in sorted(topics.keys() & settings.keys()):
        theirs = settings[name]
        wrong = {key: value for key, value in KEPT[topics[name].kind].items() if not _kept(key, value, theirs.get(key, ""))}
        if wrong:
            told = ", ".join(f"{key} {theirs.get(key)} where its contract says {value}" for key, value in wrong.items())
            change = ",".join(f"{key}={value}" for key, value in wrong.items())
            fix = f"run `{tool('configs', address)} --alter --topic {name} --add-config {change}`"
            found.append(failed("topics", f"{name} has {told}", fix))
    return found


def _kept(key: str, ours: str, theirs: str) -> bool:
    if key == "cleanup.policy":
        return theirs == ours
    if key not in _AT_LEAST:
        return True
    return theirs == "-1" or (theirs.isdecimal() and int(theirs) >= int(ours))


def tool(what: str, address: str) -> str:
    """How one of Kafka's own commands is called for this broker."""
    return f"kafka-{what}.sh --bootstrap-server {address}"
