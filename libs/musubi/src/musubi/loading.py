"""Loads the examples into a Musubi that runs elsewhere, such as in containers: `musubi examples`."""

from collections import Counter
from pathlib import Path

from common.clock import utc_now
from musubi import examples, publish


def run(given: Path | None, *, url: str, key: str) -> int:
    """Send them all and say what became of them; returns 1 if anything was refused. Their dates count from today, so load them
    once: on another day they are other events with the same ids, and refused."""
    if not url or not key:
        raise publish.CannotPublish("Say where to load them: --url URL and --key KEY. `musubi partner add` makes a key.")
    now = utc_now()
    results: Counter[str] = Counter()
    with publish.client(url, key) as http:
        for result in publish.publish(http, examples.read(examples.find(given), now.date(), now)):
            results[result.status] += 1
            if result.failed:
                print(result.line())
    print(", ".join(f"{number} {status}" for status, number in results.items()))
    return 1 if results.keys() & {"refused", "unreadable"} else 0
