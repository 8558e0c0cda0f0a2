"""The one list of all event types and topics: what is published where, what a topic promises, who takes in which partner type."""

from typing import Literal, NamedTuple

from common.contracts import catalog, matching, messaging, needs, notify
from common.contracts.values import Fact, Submission

ANY_SERVICE = "*"
"""The producer of a topic that every service writes to."""


class Topic(NamedTuple):
    """`state`: compacted, only the newest version of a key matters. `facts`: kept 7 days, every event counts. The control
    topics are of the other two kinds: `last-word`, compacted, one word for each key; `call`, kept one day.

    `readers` are the services whose handlers take its events; each is a consumer group of that name."""

    name: str
    kind: Literal["state", "facts", "last-word", "call"]
    producer: str
    readers: tuple[str, ...] = ()
    partitions: int = 4

    def is_produced_by(self, service: str) -> bool:
        """Whether this service announces its events."""
        return self.producer in (service, ANY_SERVICE)


TOPICS = {
    topic.name: topic
    for topic in (
        Topic("needs.municipalities", "state", "needs", ("notify",)),
        Topic("needs.needs", "state", "needs", ("matching",)),
        Topic("catalog.companies", "state", "catalog", ("notify",)),
        Topic("catalog.offerings", "state", "catalog", ("matching",)),
        Topic("catalog.exchange-rates", "state", "catalog", ("matching",)),
        Topic("matching.proposals", "state", "matching", ("notify",)),
        Topic("matching.feedback", "facts", "matching"),
        Topic("notify.notifications", "facts", "notify"),
        Topic("dead-letters", "facts", ANY_SERVICE, partitions=1),
    )
}

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
