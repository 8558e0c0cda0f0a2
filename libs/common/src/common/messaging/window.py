"""How much may be sent to a broker that throws unread records away: pure, no clock, no database, no broker.

The embedded broker keeps 5 MiB of each partition (5,242,880 bytes of record batches, measured) and drops the oldest batch beyond,
read or not. So no more is sent than 2 MB that some reader has not read yet; the rest waits in the outbox.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from common.messaging.message import Event, Partition

LIMIT = 2_000_000
"""Bytes that may be unread in one partition."""
_AROUND = 700
"""Bytes of a record beside key and body: our headers, and the frame."""
SILENT_SECONDS = 30.0
"""A group that the registry does not know counts for so long after its last word; groups speak every few seconds."""


class _Sent(NamedTuple):
    """Something sent: the offset after it, and its bytes."""

    next: int
    size: int


def size_of(event: Event) -> int:
    """About how many bytes an event takes in the log."""
    return len(event.body) + 2 * len(event.key) + _AROUND


class Window:
    """What each partition holds that is not read by all, in one life of the broker."""

    def __init__(self, readers: Mapping[str, Collection[str]], limit: int = LIMIT) -> None:
        """`readers` names the groups of each topic. One that was never heard stands at 0; one heard beside them counts, too,
        until it is silent."""
        self._readers = readers
        self._limit = limit
        self._sent: dict[Partition, deque[_Sent]] = {}
        self._held: dict[Partition, int] = {}
        self._heard: dict[str, dict[str, dict[Partition, int]]] = {}
        self._heard_at: dict[str, float] = {}

    def heard(self, group: str, next_: Mapping[Partition, int], now: float = 0.0) -> None:
        """How far a group is: the offset that it reads next. `now` is in seconds, from whenever."""
        self._heard_at[group] = now
        for part, offset in next_.items():
            self._heard.setdefault(part.topic, {}).setdefault(group, {})[part] = offset

    def sent(self, part: Partition, next_: int, size: int) -> None:
        """So many bytes lie in the partition, up to this offset."""
        self._sent.setdefault(part, deque()).append(_Sent(next_, size))
        self._held[part] = self._held.get(part, 0) + size

    def unread(self, part: Partition) -> int:
        """Bytes that some reader of the partition has not read."""
        waiting = self._sent.get(part)
        if not waiting:
            return 0
        heard = self._heard.get(part.topic, {})
        positions = [heard.get(group, {}).get(part, 0) for group in {*self._readers.get(part.topic, ()), *heard}]
        while waiting and all(position >= waiting[0].next for position in positions):
            self._held[part] -= waiting.popleft().size
        return self._held[part]

    def fits(self, wanted: Iterable[tuple[Partition, int]]) -> int:
        """How many of these, given with their bytes, can be sent now, from the first on. One always can where all is read."""
        room: dict[Partition, int] = {}
        amount = 0
        for part, size in wanted:
            if part not in room:
                unread = self.unread(part)
                room[part] = self._limit - unread if unread else max(self._limit, size)
            room[part] -= size
            if room[part] < 0:
                break
            amount += 1
        return amount

    def forget_silent(self, now: float) -> None:
        """Wait no longer for groups beside the registry's that are gone: one word of theirs would hold a topic up for ever."""
        silent = {group for group, at in self._heard_at.items() if now - at > SILENT_SECONDS}
        for topic, groups in self._heard.items():
            for group in (silent & groups.keys()).difference(self._readers.get(topic, ())):
                del groups[group]
        for group in silent:
            del self._heard_at[group]

    def forget(self) -> None:
        """The broker is another one: nothing is in it, nobody has read."""
        self._sent.clear()
        self._held.clear()
        self._heard.clear()
        self._heard_at.clear()
