"""The report says what the campaign's figures say, and nothing that they do not."""

from typing import Any

from tests.faults.report import written

ROUND: dict[str, Any] = {
    "kind": "real", "seed": 8, "seconds": 100.0, "sent": {"accepted": 3000, "repeats": 12, "string_type": 2},
    "faults": {"kill -9 at random": 4}, "crash_points": {"outbox.append:after": 2}, "killed": 6, "starts": 15,
    "rest_seconds": 2.5,
    "figures": {"announced": 6000, "effects counted": 5900, "longest pause between effects, s": 3.0}, "anomalies": [], "kept": "",
}  # fmt: skip
FOUND: dict[str, Any] = {
    "seed": 7, "seconds": 240, "rounds": [ROUND, {**ROUND, "kind": "embedded", "seed": 9}],
    "machine": {"at": "2026-11-25", "cores": 2, "processor": "a processor", "python": "3.11"},
}  # fmt: skip


def test_the_report_sums_all_rounds_and_says_what_none_in_so_many_means() -> None:
    report = written(FOUND)
    assert "**6,000 accepted events, 12 processes killed, 8 faults: 0 anomalies.**" in report
    assert "at most 3/n: 5.0e-04 for an event, 2.5e-01 for a kill" in report
    assert "| kill -9 at random | 8 |" in report
    assert "| `outbox.append:after` | 4 |" in report
    assert "| events sent again that had been accepted | 24 |" in report
    assert "| 2 embedded | 9 |" in report


def test_with_an_anomaly_no_bound_is_claimed_and_the_anomaly_is_shown() -> None:
    report = written({**FOUND, "rounds": [{**ROUND, "anomalies": [["lost", "faults.said/a", "number 3"]]}]})
    assert "1 anomalies" in report
    assert "3/n" not in report
    assert "- lost: faults.said/a: number 3" in report
