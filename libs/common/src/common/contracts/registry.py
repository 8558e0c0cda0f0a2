"""The one list of all event types and topics: what is published where, what a topic promises, who takes in which partner type."""

from typing import Literal, NamedTuple

from common.contracts import catalog, matching, messaging, needs, notify
from common.contracts.values import Fact, Submission

ANY_SERVICE = "*"
"""The producer of a topic that every service writes to."""


class Topic(NamedTuple):
    """`state`: compacted, only the newest version of a key matters. `facts`: kept 7 days, every event counts.

    `readers` are the services whose handlers take its events; each is a consumer group of that name."""

    name: str
    kind: Literal["state", "facts"]
    producer: str
    readers: tuple[str, ...] = ()
    partitions: int = 4

    def is_produced_by(self, service: str) -> bool:
        """Whether this service announces its events."""
        return self.producer in (service, ANY_SERVICE)


TOPICS = {
    topic.name: topic
    for topic in (
        Topic("needs.municipalities", "state", "needs"),
        Topic("needs.needs", "state", "needs"),
        Topic("catalog.companies", "state", "catalog"),
        Topic("catalog.offerings", "state", "catalog"),
        Topic("catalog.exchange-rates", "state", "catalog"),
        Topic("matching.proposals", "state", "matching"),
        Topic("notify.notifications", "facts", "notify"),
        Topic("dead-letters", "facts", ANY_SERVICE, partitions=1),
    )
}

FACTS: dict[str, type[Fact]] = {
    fact.type: fact
    for fact in (
        needs.MunicipalityListed,
        needs.NeedPosted,
        catalog.CompanyListed,
        catalog.OfferingListed,
        catalog.ExchangeRatePublished,
        matching.ShortlistChanged,
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
