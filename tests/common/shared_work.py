"""A service that reads two topics of one placement with a second group, for tests of work that is shared out by group."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from common.contracts import registry
from common.contracts.registry import Topic
from common.contracts.values import Fact
from common.messaging.consumer import Arrived
from common.messaging.message import Partition
from common.service import Service
from common.telemetry import Telemetry
from common.transaction import Transaction
from tests.brokers import Broker
from tests.common.hop import MIGRATIONS, settings

ASKS, BIDS, NOTES = "trial.asks", "trial.bids", "trial.notes"
GROUPS = ("lighting", "cooling", "pumps", "motors", "boilers", "solar", "storage", "insulation", "controls", "recovery")
TOPICS = {
    topic.name: topic
    for topic in (
        Topic(ASKS, "facts", "trial", ("trial-groups",), 6, "first-part", GROUPS),
        Topic(BIDS, "facts", "trial", ("trial-groups",), 6, "first-part", GROUPS),
        Topic(NOTES, "facts", "trial", ("trial",)),
    )
}


class Ask(Fact):
    """What somebody wants; "poison" in `said` fails until it is cured."""

    type: ClassVar[str] = "ask.made.v1"
    topic: ClassVar[str] = ASKS

    key: str
    said: str = ""

    @property
    def subject(self) -> str:
        return self.key


class Bid(Ask):
    """What somebody has."""

    type: ClassVar[str] = "bid.made.v1"
    topic: ClassVar[str] = BIDS


class NoteMade(Ask):
    """For the service's first group."""

    type: ClassVar[str] = "note.made.v1"
    topic: ClassVar[str] = NOTES


FACTS: Mapping[str, type[Fact]] = registry.FACTS | {kind.type: kind for kind in (Ask, Bid, NoteMade)}


class Member:
    """One process of the service, and what it worked on: by topic, the keys in order."""

    def __init__(self, postgres: str, broker: Broker, name: str) -> None:
        """`name` is the service's; give each test on a real broker another."""
        self.worked: dict[str, list[str]] = defaultdict(list)
        self.name = name
        self.group = f"{name}-groups"
        self.topics = {topic.name: topic._replace(producer=name) for topic in TOPICS.values()}
        self.service = Service(
            name, settings(postgres, broker), migrations=MIGRATIONS, telemetry=Telemetry(name, log_level="CRITICAL")
        )

    def takes(self, *kinds: type[Fact], group: str = "", **how: Any) -> "Member":
        """Have these handled; `how` goes to `on_events`."""
        handlers = dict.fromkeys(kinds, self._work)
        self.service.on_events(handlers, group=group, facts=FACTS, topics=registry.TOPICS | self.topics, **how)
        return self

    def takes_groups(self, *, together: bool = True) -> "Member":
        """Take the topics that are placed by group, as the second group."""
        return self.takes(Ask, Bid, group=self.group, together=together, owners_retry=True)

    def numbers(self) -> set[tuple[str, int]]:
        """The partitions that it has of the topics placed by group."""
        _, owned = self.service._subscriptions[self.group].progress()
        return {(part.topic, part.number) for part in owned if part.topic in (ASKS, BIDS)}

    async def _work(self, events: Sequence[Arrived[Ask]], tx: Transaction) -> None:
        cured = {what for (what,) in await tx.fetch("select what from cured")}
        if {"poison"} & {arrived.data.said for arrived in events} - cured:
            raise ValueError("poison")
        await tx.connection.copy_records_to_table(
            "effect",
            columns=["topic", "key", "sequence", "event_id", "type"],
            records=[(e.topic, e.key, e.sequence, e.id, e.type) for e in (arrived.event for arrived in events)],
        )
        for arrived in events:
            self.worked[arrived.event.topic].append(arrived.event.key)

    async def emit(self, *facts: Fact) -> None:
        """Announce these."""
        async with self.service.database.transaction() as tx:
            for fact in facts:
                tx.emit(fact)


def partition(key: str, topic: str = ASKS) -> Partition:
    """Where the group of this key lies by the list."""
    return Partition(topic, GROUPS.index(key.partition("/")[0]) % 6)
