"""`musubi status`: does Musubi run here, and is every service ready?"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from musubi import roles, run_file


def show(folder: Path, *, as_json: bool) -> int:
    """Returns 0 if it runs and every service is ready, else 1."""
    running = run_file.find(folder)
    if not running:
        print(json.dumps({"running": False}) if as_json else f"Nothing runs in {folder}. Start it with `musubi up`.")
        return 1
    services = {name: readiness(running.address, name) for name in roles.SERVICES}
    if as_json:
        print(json.dumps({"running": True, "address": running.address, "pid": running.pid, "services": services}))
    else:
        for name, parts in services.items():
            if error := parts.get("error"):
                print(f"{name}: {error}", file=sys.stderr)
        print(f"Musubi runs at {running.address} (process {running.pid})")
        print("\n".join(line for name, parts in services.items() for line in in_words(name, parts)))
    return 0 if all(parts["status"] == "ready" for parts in services.values()) else 1


def in_words(name: str, parts: Mapping[str, str | bool]) -> list[str]:
    """What a service says of itself (see `Service.readiness`), for people."""
    waits_for = ", ".join(part for part, ready in parts.items() if ready is False)
    lines = [f"  {name:<9} {parts['status']}{f': waits for {waits_for}' if waits_for else ''}"]
    if missing := parts.get("missing_topics"):
        lines.append(f"  {'':<9} missing on the broker: {missing}")
    return lines


def readiness(address: str, name: str) -> dict[str, str | bool]:
    """What a service of the Musubi at this address says of itself; that it does not answer, where it does not."""
    try:
        return httpx.get(f"{address}/api/{name}/readyz", timeout=4, trust_env=False).json()
    except (httpx.HTTPError, ValueError) as error:
        return {"status": "does not answer", "error": str(error)}
