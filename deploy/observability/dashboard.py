"""Makes Grafana's dashboard: `python deploy/observability/dashboard.py` writes dashboard.json beside this file.

Freshness comes first: how old is the oldest thing that still waits. What every process of a service sees alike (it lies in the
database) is shown by its maximum, what each counts for itself by its sum.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import telemetry

TARGET = Path(__file__).with_name("dashboard.json")
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24
SPAN = "$__rate_interval"
SERVICES = ("needs", "catalog", "matching", "notify")


@dataclass(frozen=True)
class Panel:
    """One diagram: a question, how to read the answer, and queries with the words beside their lines."""

    title: str
    meaning: str
    queries: Sequence[tuple[str, str]]
    unit: str = "s"
    width: int = 8
    red_from: float | None = None
    kind: str = "timeseries"


@dataclass(frozen=True)
class Row:
    """Diagrams under one heading."""

    title: str
    panels: Sequence[Panel] = field(default_factory=tuple)


def most(metric: str, *by: str) -> str:
    """Of what all processes see alike."""
    return f"max by ({', '.join(by)}) ({metric})"


def per_second(counter: str, *by: str) -> str:
    """Of what each process counts for itself."""
    return f"sum by ({', '.join(by)}) (rate({counter}_total[{SPAN}]))"


def of_each_service(query: str) -> str:
    """Its sum by service, and 0 for one of which nobody tells anything: Prometheus forgets a process that is gone, and a diagram
    shows no figure where there is none."""
    zeros = (f'label_replace(vector(0), "job", "{name}", "", "")' for name in SERVICES)
    return " or ".join((f"sum by (job) ({query})", *zeros))


def quantiles(histogram: str) -> list[tuple[str, str]]:
    """Median, and what one in twenty and one in a hundred exceed."""
    return [
        (f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket[{SPAN}])))", f"p{round(100 * share)}")
        for share in (0.5, 0.95, 0.99)
    ]


ROWS = (
    Row(
        "Fresh: how old is the oldest thing that waits?",
        (
            Panel(
                "Oldest event not yet dealt with",
                "By group and topic. Above a minute: a reader stands still or does not keep up.",
                [(most(telemetry.OLDEST_UNPROCESSED, "group", "topic"), "{{group}} ← {{topic}}")],
                red_from=60,
            ),
            Panel(
                "Oldest batch not yet sent",
                "By service. It grows while the broker is away, lacks a topic, or nobody sends.",
                [(most(telemetry.OLDEST_UNSENT_BATCH, "job"), "{{job}}")],
                red_from=60,
            ),
            Panel(
                "Oldest mail not yet sent",
                "A mail server that cannot take a mail is tried again for about a day.",
                [(most(telemetry.OLDEST_UNSENT_MAIL, "job"), "{{job}}")],
                red_from=900,
            ),
            Panel(
                "Oldest event or record that is held",
                "dead and quarantine wait for a person (`musubi parked list`); the others go on by themselves.",
                [(most(telemetry.OLDEST_HELD, "job", "reason"), "{{job}} {{reason}}")],
                width=16,
                red_from=3600,
            ),
            Panel(
                "Time since the last look",
                "Without looks the ages on this page vanish: nothing is claimed that was not seen.",
                [(f"min by (job, at) ({telemetry.LOOK_AGE})", "{{job}} {{at}}")],
                red_from=120,
            ),
        ),
    ),
    Row(
        "Fast: how long does it take?",
        (
            Panel(
                "From an event to the stored list",
                "A need's or an offering's event; only lists that changed because of it.",
                quantiles(telemetry.PROPOSAL_LATENCY),
                red_from=30,
            ),
            Panel(
                "From the accepted event to the inbox item",
                "From the answer to the partner until whom it concerns finds it in the inbox.",
                quantiles(telemetry.INBOX_LATENCY),
                red_from=60,
            ),
            Panel(
                "Age of what is being read",
                "How old the last batch was when it had taken effect; 0 when all is read.",
                [(most(telemetry.LAG_SECONDS, "job", "topic"), "{{job}} ← {{topic}}")],
            ),
        ),
    ),
    Row(
        "Much: how many a second?",
        (
            Panel(
                "Partners' events", "By what came of them.",
                [(per_second(telemetry.SUBMISSIONS_TOTAL, "job", "outcome"), "{{job}} {{outcome}}")], "ops", 6,
            ),
            Panel(
                "Events sent", "By topic, with those that are sent again.",
                [(per_second(telemetry.SENT_TOTAL, "topic"), "{{topic}}")], "ops", 6,
            ),
            Panel(
                "Events that arrived", "By reader and what came of them.",
                [(per_second(telemetry.EVENTS_TOTAL, "job", "outcome"), "{{job}} {{outcome}}")], "ops", 6,
            ),
            Panel(
                "Mails", "By what came of them.",
                [(per_second(telemetry.MAILS_TOTAL, "outcome"), "{{outcome}}")], "ops", 6,
            ),
            Panel(
                "Answers to proposals", "What cities, companies, offices and the secretariat said, in a day.",
                [(f"sum by (kind, word) (increase({telemetry.FEEDBACK_TOTAL}_total[1d]))", "{{kind}} {{word}}")], "none",
            ),
            Panel(
                "The matching engine", "Searches, those by the plain rules, pairs that these judged, groups read anew.",
                [(per_second(telemetry.ENGINE_TOTAL, "what"), "{{what}}")], "ops",
            ),
        ),
    ),
    Row(
        "Well: is anything wrong?",
        (
            Panel(
                "Services that answer", "How many processes of each; 0 is red.",
                [(of_each_service(f'up{{job=~"{"|".join(SERVICES)}"}}'), "{{job}}")], "none", 6, kind="stat",
            ),
            Panel(
                "Who sends the outbox", "One process of each service; 0 means that nothing leaves.",
                [(of_each_service(telemetry.RELAY_LEADING), "{{job}}")], "none", 6, kind="stat",
            ),
            Panel(
                "Batches in the outbox", "Not yet sent; looked at every 10 seconds.",
                [(most(telemetry.OUTBOX_UNSENT, "job"), "{{job}}")], "none", 6,
            ),
            Panel(
                "Topics that are missing", "`musubi topics apply` makes them. Empty is well.",
                [
                    (most(telemetry.TOPIC_MISSING, "job", "topic"), "{{job}}: {{topic}}"),
                    (most(telemetry.RELAY_WAITS_FOR, "job", "topic"), "{{job}} waits for {{topic}}"),
                ],
                "none", 6,
            ),
            Panel(
                "Held", "Events by reason, and records that are no event.",
                [
                    (most(telemetry.PARKED, "job", "reason"), "{{job}} {{reason}}"),
                    (most(telemetry.QUARANTINED, "job"), "{{job}} quarantine"),
                ],
                "none",
            ),
            Panel(
                "Tried again", "Batches rolled back, held events looked at again, events sent again for who missed them.",
                [
                    (per_second(telemetry.ROLLED_BACK_TOTAL, "job"), "{{job}} rolled back"),
                    (per_second(telemetry.RETRIED_TOTAL, "job", "outcome"), "{{job}} held, {{outcome}}"),
                    (per_second(telemetry.RESENT_TOTAL, "job", "outcome"), "{{job}} sent again, {{outcome}}"),
                ],
                "ops",
            ),
            Panel(
                "Duties", "What had to be done at a certain time.",
                [(per_second(telemetry.DUTIES_TOTAL, "job", "kind", "outcome"), "{{job}} {{kind}} {{outcome}}")], "ops",
            ),
        ),
    ),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The whole dashboard as Grafana reads it."""
    return {
        "uid": "musubi",
        "title": "Musubi",
        "description": "Made by deploy/observability/dashboard.py; change it there.",
        "tags": ["musubi"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "panels": list(_placed()),
    }


def queries() -> list[str]:
    """Every query of the dashboard."""
    return [query for row in ROWS for panel in row.panels for query, _ in panel.queries]


def as_text() -> str:
    """What the file has to say."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


def _placed() -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in ROWS:
        number += 1
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": _at(0, y, WIDTH, 1)}
        x, y = 0, y + 1
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y = 0, y + 8
            number += 1
            yield _panel(panel, number) | {"gridPos": _at(x, y, panel.width, 8)}
            x += panel.width
        y += 8


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_from is not None:
        steps.append({"color": "red", "value": panel.red_from})
    if panel.kind == "stat":
        steps = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
    custom = {"thresholdsStyle": {"mode": "line"}} if panel.red_from is not None else {}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": SOURCE,
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": query, "legendFormat": words}
            for n, (query, words) in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}, "custom": custom},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}} if panel.kind == "timeseries" else {},
    }


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


if __name__ == "__main__":
    TARGET.write_text(as_text(), encoding="utf-8")
    print(f"{TARGET.name}: {len(queries())} queries", file=sys.stderr)
