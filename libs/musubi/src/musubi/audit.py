"""`musubi audit verify`: is what was written down about operators' acts still as it was written?"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.operating import audit
from common.operating.audit import Witness
from musubi import places
from musubi.advice import CannotGoOn


def verify(folder: Path, services: Sequence[str], logs: Sequence[Path], *, as_json: bool) -> int:
    """Check the chain of each service's audit; returns 1 if any is broken, with the finding in words.

    `logs` are the services' logs, which name the hash of each act: they show what a chain cannot show by itself, such as the
    removal of its newest rows."""
    found = asyncio.run(_verified(folder, services, _witnesses(logs)))
    broken = any(one["findings"] for one in found)
    if as_json:
        print(json.dumps({"whole": not broken, "services": found}, ensure_ascii=False))
        return int(broken)
    for one in found:
        if not one["findings"]:
            newest = f", the newest with hash {one['newest']}" if one["newest"] else ""
            print(f"{one['service']}: whole, {one['rows']} rows{newest}")
        for finding in one["findings"]:
            print(f"{one['service']}: BROKEN at number {finding['number']}: {finding['what']}")
    if broken:
        print("Keep this database as it is, and compare it with a backup and with the services' logs.")
    return int(broken)


def _witnesses(logs: Sequence[Path]) -> dict[str, list[Witness]]:
    """The acts that logs tell of, by service: lines of JSON with service, action, number and hash."""
    found: dict[str, list[Witness]] = {}
    for log in logs:
        try:
            lines = log.read_text("utf-8", "replace").splitlines()
        except OSError as error:
            raise CannotGoOn(f"{log} cannot be read: {error.strerror}.") from None
        for line in lines:
            if '"hash"' not in line:
                continue
            try:
                said = json.loads(line)
                if said["action"]:
                    found.setdefault(said["service"], []).append(Witness(int(said["number"]), bytes.fromhex(said["hash"])))
            except (ValueError, KeyError, TypeError):  # a line about something else, or one that was cut off
                continue
    return found


async def _verified(folder: Path, services: Sequence[str], witnesses: Mapping[str, Sequence[Witness]]) -> list[dict[str, Any]]:
    addresses = places.databases(folder)
    found = []
    for service in places.known(services):
        async with places.opened(addresses[service], service) as database, database.reading() as tx:
            findings = await audit.verify(tx, witnesses.get(service, ()))
            newest = await audit.about(tx, {}, limit=1)
            rows = await tx.fetchval("select count(*) from audit")
        found.append(
            {
                "service": service,
                "rows": rows,
                "newest": newest[0].hash.hex() if newest else None,
                "findings": [{"number": finding.number, "what": finding.what} for finding in findings],
            }
        )
    return found
