"""By when a recipient should have answered, and how an inbox is ordered by that."""

from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

WORKING_DAYS = 3
CLOSE_OF_DAY = time(17, 0)

Group = Literal["overdue", "this-week", "later"]


def answer_by(issued: datetime, timezone: str, deadline: date) -> datetime:
    """17:00 in the recipient's zone on the third working day after it was told, or on the need's last day if that is sooner.

    Monday to Friday count as working days everywhere; public holidays are not known here."""
    zone = ZoneInfo(timezone)
    today = issued.astimezone(zone).date()
    day, left = today, WORKING_DAYS
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < 5
    return datetime.combine(min(day, max(deadline, today)), CLOSE_OF_DAY, zone)


def group(by: datetime, now: datetime, timezone: str) -> Group:
    """Where an open item stands in the inbox; a week ends on Sunday in the reader's zone."""
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    if by < now:
        return "overdue"
    sunday = today + timedelta(days=6 - today.weekday())
    return "this-week" if by.astimezone(zone).date() <= sunday else "later"
