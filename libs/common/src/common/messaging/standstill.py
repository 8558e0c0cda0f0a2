"""Whether a reader stands still although there is something to read: pure, no clock, no broker."""

from dataclasses import dataclass


@dataclass
class Standstill:
    """Asked now and then. `patience` seconds without a batch while there is something to read are too many, or `unassigned`
    seconds without an assignment: joining a group takes as long as the sessions of its lost members."""

    patience: float
    unassigned: float
    _since: float | None = None
    _batches: int = -1
    _assigned: bool = False

    def stuck(self, now: float, *, assigned: bool, behind: bool, batches: int) -> bool:
        """`batches` counts what has arrived so far. What arrives right before a look is not late: two looks have to see it."""
        waits = behind or not assigned
        if not waits or batches != self._batches or assigned != self._assigned:
            self._since = None
        self._batches, self._assigned = batches, assigned
        if not waits:
            return False
        if self._since is None:
            self._since = now
        return now - self._since > (self.patience if assigned else self.unassigned)

    def reset(self) -> None:
        """Nothing can be said just now."""
        self._since = None
