"""`make k8s-check`: runs the tests of the deployment with all programs there, and writes docs/k8s-report.md about it."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from bench import machine
from tests.deploy import kubernetes_tools, manifests
from tests.deploy.manifests import ROOT

TARGET = ROOT / "docs" / "k8s-report.md"
NOT_TRIED = (
    "a cluster: no manifest was ever applied; probes, rolling updates, spreading, disruption budgets and Ingress were only read",
    "network policies: what they let through is the network's doing. That each process may reach what it is told of, and nothing "
    "else, was compared",
    "KEDA and the autoscalers, and Prometheus on a cluster: queries and labels were compared, nothing grew",
    "the images of others in the overlay `local` (PostgreSQL, Kafka, MailDev) as the users that are said there",
    "the secrets of `production`: their names and variables were read from `secrets.example.yaml`",
)


@dataclass
class Outcomes:
    """A plugin of pytest's: what became of each test, by its file and name, once for each overlay and version."""

    passed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest for each part of each test."""
        if report.when == "call" or report.outcome != "passed":
            file, _, name = report.nodeid.partition("::")
            found = self.passed if report.outcome == "passed" else self.failed
            found[Path(file).stem][name.partition("[")[0]] += 1


def main() -> int:
    """The exit code of pytest."""
    kubernetes_tools.fetch((*kubernetes_tools.PROGRAMS, kubernetes_tools.SCHEMAS))
    outcomes = Outcomes()
    code = pytest.main([str(Path(__file__).parent)], plugins=[outcomes])
    TARGET.write_text("\n".join(_lines(outcomes)).rstrip() + "\n", encoding="utf-8")
    print(f"Written: {TARGET.relative_to(ROOT)}")
    return code


def _lines(outcomes: Outcomes) -> Iterator[str]:
    # Not before pytest has read them: it explains what fails in what it reads itself.
    from tests.deploy import test_kubernetes, test_kubernetes_schemas

    parts: Sequence[ModuleType] = (test_kubernetes, test_kubernetes_schemas)
    failed = sum(outcomes.failed[_stem(part)].total() for part in parts)
    passed = sum(outcomes.passed[_stem(part)].total() for part in parts)
    yield from ("# deploy/k8s as last checked", "")
    yield from ("Written by `make k8s-check`; [guides/deploying.md](guides/deploying.md#kubernetes) says how it is used.", "")
    yield from (f"{machine.facts()['at']}: **{passed} checks passed, {failed} failed.**", "")
    programs = kubernetes_tools.versions() | {"schemas of Kubernetes": " and ".join(kubernetes_tools.VERSIONS)}
    yield from _table("With what", ("program", "version"), programs)
    kinds = {name: Counter(thing["kind"] for thing in manifests.overlay(name).objects) for name in manifests.names()}
    said = {name: ", ".join(f"{number} {kind}" for kind, number in sorted(found.items())) for name, found in kinds.items()}
    yield from _table("What was read", ("overlay", "objects"), said)
    yield from ("## What was checked", "", "Each for both overlays, or for both and both versions of Kubernetes.", "")
    for part in parts:
        stem = _stem(part)
        yield from (str(part.__doc__).strip(), "")
        for name in outcomes.passed[stem] | outcomes.failed[stem]:
            bad = outcomes.failed[stem][name]
            yield f"- {f'**{bad} failed**: ' if bad else ''}{name.removeprefix('test_').replace('_', ' ')}"
        yield ""
    kinds_without = sorted(test_kubernetes_schemas.NO_SCHEMA)
    left_out = {f"the schema of {kind}": "KEDA's own kind, of which the package has none" for kind in kinds_without}
    left_out |= {f"kube-score's `{name}`": why for name, why in test_kubernetes_schemas.NOT_ASKED.items()}
    left_out |= {f"kube-score's `{name}` in `local`": why for name, why in test_kubernetes_schemas.NOT_ASKED_TO_TRY.items()}
    yield from _table("What was left out", ("check", "why"), left_out)
    yield from ("## What was not tried", "", *(f"- {what}." for what in NOT_TRIED))


def _stem(part: ModuleType) -> str:
    return part.__name__.rpartition(".")[2]


def _table(title: str, head: tuple[str, str], rows: Mapping[str, str]) -> Iterator[str]:
    yield from (f"## {title}", "", f"| {' | '.join(head)} |", "|---|---|")
    yield from (f"| {name} | {what} |" for name, what in rows.items())
    yield ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except kubernetes_tools.Lacking as why:
        sys.exit(f"{why}. To add it: {kubernetes_tools.HOW_TO_ADD[why.what]}")
