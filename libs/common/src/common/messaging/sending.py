"""What the relay has to send again, given what the broker says: pure, no clock, no database, no broker.

A broker may come back as another one (a new *incarnation*), or as itself with a shorter log (a power cut before its disk had
everything). Either way all that is stored is sent again, in order, and the readers' gates drop what they know. But a reader
stands at an offset: if what lay before it was lost, and the log grew again, it never sees what lies there now. So what is written
where a reader may stand beyond does not count: it is written again, until it lies beyond every reader.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from common.messaging.message import Partition

_NOTHING: Mapping[Partition, int] = {}


class Written(NamedTuple):
    """Where one acknowledged request came to lie in a partition: its first offset, and the next after its last."""

    first: int
    next: int


class Outcome(NamedTuple):
    """What an acknowledgement comes to. If both are empty, what was written may be forgotten."""

    everything: bool
    """The log was shortened meanwhile: everything is unsent again, this too."""
    wanting: Mapping[Partition, int]
    """Partitions in which these events have to be written again, because readers may stand beyond them, and how many records
    are wanting there until none can."""


@dataclass
class Sending:
    """What is known of the broker that we send to. It is loaded whenever a relay begins to lead, and stored, before anything is
    sent, after `meet`, and in the same transaction that marks everything unsent or forgets what was sent."""

    incarnation: str = ""
    until: dict[Partition, int] = field(default_factory=dict)
    """Where each partition ended when last heard of. A lower end means that it was shortened."""
    beyond: dict[Partition, int] = field(default_factory=dict)
    """No reader stands beyond this."""

    def meet(self, incarnation: str, ends: Mapping[Partition, int], in_doubt: Mapping[Partition, int] = _NOTHING) -> bool:
        """The broker says who it is and where its partitions end; True if everything has to be sent again.

        `in_doubt`, given whenever a relay begins to lead or a sending failed: how many records at most may have been written
        without our knowing, and read, and lost. A relay sends its lowest unsent batches, so counting the records of somewhat more
        of those than it sends at once is enough."""
        known, self.incarnation = self.incarnation, incarnation
        if another := known != incarnation:
            self.until, self.beyond = {}, {}
        shorter = any(ends.get(part, 0) < end for part, end in self.until.items())
        for part in {*ends, *self.until, *in_doubt}:
            furthest = max(self.beyond.get(part, 0), self.until.get(part, 0), ends.get(part, 0))
            self.beyond[part] = furthest + in_doubt.get(part, 0)
            self.until[part] = ends.get(part, 0)
        return bool(known) and (another or shorter)

    def doubting(self, records: Mapping[Partition, int]) -> "Sending":
        """What to store before so many records are written that are not marked unsent: should we end before their
        acknowledgement is stored, the next leader does not know of them, and a reader may stand beyond them all the same."""
        until = {part: self.until.get(part, 0) for part in records}
        beyond = {part: max(self.beyond.get(part, 0), end) + records[part] for part, end in until.items()}
        return replace(self, until=self.until | until, beyond=self.beyond | beyond)

    def acknowledged(self, written: Mapping[Partition, Sequence[Written]]) -> Outcome:
        """The broker has these; for each partition its requests, in the order of sending."""
        everything = False
        wanting: dict[Partition, int] = {}
        for part, requests in written.items():
            beyond = self.beyond.get(part, 0)
            for first, next_ in requests:
                everything = everything or first < self.until.get(part, 0)
                self.until[part] = next_
                self.beyond[part] = max(self.beyond.get(part, 0), next_)
            if requests and min(requests).first < beyond:
                wanting[part] = max(0, beyond - self.until[part])
        return Outcome(everything, wanting)
