"""What a check of `musubi doctor` found, and how a check is kept to its deadline."""

import asyncio
import traceback
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

ANSWER_SECONDS = 4
"""So long one answer of something outside may take."""
CHECK_SECONDS = 8.0
"""So long one check may take: a few answers, one after another. With the start of the command it is 10 s at the most."""

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


async def within(seconds: float, check: str, looking: Awaitable[Sequence[Finding]], *, of: str = "") -> Sequence[Finding]:
    """What a check finds; a failure if it has not ended after so many seconds, or breaks itself."""
    try:
        async with asyncio.timeout(seconds):
            return await looking
    except TimeoutError:
        found = f"no answer within {seconds:g} s"
        return [failed(check, found, "see that nothing between here and there swallows packets", of=of)]
    except Exception as error:  # noqa: BLE001  one check that stumbles must not hide what the others found
        # Without its text, in which a password might stand.
        *_, place = traceback.extract_tb(error.__traceback__)
        found = f"this check itself broke: {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
        return [failed(check, found, "look at it by hand, and tell whoever makes Musubi", of=of)]


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """What is the same for several services is told once."""
    found: dict[Finding, list[str]] = {}
    for finding in findings:
        found.setdefault(finding._replace(of=""), []).append(finding.of)
    return [finding._replace(of=", ".join(filter(None, of))) for finding, of in found.items()]
