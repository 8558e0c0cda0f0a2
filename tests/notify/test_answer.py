"""By when an answer is due, and where an item stands in the inbox."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from notify.domain.answer import answer_by, group
from tests.notify.matches import TUESDAY

FAR = date(2027, 4, 14)


def test_three_working_days_end_at_five_in_the_afternoon_of_the_recipient():
    assert answer_by(TUESDAY, "Asia/Ho_Chi_Minh", FAR) == datetime(2026, 11, 27, 17, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))
    assert answer_by(TUESDAY, "Asia/Tokyo", FAR) == datetime(2026, 11, 27, 8, tzinfo=UTC)


def test_a_weekend_in_between_does_not_count():
    thursday = TUESDAY + timedelta(days=2)
    assert answer_by(thursday, "Asia/Tokyo", FAR).date() == date(2026, 12, 1)


def test_the_day_begins_where_the_recipient_is():
    monday_evening_utc = datetime(2026, 11, 23, 20, tzinfo=UTC)  # Tuesday morning in Tokyo
    assert answer_by(monday_evening_utc, "Asia/Tokyo", FAR).date() == date(2026, 11, 27)


def test_a_need_that_ends_sooner_is_answered_sooner():
    assert answer_by(TUESDAY, "Asia/Tokyo", date(2026, 11, 25)).date() == date(2026, 11, 25)
    assert answer_by(TUESDAY, "Asia/Tokyo", date(2026, 11, 1)).date() == date(2026, 11, 24)


def test_items_are_overdue_due_this_week_or_later():
    by = answer_by(TUESDAY, "Asia/Tokyo", FAR)  # Friday
    assert group(by, TUESDAY, "Asia/Tokyo") == "this-week"
    assert group(by, by + timedelta(minutes=1), "Asia/Tokyo") == "overdue"
    assert group(by + timedelta(days=3), TUESDAY, "Asia/Tokyo") == "later"  # next Monday
    assert group(by + timedelta(days=2), TUESDAY, "Asia/Tokyo") == "this-week"  # Sunday
