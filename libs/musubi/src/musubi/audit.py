"""`musubi audit verify`: is what was written down about operators' acts still as it was written?"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import audit
from musubi import places


def verify(folder: Path, services: Sequence[str], *, as_json: bool) -> int:
    """Check the chain of each service's audit; returns 1 if any is broken, with the finding in words."""
    found = asyncio.run(_verified(folder, services))
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


async def _verified(folder: Path, services: Sequence[str]) -> list[dict[str, Any]]:
    addresses = places.databases(folder)
    found = []
    for service in places.known(services):
        async with places.opened(addresses[service], service) as database, database.reading() as tx:
            findings = await audit.verify(tx)
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
