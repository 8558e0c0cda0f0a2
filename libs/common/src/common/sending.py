"""What the relay has to send again, given what the broker says: pure, no clock, no database, no broker.

A broker may come back as another one (a new *incarnation*), or as itself with a shorter log (a power cut before its disk had
everything). Either way all that is stored is sent again, in order, and the readers' gates drop what they know. After a shortening
one round may not be enough: a reader stands at an offset of the longer log and does not see what is written below it. So rounds
are repeated until one began where no reader can stand beyond.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from common.message import Partition


class Written(NamedTuple):
    """Where one acknowledged round of sending came to lie in a partition: its first offset, and the next after its last."""

    first: int
    next: int


@dataclass
class Sending:
    """What is known of the broker that we send to. Every field is stored with the acknowledgement that changed it."""

    incarnation: str = ""
    until: dict[Partition, int] = field(default_factory=dict)
    """The furthest that each partition was ever written in this life: no reader stands beyond."""
    once_more: bool = False
    """When nothing is left to send, everything has to be sent once more."""

    def meet(self, incarnation: str, ends: Mapping[Partition, int]) -> bool:
        """The broker says who it is and where its partitions end; True if everything has to be sent again."""
        known, self.incarnation = self.incarnation, incarnation
        if known and known != incarnation:
            self.until, self.once_more = {}, False
            return True
        if not self.once_more and any(ends.get(part, 0) < next_ for part, next_ in self.until.items()):
            self.once_more = True
            return True
        return False

    def acknowledged(self, written: Mapping[Partition, Written]) -> None:
        """The broker has these; what lies below our furthest point may be unseen by a reader that stands there."""
        for part, (first, next_) in written.items():
            before = self.until.get(part, 0)
            if first < before:
                self.once_more = True
            self.until[part] = max(before, next_)

    def drained(self) -> bool:
        """Nothing is left to send; True if everything has to be sent once more."""
        once_more, self.once_more = self.once_more, False
        return once_more
