"""Drops what nobody can want any more, hourly, a bit at a time (decision 0064).

Facts go when they are 7 days old and every reader has passed them; states when they are 7 days old and have a newer version, the
newest stays for ever. What partners sent is remembered for 35 days, longer than an event may be old when it comes in (28).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from common.contracts.registry import TOPICS, Topic
from common.messaging import prune_store
from common.postgres import Database
from common.telemetry import Telemetry
from common.transaction import Transaction

EVERY = timedelta(hours=1)
KEPT = timedelta(days=7)
GIVEN_UP_AFTER = timedelta(days=28)
"""A reader that was not heard for so long holds nothing back any more."""
SEEN_KEPT = timedelta(days=35)
SETTLED_KEPT = timedelta(days=90)
"""Parked and quarantined records that hold nobody up any more."""
LONGEST_TRANSACTION = timedelta(hours=1)
"""What was stored that long before a mark was visible when the mark was taken. No transaction comes near."""


class Pruner:
    """The pruning of one service. `step` is for a background loop."""

    def __init__(self, database: Database, told: Telemetry, *, topics: Mapping[str, Topic] = TOPICS) -> None:
        """`topics` says who reads what. Of a topic that it does not name, every event counts and nobody reads."""
        self._database = database
        self._told = told
        self._topics = topics
        self._next = datetime.min.replace(tzinfo=database.clock().tzinfo)
        self._batch = 0
        self._passed: Mapping[str, datetime] = {}

    async def step(self) -> bool:
        """Do a bit if an hour is over; True if there is more to do. Several processes may do this at once."""
        now = self._database.clock()
        if now < self._next:
            return False
        async with self._database.transaction() as tx:
            if self._batch == 0:
                await prune_store.mark(tx, now)
                await prune_store.forget_marks(tx, now - 2 * SEEN_KEPT)
                self._passed = await self._passed_by_all(tx, now)
            facts = {topic: min(now - KEPT, until - LONGEST_TRANSACTION) for topic, until in self._passed.items()}
            states = [name for name, topic in self._topics.items() if topic.kind == "state"]
            self._batch, gone = await prune_store.forget_events(tx, self._batch, facts, states, now - KEPT)
            more = self._batch > 0
            if not more:
                more = await prune_store.forget_records(tx, seen=now - SEEN_KEPT, settled=now - SETTLED_KEPT)
        if gone:
            self._told.log.info("old events dropped", extra={"events": gone})
        if not more:
            self._next = now + EVERY
        return more

    async def _passed_by_all(self, tx: Transaction, now: datetime) -> dict[str, datetime]:
        """For each topic of facts: what was sent before this time was passed by every reader."""
        since, readers = await prune_store.readers(tx)
        passed: dict[str, datetime] = {}
        for topic in await prune_store.topics_marked(tx):
            known = self._topics.get(topic)
            if known is not None and known.kind == "state":
                continue
            waited_for = self._waited_for(topic, known.readers if known else (), readers, since, now)
            at = await prune_store.newest_mark_passed(tx, topic, waited_for)
            if at is not None:
                passed[topic] = at
        return passed

    def _waited_for(
        self,
        topic: str,
        expected: Iterable[str],
        readers: Mapping[tuple[str, str], datetime],
        since: datetime,
        now: datetime,
    ) -> list[str]:
        """The groups that have to have passed; those that were silent for too long are named in the log."""
        heard = {group: at for (group, name), at in readers.items() if name == topic}
        heard = dict.fromkeys(expected, since) | heard
        silent = sorted(group for group, at in heard.items() if now - at > GIVEN_UP_AFTER)
        if silent:
            self._told.log.warning(
                "readers were not heard for 28 days and hold no events back", extra={"topic": topic, "groups": silent}
            )
        return sorted(heard.keys() - set(silent))
