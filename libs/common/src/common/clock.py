"""What time it is: an argument everywhere, so that tests and demonstrations can set it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns an aware time in UTC."""


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """`2026-11-24T03:05:00.250Z`: how events say their time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
