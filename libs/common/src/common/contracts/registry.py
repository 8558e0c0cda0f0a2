"""The one list of all event types and topics: what is published where, what a topic promises, who takes in which partner type."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from common.contracts import catalog, matching, messaging, needs, notify
from common.contracts.values import Fact, Submission
from common.vocabulary import technologies

ANY_SERVICE = "*"
"""The producer of a topic that every service writes to."""


class Topic(NamedTuple):
    """`state`: compacted, only the newest version of a key matters. `facts`: kept 7 days, every event counts. The control
    topics are of the other two kinds: `last-word`, compacted, one word for each key; `call`, kept one day.

    `readers` are the consumer groups whose handlers take its events: a service's name, or that name, a hyphen and more.

    `placed_by` says what the partition of an event follows from: its whole `key`, or only what stands before the first slash
    of it (`first-part`), so that all keys of a group lie in one partition, in one order. Of those first parts, the ones listed in
    `first_parts` are dealt out to the partitions in the order of the list; any other goes where its hash says. The list may only
    grow at its end."""

    name: str
    kind: Literal["state", "facts", "last-word", "call"]
    producer: str
    readers: tuple[str, ...] = ()
    partitions: int = 4
    placed_by: Literal["key", "first-part"] = "key"
    first_parts: tuple[str, ...] = ()

    def is_produced_by(self, service: str) -> bool:
        """Whether this service announces its events."""
        return self.producer in (service, ANY_SERVICE)

    def is_read_by(self, service: str) -> bool:
        """Whether one of this service's groups takes its events."""
        return any(service_of(group) == service for group in self.readers)


def service_of(group: str) -> str:
    """The service that a consumer group belongs to: `matching` of `matching` and of `matching-groups`."""
    return group.partition("-")[0]


def _by_group(name: str) -> Topic:
    """What matching sends to itself, dealt out by technology group: as many partitions as there are groups."""
    groups = tuple(dict.fromkeys(technology.group for technology in technologies().values()))
    return Topic(name, "state", "matching", ("matching-groups",), len(groups), placed_by="first-part", first_parts=groups)


TOPICS = {
    topic.name: topic
    for topic in (
        Topic("needs.municipalities", "state", "needs", ("notify",)),
        Topic("needs.needs", "state", "needs", ("matching",)),
        Topic("catalog.companies", "state", "catalog", ("notify",)),
        Topic("catalog.offerings", "state", "catalog", ("matching",)),
        Topic("catalog.exchange-rates", "state", "catalog", ("matching",)),
        _by_group("matching.needs-by-group"),
        _by_group("matching.offerings-by-group"),
        Topic("matching.proposals", "state", "matching", ("notify",)),
        Topic("matching.feedback", "facts", "matching"),
        Topic("notify.notifications", "facts", "notify"),
        Topic("dead-letters", "facts", ANY_SERVICE, partitions=1),
    )
}


def groups_of(service: str, topics: Iterable[Topic] = tuple(TOPICS.values())) -> list[str]:
    """The consumer groups of a service, its own name first."""
    return sorted({group for topic in topics for group in topic.readers if service_of(group) == service})


PROGRESS, RESEND = "protocol.progress", "protocol.resend"
CONTROL_TOPICS = {
    topic.name: topic
    for topic in (
        Topic(PROGRESS, "last-word", ANY_SERVICE, partitions=1),
        Topic(RESEND, "call", ANY_SERVICE, partitions=1),
    )
}
"""How far each group has come, and what shall be sent again (see `common.messaging.control`).
No gate guards them: they only hasten."""

FACTS: dict[str, type[Fact]] = {
    fact.type: fact
    for fact in (
        needs.MunicipalityListed,
        needs.NeedPosted,
        catalog.CompanyListed,
        catalog.OfferingListed,
        catalog.ExchangeRatePublished,
        matching.ShortlistChanged,
        matching.FeedbackGiven,
        matching.NeedRouted,
        matching.OfferingRouted,
        notify.NotificationIssued,
        notify.NotificationAcknowledged,
        messaging.RecordDeadLettered,
    )
}

SUBMISSIONS: dict[str, type[Submission]] = {
    submission.type: submission
    for submission in (
        needs.MunicipalitySubmitted,
        needs.NeedSubmitted,
        catalog.CompanySubmitted,
        catalog.OfferingSubmitted,
        catalog.ExchangeRateSubmitted,
    )
}
