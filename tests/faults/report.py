"""Writes docs/reliability-report.md from what a campaign left: `python -m tests.faults.report FILE [--to FILE]`.

Everything in it comes from the campaign's JSON; nothing is typed in by hand.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent.parent / "docs" / "reliability-report.md"
COLUMNS = (
    "round", "seed", "seconds", "accepted", "announced", "effects", "faults", "killed", "starts", "p50", "p99", "max", "pause",
    "at rest after, s",
)  # fmt: skip
KINDS = {"real": "Apache Kafka, each service in processes of its own", "embedded": "one process with the embedded broker"}
SENT = {
    "repeats": "events sent again that had been accepted",
    "other bodies": "ids used again with other content",
    "no answer": "requests without an answer",
    "given up": "events given up after that: nobody knows their outcome",
    "junk": "records that are no events, thrown into Kafka",
    "too large": "records of 10 MB",
    "replayed": "records of a topic appended to it once more",
    "time_ahead": "events refused for now because a service's clock was slow",
    "time_too_old": "events refused for now because a service's clock was fast",
}


def written(found: Mapping[str, Any]) -> str:
    """The whole report."""
    rounds: Sequence[Mapping[str, Any]] = found["rounds"]
    events = sum(one["sent"].get("accepted", 0) for one in rounds)
    killed = sum(one["killed"] for one in rounds)
    anomalies = [anomaly for one in rounds for anomaly in one["anomalies"]]
    machine = found["machine"]
    return "\n".join(
        [
            "# What the last long campaign found",
            "",
            "Written by `python -m tests.faults.report`; see [guides/reliability.md](guides/reliability.md) for what it means.",
            "",
            f"Seed **{found['seed']}**, {found['seconds'] / 60:.0f} minutes in {len(rounds)} rounds, {machine['at']}, on "
            f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}.",
            "",
            f"**{events:,} accepted events, {killed:,} processes killed, {_total(rounds, 'faults').total():,} faults: "
            f"{len(anomalies)} anomalies.**",
            "",
            *_bounds(events, killed, len(anomalies)),
            *_rounds(rounds),
            *_faults(rounds),
            *_points(rounds),
            *_partners(rounds),
            *_anomalies(anomalies),
        ]
    )


def _total(rounds: Sequence[Mapping[str, Any]], name: str) -> Counter[str]:
    return sum((Counter(one[name]) for one in rounds), Counter[str]())


def _bounds(events: int, killed: int, anomalies: int) -> list[str]:
    if anomalies or not events or not killed:
        return ["There were anomalies, so no bound follows.", ""]
    return [
        f"None in n says that with 95 % confidence the true rate is at most 3/n: {3 / events:.1e} for an event, "
        f"{3 / killed:.1e} for a kill, under conditions like these and as far as the checker sees.",
        "",
    ]


def _rounds(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "## Rounds",
        "",
        "Each in a house of its own: PostgreSQL, broker, services, mail server. p50, p99 and max are the seconds from the",
        "answer to the effect, of the counting service's healthy keys, with all faults going on; the pause is the longest",
        "without any effect.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    for number, one in enumerate(rounds, start=1):
        figures = one["figures"]
        wait = [figures.get(f"answer to effect, {name}, s", 0) for name in ("p50", "p99", "max")]
        cells = [
            f"{number} {one['kind']}", str(one["seed"]), round(one["seconds"]), one["sent"].get("accepted", 0),
            figures["announced"], figures["effects counted"], sum(one["faults"].values()), one["killed"], one["starts"], *wait,
            figures["longest pause between effects, s"], one["rest_seconds"],
        ]  # fmt: skip
        lines.append("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |")
    return [*lines, "", *(f"*{kind}*: {words}." for kind, words in KINDS.items()), ""]


def _faults(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["## Faults", "", "| fault | times |", "|---|---|"]
    lines += [f"| {kind} | {amount:,} |" for kind, amount in sorted(_total(rounds, "faults").items())]
    return [*lines, ""]


def _points(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    points = _total(rounds, "crash_points")
    lines = [f"## Crash points: {len(points)} named places at which processes were killed", "", "| place | times |", "|---|---|"]
    lines += [f"| `{point}` | {amount} |" for point, amount in sorted(points.items())]
    return [*lines, ""]


def _partners(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    sent = _total(rounds, "sent")
    lines = ["## What partners did beside", "", "| what | times |", "|---|---|"]
    lines += [f"| {words} | {sent[name]:,} |" for name, words in SENT.items() if sent[name]]
    known = {*SENT, "accepted"}
    others = {name: amount for name, amount in sent.items() if name not in known}
    lines += [f"| {name} | {amount:,} |" for name, amount in sorted(others.items())]
    return [*lines, ""]


def _anomalies(anomalies: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"## Anomalies: {len(anomalies)}", ""]
    return lines + [f"- {kind}: {key}: {seen[:300]}" for kind, key, seen in anomalies[:50]]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.report", description=__doc__)
    parser.add_argument("campaign", type=Path, help="what `tests.faults.campaign --report` wrote")
    parser.add_argument("--to", type=Path, default=TARGET)
    given = parser.parse_args()
    given.to.write_text(written(json.loads(given.campaign.read_text())).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
