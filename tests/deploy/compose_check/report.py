"""Writes docs/compose-report.md from what the check has found; nothing in it is typed in by hand but what was never tried."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tests.deploy.compose_check.findings import Findings
from tests.deploy.manifests import ROOT

TARGET = ROOT / "docs" / "compose-report.md"
NEVER_TRIED = (
    "a Kafka that asks for names (`deploy/kafka-scram.yml`); tests try its rights on a Kafka without containers",
    "the images of Musubi on a base that is not Debian's Python",
    "more than one machine, and an engine other than Docker",
)


def write(findings: Findings) -> None:
    """Write it."""
    TARGET.write_text("\n".join(_lines(findings)).rstrip() + "\n", encoding="utf-8")


def _lines(findings: Findings) -> Iterator[str]:
    facts = findings.machine
    met = sum(one.met for one in findings.expectations)
    yield from ("# docker-compose.yml as last tried", "")
    yield from ("Written by `make compose-check`; [guides/deploying.md](guides/deploying.md) says how it is used.", "")
    yield from (
        f"{facts['at']}, on {facts['cores']} cores of {facts['processor']}, {facts['memory_gb']} GB, {facts['system']}; "
        f"{findings.engine}. Load of the machine before: {facts['load_before']}.",
        "",
        f"**{met} of {len(findings.expectations)} expectations were met.**",
        "",
        *_images(findings),
        *_expectations(findings),
        *_table("Figures", ("what", "figure"), findings.figures.items()),
        *_table("Size of our images", ("image", "MB"), ((name, f"{size / 1e6:.0f}") for name, size in findings.sizes.items())),
        *_table("Memory after the examples", ("container", "memory"), sorted(findings.memory.items())),
    )


def _images(findings: Findings) -> Iterator[str]:
    kinds = {
        "real": [o for o in findings.origins if o.kind in ("pulled", "there")],
        "a stand-in under the real tag": [o for o in findings.origins if o.kind == "stand-in"],
    }
    yield from ("## What was real, what stood in, what was not tried", "")
    yield from ("| image | for | was | what it was |", "|---|---|---|---|")
    yield "| `musubi/…` | the services, the jobs | real | built by the project's Dockerfile on the base below |"
    for word, origins in kinds.items():
        for one in origins:
            yield f"| `{one.tag}` | {one.service} | {word} | {one.what} |"
    yield from ("", "Not tried:", "")
    yield from (f"- `{o.tag}` ({o.service}): {o.what}." for o in findings.origins if o.kind == "not to be had")
    yield from (f"- {what}." for what in NEVER_TRIED)
    yield ""


def _expectations(findings: Findings) -> Iterator[str]:
    yield from ("## What was expected", "")
    for part, ones in groupby(findings.expectations, key=lambda one: one.part):
        yield from (f"{part}:", "")
        for one in ones:
            yield f"- {'met' if one.met else '**not met**'}: {one.what}" + (f" (seen: {one.seen})" if one.seen else "")
        yield ""


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield from (f"## {title}", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head))
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
