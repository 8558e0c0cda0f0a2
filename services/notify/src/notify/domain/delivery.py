"""The life of one mail: planned with its notification, composed, sent, tried again, or given up with a reason."""

from datetime import timedelta
from typing import Literal
from uuid import UUID, uuid5

State = Literal["to_compose", "due", "sent", "in_folder", "failed", "inbox_only"]
"""`to_compose`: the recipient's address and language are looked up next; `due`: composed, waits for `next_try`; `sent`: a mail
server took it; `in_folder`: written as a file, no mail server is configured; `failed`: refused for good, see the reason;
`inbox_only`: it is not mailed, see the reason."""

STATES: tuple[State, ...] = ("to_compose", "due", "sent", "in_folder", "failed", "inbox_only")

LEASE = timedelta(minutes=2)
"""A sender that claimed a mail and died is believed dead after this; then the mail is sent again with the same Message-ID."""
_BACK_OFF = (30, 120, 600, 1_800, 3_600, 3_600, 7_200, 14_400, 14_400, 28_800, 28_800)
"""Seconds to wait after the 1st, 2nd, … refusal for now; about 29 hours in all, as mail servers usually wait."""


def delivery_id(notification_id: UUID, channel: str, recipient_id: str) -> UUID:
    """The same notification by the same channel to the same recipient is one delivery, however often it is asked for."""
    return uuid5(notification_id, f"{channel}/{recipient_id}")


def next_wait(attempts: int) -> timedelta | None:
    """How long to wait after so many attempts (1 or more); None when it is time to give up."""
    return timedelta(seconds=_BACK_OFF[attempts - 1]) if attempts <= len(_BACK_OFF) else None


def only_in_the_inbox(address: str | None, *, example: bool) -> dict[str, str] | None:
    """Why this is not mailed, by language; None where it may be mailed.

    Invented companies must never reach a real mailbox: whatever is about them goes to `.example` addresses only."""
    if address is None:
        return {
            "en": "No mail address is known for this recipient, so it stands in the inbox only.",
            "ja": "届け先のメールアドレスが登録されていないため、受信箱だけに届いています。",
        }
    if example and not address.lower().endswith(".example"):
        return {
            "en": "Example data is never mailed to a real address, so it stands in the inbox only.",
            "ja": "例のデータは実在のアドレスに送信しないため、受信箱だけに届いています。",
        }
    return None
