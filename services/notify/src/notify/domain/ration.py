"""How much is told at once: of a match once, of at most three a day for one need, and of the rest in one note."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from notify.domain.routing import Told

PER_NEED_AND_DAY = 3
_NOTIFICATIONS = UUID("5bb0fd57-7d56-5a0e-9f0e-2d0d1f6f3c11")
"""Namespace: a notification's id follows from recipient, need and offering, so that telling twice cannot make two."""


def notification_id(recipient_id: str, need_id: str, offering_id: str) -> UUID:
    return uuid5(_NOTIFICATIONS, f"{recipient_id}\n{need_id}\n{offering_id}")


@dataclass(frozen=True, slots=True)
class Earlier:
    """A recipient was told of an offering for this need: in a notification of its own, or in the note at the end of another."""

    recipient_id: str
    offering_id: str
    notification_id: UUID
    of_its_own: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Ration:
    """What becomes of those to be told: each in `notified` gets a notification; each in `noted` counts in that one's note."""

    notified: list[Told]
    noted: list[tuple[Told, UUID]]


def ration(need_id: str, candidates: Iterable[Told], earlier: Sequence[Earlier], now: datetime) -> Ration:
    """Share out one need's candidates (best match first). A day is the recipient's own, in its time zone."""
    already = {(e.recipient_id, e.offering_id) for e in earlier}
    ration = Ration([], [])
    today: dict[str, list[UUID]] = {}
    for told in candidates:
        recipient = told.recipient
        if (recipient.id, told.match.offering_id) in already:
            continue
        already.add((recipient.id, told.match.offering_id))
        if recipient.id not in today:
            today[recipient.id] = _notified_today(recipient.id, recipient.timezone, earlier, now)
        if len(today[recipient.id]) < PER_NEED_AND_DAY:
            ration.notified.append(told)
            today[recipient.id].append(notification_id(recipient.id, need_id, told.match.offering_id))
        else:
            ration.noted.append((told, today[recipient.id][-1]))
    return ration


def _notified_today(recipient_id: str, timezone: str, earlier: Sequence[Earlier], now: datetime) -> list[UUID]:
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    mine = [e for e in earlier if e.recipient_id == recipient_id and e.of_its_own and e.at.astimezone(zone).date() == today]
    return [e.notification_id for e in sorted(mine, key=lambda e: e.at)]
