"""What a reader sees when it looks at the broker now and then, and when it has to start again.

aiokafka finds its way back to a broker that was away by itself. But it may stand still for good (#1154), it does not know that a
broker lives another life, and it calls one that is away many times a second.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import IllegalStateError

from common.messaging.broker import Broker
from common.messaging.message import Partition
from common.messaging.standstill import Standstill
from common.telemetry import Telemetry

_STUCK_AFTER = 10.0
_AWAY_AFTER = 30.0
_ANSWER_SECONDS = 5


class Stuck(Exception):
    """There is something to read and nothing arrives: start again."""


class OtherLife(Exception):
    """The broker is another one: start again."""


class NewTopic(Exception):
    """A topic that was missing is there: start again, to read it too."""


class Away(Exception):
    """The broker has been away for long: leave, and wait calmly for it."""


class Lookout:
    """For one stay at the broker."""

    def __init__(
        self, broker: Broker, incarnation: str, told: Telemetry, *, session: float, missing: frozenset[str] = frozenset()
    ) -> None:
        """`incarnation` is the life in which we stay; members that are gone hold others up for a `session` (seconds); `missing`
        are topics that we would read, too."""
        self._broker = broker
        self._incarnation = incarnation
        self._told = told
        self._missing = missing
        self._still = Standstill(_STUCK_AFTER, unassigned=2 * session + _STUCK_AFTER)
        self._away_since: float | None = None
        self._shorter: set[Partition] = set()

    async def look(self, consumer: Any, *, assigned: bool, busy: bool, batches: int) -> dict[Partition, int]:
        """Where our partitions end, as far as that can be said now. `busy`: a batch is in work; `batches` were so far.

        Raises `OtherLife`, `NewTopic`, `Stuck` or `Away`."""
        try:
            incarnation = await self._broker.incarnation()
            missing = await self._broker.missing(self._missing) if self._missing else self._missing
            mine = consumer.assignment()
            async with asyncio.timeout(_ANSWER_SECONDS):
                ends = await consumer.end_offsets(mine) if mine else {}
                behind = {part.topic for part in mine if await consumer.position(part) < ends[part]}
        except IllegalStateError:  # a rebalance took one away meanwhile
            return {}
        except Exception as error:  # noqa: BLE001  of aiokafka's errors and of the system's
            self._is_away(error)
            return {}
        self._away_since = None
        if incarnation != self._incarnation:
            raise OtherLife("the broker lives another life")
        if missing != self._missing:
            raise NewTopic(f"{', '.join(sorted(self._missing - missing))} is there now")
        for topic in {part.topic for part in mine} - behind:
            self._told.metrics.lag.labels(topic).set(0)
        if busy:
            self._still.reset()
        elif self._still.stuck(time.monotonic(), assigned=assigned, behind=bool(behind), batches=batches):
            raise Stuck("nothing arrived although there is something to read" if assigned else "no partitions were assigned")
        return {Partition(*part): end for part, end in ends.items()}

    def shorter(self, ends: Mapping[Partition, int], next_: Mapping[Partition, int]) -> set[Partition]:
        """The partitions that end before the offset at which we go on. They have to be seen so twice: a leader that is new may
        know less for a moment."""
        before, self._shorter = self._shorter, {part for part, end in ends.items() if end < next_.get(part, 0)}
        return before & self._shorter

    def _is_away(self, error: Exception) -> None:
        self._still.reset()
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._told.log.warning("the broker does not answer", extra={"error": repr(error)[:256]})
        if time.monotonic() - self._away_since > _AWAY_AFTER:
            raise Away(f"the broker has not answered for {_AWAY_AFTER:.0f} s") from error
