"""What may be said of a match and by whom, whose word counts, and what became of the match."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.matching import Outcome, Speaking, Statement, Word
from common.errors import Rejected
from matching.domain.feedback import (
    DECLINE_REASONS,
    LONGEST_NOTE,
    WORDS,
    Speaker,
    Spoken,
    Stands,
    check_that_it_can_be_said,
    outcome,
    reasons_for,
    says_something_new,
    spoken,
    standing,
    statement,
)

NOON = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
CITY = Speaker("city", {"en": "Hai Phong"}, "municipality", "account-1")
COMPANY = Speaker("company", {"en": "Hibiki Lighting"}, "company", "account-2")
OFFICE = Speaker("jetro-hanoi", {"en": "JETRO Hanoi"}, "office", "account-3")
NETWORK = Speaker("secretariat", {"en": "Secretariat"}, "secretariat", "account-4")
SPEAKERS = (CITY, COMPANY, OFFICE, NETWORK)

MAY_SAY = {
    #              municipality company office secretariat
    "interested":  (True,       True,   False, False),
    "declined":    (True,       True,   False, False),
    "introduced":  (False,      False,  True,  True),
    "awarded":     (True,       False,  True,  True),
    "taken_back":  (True,       True,   True,  True),
}  # fmt: skip
CELLS = [(kind, word, may) for word, row in MAY_SAY.items() for kind, may in zip(WORDS, row, strict=True)]


def words(*spoken_by: tuple[Speaker, Word]) -> list[Statement]:
    """A history: who said what, one minute after the other, at place 1."""
    return [
        statement(
            who, Spoken(word, "price" if word == "declined" else ""), Stands(1, 94, "1-ab"), "city", NOON + timedelta(minutes=n)
        )
        for n, (who, word) in enumerate(spoken_by)
    ]


def faults_of(kind: Speaking, *texts: str) -> list[tuple[str, str]]:
    with pytest.raises(Rejected) as refused:
        spoken(kind, *texts)
    return [(one.pointer, one.code) for one in refused.value.faults]


@pytest.mark.parametrize(("kind", "word", "may"), CELLS)
def test_each_organisation_says_exactly_what_the_table_says(kind: Speaking, word: str, may: bool) -> None:
    reason = "not_now" if word == "declined" else ""
    if may:
        assert spoken(kind, word, reason).word == word
    else:
        assert ("/word", "unknown_word") in faults_of(kind, word, reason)


def test_the_table_has_every_word_and_every_organisation() -> None:
    assert set(WORDS) == set(get_args(Speaking))
    assert set(MAY_SAY) == set(get_args(Word)) == {word for row in WORDS.values() for word in row}


@pytest.mark.parametrize(
    ("texts", "faults"),
    [
        (("",), [("/word", "word_missing")]),
        (("maybe",), [("/word", "unknown_word")]),
        (("declined",), [("/reason", "reason_missing")]),
        (("declined", "prize"), [("/reason", "unknown_reason")]),
        (("declined", "market"), [("/reason", "unknown_reason")]),
        (("declined", "other"), [("/note", "note_missing")]),
        (("declined", "other", "  \n "), [("/note", "note_missing")]),
        (("interested", "price"), [("/reason", "reason_not_asked")]),
        (("interested", "", "a" * (LONGEST_NOTE + 1)), [("/note", "string_too_long")]),
        (("interested", "", "a\0b"), [("/note", "control_character")]),
        (("maybe", "x", "a\x85b"), [("/word", "unknown_word"), ("/reason", "reason_not_asked"), ("/note", "control_character")]),
    ],
)
def test_what_is_not_clear_is_refused_with_field_and_reason(texts: tuple[str, ...], faults: list[tuple[str, str]]) -> None:
    assert faults_of("municipality", *texts) == faults


def test_a_reason_that_was_nearly_right_is_suggested() -> None:
    with pytest.raises(Rejected) as refused:
        spoken("municipality", "declined", "prices")
    assert "Did you mean price?" in refused.value.faults[0].detail["en"]
    assert "price のことですか" in refused.value.faults[0].detail["ja"]


@given(st.text(max_size=LONGEST_NOTE + 20))
def test_every_note_that_is_taken_can_be_announced(note: str) -> None:
    try:
        what = spoken("company", "interested", "", note)
    except Rejected:
        return
    said = statement(COMPANY, what, Stands(None, None, "1-ab"), "city", NOON)
    assert (said.note or "") == what.note


def test_reasons_have_words_in_both_languages_and_somebody_to_give_them() -> None:
    assert len({one.code for one in DECLINE_REASONS}) == len(DECLINE_REASONS)
    assert all(one.en and one.ja and set(one.who) <= {"municipality", "company"} for one in DECLINE_REASONS)
    assert reasons_for("office") == ()
    assert "price" in {one.code for one in reasons_for("municipality")} - {one.code for one in reasons_for("company")}


@pytest.mark.parametrize(
    ("history", "what", "is_new"),
    [
        ([], Spoken("interested"), True),
        ([], Spoken("taken_back"), False),
        ([(CITY, "interested")], Spoken("interested"), False),
        ([(CITY, "interested")], Spoken("interested", note="In March, please"), True),
        ([(CITY, "interested")], Spoken("declined", "price"), True),
        ([(CITY, "declined")], Spoken("declined", "price"), False),
        ([(CITY, "declined")], Spoken("declined", "delivery"), True),
        ([(CITY, "interested")], Spoken("taken_back"), True),
        ([(CITY, "interested"), (CITY, "taken_back")], Spoken("taken_back", note="again"), False),
        ([(CITY, "interested"), (CITY, "taken_back")], Spoken("interested"), True),
        ([(COMPANY, "interested")], Spoken("interested"), True),
    ],
)
def test_the_same_again_is_nothing_new(history: list[tuple[Speaker, Word]], what: Spoken, is_new: bool) -> None:
    assert says_something_new(words(*history), "city", what) is is_new


def test_the_latest_word_of_each_organisation_counts_newest_first() -> None:
    history = words((CITY, "interested"), (COMPANY, "interested"), (OFFICE, "introduced"), (CITY, "declined"))
    assert [(one.organisation_id, one.word) for one in standing(history)] == [
        ("city", "declined"),
        ("jetro-hanoi", "introduced"),
        ("company", "interested"),
    ]


def test_an_award_recorded_for_the_city_stands_until_the_city_itself_speaks() -> None:
    recorded = words((CITY, "interested"), (OFFICE, "awarded"))
    assert outcome(standing(recorded)) == "awarded"
    assert recorded[-1].on_behalf_of == "city"
    contradicted = words((CITY, "interested"), (OFFICE, "awarded"), (CITY, "declined"))
    assert outcome(standing(contradicted)) == "declined"
    silent_again = words((CITY, "interested"), (OFFICE, "awarded"), (CITY, "taken_back"))
    assert outcome(standing(silent_again)) == "awarded"


@pytest.mark.parametrize(
    ("history", "became"),
    [
        ([], None),
        ([(CITY, "interested")], "interested"),
        ([(CITY, "interested"), (CITY, "taken_back")], None),
        ([(CITY, "interested"), (CITY, "declined")], "declined"),
        ([(CITY, "declined"), (COMPANY, "interested")], "one_sided"),
        ([(COMPANY, "declined"), (CITY, "interested")], "one_sided"),
        ([(CITY, "declined"), (COMPANY, "interested"), (CITY, "interested")], "interested"),
        ([(COMPANY, "declined"), (NETWORK, "introduced")], "introduced"),
        ([(NETWORK, "introduced"), (NETWORK, "taken_back"), (CITY, "interested")], "interested"),
        ([(NETWORK, "introduced"), (CITY, "awarded")], "awarded"),
        ([(CITY, "awarded"), (COMPANY, "declined")], "awarded"),
    ],
)
def test_what_became_of_a_match(history: list[tuple[Speaker, Word]], became: Outcome | None) -> None:
    assert outcome(standing(words(*history))) == became


turns = st.lists(st.tuples(st.sampled_from(SPEAKERS), st.sampled_from(get_args(Word))).filter(lambda t: t[1] in WORDS[t[0].kind]))


@given(turns)
def test_who_takes_back_everything_leaves_nothing(history: list[tuple[Speaker, Word]]) -> None:
    everybody_silent: Iterable[tuple[Speaker, Word]] = [(who, "taken_back") for who in SPEAKERS]
    assert standing(words(*history, *everybody_silent)) == []


@given(turns)
def test_what_counts_is_a_part_of_what_was_said_with_one_word_for_each(history: list[tuple[Speaker, Word]]) -> None:
    said = words(*history)
    counting = standing(said)
    assert len({one.organisation_id for one in counting}) == len(counting)
    for one in counting:
        assert one == [other for other in said if other.organisation_id == one.organisation_id][-1]
    assert counting == sorted(counting, key=lambda one: one.said_at, reverse=True)


def test_interest_and_its_refusal_answer_a_proposal_and_what_happened_can_always_be_recorded() -> None:
    for word in get_args(Word):
        check_that_it_can_be_said(word, fits=True, spoken_of=False)
        check_that_it_can_be_said(word, fits=False, spoken_of=True)
        if word in ("interested", "declined"):
            with pytest.raises(Rejected, match="not-a-proposal"):
                check_that_it_can_be_said(word, fits=False, spoken_of=False)
        else:
            check_that_it_can_be_said(word, fits=False, spoken_of=False)
