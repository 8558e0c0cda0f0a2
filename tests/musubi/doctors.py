"""Asks `musubi doctor` without a process of its own."""

from pathlib import Path
from typing import Any

from musubi import doctor, roles
from musubi.doctor_findings import Finding

NOWHERE = Path("/nowhere")


async def told(folder: Path = NOWHERE, services: tuple[str, ...] = roles.SERVICES, **clock: Any) -> dict[str, list[Finding]]:
    """What the doctor finds, by what it looks at."""
    found: dict[str, list[Finding]] = {}
    for finding in await doctor.examined(folder, services, **clock):
        found.setdefault(finding.check, []).append(finding)
    return found
