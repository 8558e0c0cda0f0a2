"""A broker that forgets: partitions as lists in memory, and everything that may happen to them."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from common.messaging.message import Event, Partition
from common.messaging.sending import Written


class Record(NamedTuple):
    """One record of a log."""

    offset: int
    event: Event


class Wish(NamedTuple):
    """What a reader asks for on the control topic."""

    topic: str
    key: str
    first: int
    last: int


class SimulatedBroker:
    """Appends are atomic for each request, as Kafka's record batches are."""

    def __init__(self, parts: Iterable[Partition]) -> None:
        self.incarnation = "life 1"
        self.logs: dict[Partition, list[Record]] = {part: [] for part in parts}
        self.ends: dict[Partition, int] = dict.fromkeys(self.logs, 0)
        self.stray: dict[Partition, int] = dict.fromkeys(self.logs, 0)
        """How far records lie that no leading relay wrote: of a zombie, or repeated by the network."""
        self.wishes: list[Wish] = []

    def clone(self) -> "SimulatedBroker":
        """An independent copy."""
        other = object.__new__(type(self))
        other.incarnation = self.incarnation
        other.logs = {part: log.copy() for part, log in self.logs.items()}
        other.ends = self.ends.copy()
        other.stray = self.stray.copy()
        other.wishes = self.wishes.copy()
        return other

    def append(self, part: Partition, events: Sequence[Event], *, stray: bool = False) -> Written:
        """Write one request."""
        first = self.ends[part]
        self.logs[part] += [Record(first + place, event) for place, event in enumerate(events)]
        self.ends[part] = first + len(events)
        if stray:
            self.stray[part] = self.ends[part]
        return Written(first, self.ends[part])

    def read(self, part: Partition, position: int, amount: int) -> list[Record]:
        """Up to `amount` records from `position` on."""
        log = self.logs[part]
        begin = bisect_left(log, position, key=lambda record: record.offset)
        return log[begin : begin + amount]

    # what may happen to it -------------------------------------------------------------------------------------------
    def lose_everything(self) -> None:
        """It comes back as another broker."""
        self.incarnation = f"life {int(self.incarnation.split()[1]) + 1}"
        for part in self.logs:
            self.logs[part], self.ends[part], self.stray[part] = [], 0, 0
        self.wishes.clear()

    def cut(self, part: Partition, end: int) -> None:
        """It comes back as itself, without what lay from `end` on."""
        self.logs[part] = [record for record in self.logs[part] if record.offset < end]
        self.ends[part] = min(self.ends[part], end)
        self.stray[part] = min(self.stray[part], end)

    def lose_one(self, part: Partition, which: int) -> Event | None:
        """One record is gone; nothing else moves."""
        log = self.logs[part]
        return log.pop(which % len(log)).event if log else None

    def repeat_one(self, part: Partition, which: int) -> None:
        """A record comes a second time."""
        if log := self.logs[part]:
            self.append(part, [log[which % len(log)].event], stray=True)

    def swap_last_two(self, part: Partition, unread_from: int) -> None:
        """Two records that nobody has read yet change places."""
        log = self.logs[part]
        if len(log) > 1 and log[-2].offset >= unread_from:
            log[-2], log[-1] = Record(log[-2].offset, log[-1].event), Record(log[-1].offset, log[-2].event)

    def compact(self, part: Partition, until: int) -> None:
        """Below `until`, only the last record of each key stays."""
        last = {record.event.key: record.offset for record in self.logs[part]}
        self.logs[part] = [
            record for record in self.logs[part] if record.offset >= until or last[record.event.key] == record.offset
        ]
