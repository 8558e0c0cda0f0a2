"""Times as they are written at the command line."""

import re
from datetime import UTC, datetime, timedelta

from musubi.advice import CannotGoOn

_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment_of(text: str, now: datetime) -> datetime:
    """`2026-11-24T10:00:00+09:00`, or how long ago: `90s`, `30m`, `2h`, `3d`, `now`. Raises `CannotGoOn`."""
    if text == "now":
        return now
    try:
        if found := _DURATION.fullmatch(text):
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise CannotGoOn(f"{text} is no time. Write it like 2026-11-24T10:00:00Z (with its zone), or how long ago: 30m, 2h, 3d, now.")
