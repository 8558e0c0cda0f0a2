"""Once per match, at most three a day for one need, and the rest in one note."""

from datetime import datetime, timedelta

from common.contracts.matching import Match
from notify.domain.ration import Earlier, Ration, notification_id, ration
from notify.domain.routing import Occasion, Told, whom_to_tell
from notify.offices import SECRETARIAT, offices
from tests.notify.matches import TUESDAY, match, need


def for_the_office(*matches: Match) -> list[Told]:
    occasions = [Occasion(need(), m, offices(), SECRETARIAT) for m in matches]
    return [told for occasion in occasions for told in whom_to_tell(occasion) if told.recipient.kind == "office"]


def as_earlier(shares: Ration, at: datetime) -> list[Earlier]:
    own = [
        Earlier(t.recipient.id, t.match.offering_id, notification_id(t.recipient.id, "need-1", t.match.offering_id), True, at)
        for t in shares.notified
    ]
    return own + [Earlier(t.recipient.id, t.match.offering_id, note, False, at) for t, note in shares.noted]


def offerings(shares: Ration) -> list[str]:
    return [t.match.offering_id for t in shares.notified]


def test_the_best_three_get_a_notification_and_the_rest_count_in_the_last_ones_note():
    five = for_the_office(*(match(f"o{n}", 90 - n) for n in range(5)))
    shares = ration("need-1", five, [], TUESDAY)
    assert offerings(shares) == ["o0", "o1", "o2"]
    last = notification_id("jetro-hanoi", "need-1", "o2")
    assert [(t.match.offering_id, note) for t, note in shares.noted] == [("o3", last), ("o4", last)]


def test_what_was_told_is_never_told_again_whether_on_its_own_or_in_a_note():
    five = for_the_office(*(match(f"o{n}", 90 - n) for n in range(5)))
    before = as_earlier(ration("need-1", five, [], TUESDAY), TUESDAY)
    for later in (timedelta(hours=1), timedelta(days=1), timedelta(days=400)):
        shares = ration("need-1", five, before, TUESDAY + later)
        assert (shares.notified, shares.noted) == ([], [])


def test_a_match_later_on_the_same_day_joins_the_note_and_one_on_the_next_day_gets_its_own():
    before = as_earlier(ration("need-1", for_the_office(*(match(f"o{n}") for n in range(3))), [], TUESDAY), TUESDAY)
    late = for_the_office(match("late"))
    same_day = ration("need-1", late, before, TUESDAY + timedelta(hours=2))
    assert [note for _, note in same_day.noted] == [before[2].notification_id]
    assert offerings(ration("need-1", late, before, TUESDAY + timedelta(days=1))) == ["late"]


def test_a_day_ends_at_midnight_of_the_recipient_not_of_the_machine():
    before = as_earlier(ration("need-1", for_the_office(*(match(f"o{n}") for n in range(3))), [], TUESDAY), TUESDAY)
    late = for_the_office(match("late"))
    just_before_midnight_in_hanoi = TUESDAY.replace(hour=16, minute=59)
    just_after = TUESDAY.replace(hour=17, minute=1)  # still Tuesday in UTC
    assert ration("need-1", late, before, just_before_midnight_in_hanoi).notified == []
    assert offerings(ration("need-1", late, before, just_after)) == ["late"]


def test_each_recipient_has_its_own_three():
    everybody = [told for n in range(4) for told in whom_to_tell(Occasion(need(), match(f"o{n}"), offices(), SECRETARIAT))]
    shares = ration("need-1", everybody, [], TUESDAY)
    for recipient in ("jetro-hanoi", "hai-phong", "hibiki"):
        assert [t.match.offering_id for t in shares.notified if t.recipient.id == recipient] == ["o0", "o1", "o2"]
        assert [t.match.offering_id for t, _ in shares.noted if t.recipient.id == recipient] == ["o3"]
