"""What the notify service announces: who was told what and why, and who has seen it."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from common.contracts.values import Fact, Id, Line, Text


class NotificationFields(Fact):
    """A notification to one recipient about one match. Addresses are not in it."""

    id: Id
    recipient_id: Id
    recipient_kind: Literal["office", "secretariat", "municipality", "company"]
    need_id: Id
    offering_id: Id
    rule: Line
    why: Text
    issued_at: AwareDatetime

    @property
    def subject(self) -> str:
        return self.id


class NotificationIssued(NotificationFields):
    """A recipient was told of a match for the first time."""

    type: ClassVar[str] = "notification.issued.v1"
    topic: ClassVar[str] = "notify.notifications"


class NotificationAcknowledged(NotificationFields):
    """Somebody of the recipient's organisation has seen it; `acknowledged_by` is an account id, not a name."""

    type: ClassVar[str] = "notification.acknowledged.v1"
    topic: ClassVar[str] = "notify.notifications"

    acknowledged_by: Id
    acknowledged_at: AwareDatetime
