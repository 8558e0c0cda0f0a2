"""What a running process is told from outside: where to die or hang, and how wrong its clock is. A file that it looks at."""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

LOOK_EVERY = 0.1


@dataclass
class Order:
    """What a process shall do when it comes by a point for the `nth` time: end, or hang for so many seconds. `step` counts the
    waits inside the function, for `within`. No point: nothing. `number` tells one order from the next."""

    point: str
    nth: int = 1
    step: int = 1
    hang: float = 0
    number: int = 0

    @classmethod
    def read(cls, words: str) -> "Order":
        """From `POINT[,nth[,step]]`, as on the command line."""
        point, *numbers = words.split(",")
        return cls(point, *map(int, numbers))


@dataclass
class Orders:
    """All that a process is told at one time; `ahead` in seconds."""

    order: Order
    ahead: float = 0

    def as_text(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Orders":
        if not path.exists():
            return cls(Order(""))
        said = json.loads(path.read_text())
        return cls(Order(**said["order"]), said["ahead"])


class Clock:
    """The time, and how wrong this process is about it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


async def follow(path: Path, obey: Callable[[Order], None], clock: Clock) -> None:
    """Look at the file again and again, until cancelled. What was ordered before we ran is not for us; the clock is."""
    seen = Orders.read(path)
    clock.ahead = timedelta(seconds=seen.ahead)
    while True:
        await asyncio.sleep(LOOK_EVERY)
        now = Orders.read(path)
        clock.ahead = timedelta(seconds=now.ahead)
        if now.order.number != seen.order.number:
            obey(now.order)
        seen = now


def write(path: Path, text: str) -> None:
    """At once or not at all: somebody reads it meanwhile."""
    new = path.with_suffix(path.suffix + ".new")
    new.write_text(text)
    new.replace(path)
