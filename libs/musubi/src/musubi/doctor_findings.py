"""What a check of `musubi doctor` found, and how a check is kept to its deadline."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Literal, NamedTuple

ANSWER_SECONDS = 4
"""So long one answer of something outside may take."""
CHECK_SECONDS = 9.0
"""So long one check may take: a few answers, one after another."""

State = Literal["well", "failed", "left out"]


class Finding(NamedTuple):
    """One line of the report. `fix` says what mends a failure, in one sentence; `of` is the service or schema concerned."""

    check: str
    state: State
    found: str
    fix: str = ""
    of: str = ""


def well(check: str, found: str, *, of: str = "") -> Finding:
    """All is as it should be."""
    return Finding(check, "well", found, of=of)


def failed(check: str, found: str, fix: str, *, of: str = "") -> Finding:
    """Something is to be mended."""
    return Finding(check, "failed", found, fix, of)


def left_out(check: str, why: str, *, of: str = "") -> Finding:
    """Cannot or need not be looked at here; this alone is no failure."""
    return Finding(check, "left out", why, of=of)


async def within(seconds: float, check: str, looking: Awaitable[Sequence[Finding]]) -> Sequence[Finding]:
    """What a check finds; a failure if it has not ended after so many seconds, or breaks itself."""
    try:
        async with asyncio.timeout(seconds):
            return await looking
    except TimeoutError:
        return [failed(check, f"no answer within {seconds:g} s", "see that nothing between here and there swallows packets")]
    except Exception as error:  # noqa: BLE001  one check that stumbles must not hide what the others found
        return [failed(check, f"this check itself broke: {error!r}"[:300], "look at it by hand, and tell whoever makes Musubi")]


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """What is the same for several services is told once."""
    found: dict[Finding, list[str]] = {}
    for finding in findings:
        found.setdefault(finding._replace(of=""), []).append(finding.of)
    return [finding._replace(of=", ".join(filter(None, of))) for finding, of in found.items()]
