"""What may be said of a match and by whom, whose word counts, and what became of the match.

Whatever was said stays. The latest word of each organisation counts, so that everybody may think again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from common.contracts.matching import Outcome, Speaking, Statement, Word
from common.errors import Fault, Rejected
from common.faults import fault

WORDS: Mapping[Speaking, tuple[Word, ...]] = {
    "municipality": ("interested", "declined", "awarded", "taken_back"),
    "company": ("interested", "declined", "taken_back"),
    "office": ("introduced", "awarded", "taken_back"),
    "secretariat": ("introduced", "awarded", "taken_back"),
}
"""Who may say what. Offices and the secretariat record an award on behalf of the city."""

LONGEST_NOTE = 1000


class DeclineReason(NamedTuple):
    """Why somebody declines: a stable code, its words, and who may give it."""

    code: str
    en: str
    ja: str
    who: tuple[Speaking, ...] = ("municipality", "company")


OTHER = "other"
DECLINE_REASONS = (
    DeclineReason("price", "The price is too high", "価格が高い", ("municipality",)),
    DeclineReason("budget", "The budget is too low for us", "予算が見合わない", ("company",)),
    DeclineReason("specification", "The specification does not fit", "仕様が合わない"),
    DeclineReason("quantity", "The quantity does not fit", "数量が合わない"),
    DeclineReason("delivery", "The delivery date cannot be met", "納期に間に合わない"),
    DeclineReason("service", "Installation and maintenance on site are not assured", "現地での設置・保守の見通しが立たない"),
    DeclineReason("rules", "The rules of procurement do not allow it", "調達の規則に合わない"),
    DeclineReason("funding", "The money is not assured", "資金のめどが立たない", ("municipality",)),
    DeclineReason("other_chosen", "Another has been chosen", "ほかのものに決めた", ("municipality",)),
    DeclineReason("market", "We do not sell to this country", "この国では販売していない", ("company",)),
    DeclineReason("capacity", "We cannot take on more at present", "いまは対応する余力がない", ("company",)),
    DeclineReason("not_now", "Not at this time", "いまは時期が合わない"),
    DeclineReason(OTHER, "Another reason, which I write below", "その他（下に記入）"),
)
"""A new one is added freely; a code that was ever used stays."""


def reasons_for(kind: Speaking) -> tuple[DeclineReason, ...]:
    """The reasons from which this kind of organisation chooses."""
    return tuple(reason for reason in DECLINE_REASONS if kind in reason.who)


class Speaker(NamedTuple):
    """Who speaks: an organisation with its names by language, and the account of whoever speaks for it."""

    organisation_id: str
    names: Mapping[str, str]
    kind: Speaking
    account_id: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """What somebody wants to say, checked (see `spoken`). Empty where there is no reason or note."""

    word: Word
    reason: str = ""
    note: str = ""


def spoken(kind: Speaking, word: str, reason: str = "", note: str = "") -> Spoken:
    """What this kind of organisation says with these texts; raises `Rejected` with every fault."""
    reason, note = reason.strip(), note.strip()
    words: dict[str, Word] = {one: one for one in WORDS[kind]}
    faults = [*_faults_of_word(word, words), *_faults_of_reason(kind, word, reason, note), *_faults_of_note(note)]
    if faults:
        raise Rejected("feedback-not-clear", _NOT_CLEAR, tuple(faults))
    return Spoken(words[word], reason, note)


def _faults_of_word(word: str, known: Mapping[str, Word]) -> list[Fault]:
    if not word:
        return [fault("/word", "word_missing", known=list(known))]
    return [] if word in known else [fault("/word", "unknown_word", value=word, known=list(known))]


def _faults_of_reason(kind: Speaking, word: str, reason: str, note: str) -> list[Fault]:
    known = [one.code for one in reasons_for(kind)]
    if word != "declined":
        return [fault("/reason", "reason_not_asked", value=reason)] if reason else []
    if not reason:
        return [fault("/reason", "reason_missing", known=known)]
    if reason not in known:
        return [fault("/reason", "unknown_reason", known, value=reason, known=known)]
    return [fault("/note", "note_missing")] if reason == OTHER and not note else []


def _faults_of_note(note: str) -> list[Fault]:
    if len(note) > LONGEST_NOTE:
        return [fault("/note", "string_too_long", length=len(note), max_length=LONGEST_NOTE)]
    return [fault("/note", "control_character")] if any(_is_control(letter) for letter in note) else []


def _is_control(letter: str) -> bool:
    """As in every text of a contract: tabs and line ends may stay."""
    return (letter < " " and letter not in "\t\n\r") or "\x7f" <= letter <= "\x9f"


def check_that_it_can_be_said(word: Word, *, fits: bool, spoken_of: bool) -> None:
    """Interest and its refusal answer a proposal: raises `Rejected` where the match does not fit now and nobody spoke of it
    before. What happened in the world, an introduction or an award, can always be recorded."""
    if word in ("interested", "declined") and not fits and not spoken_of:
        raise Rejected("not-a-proposal", _NOT_A_PROPOSAL)


class Stands(NamedTuple):
    """Where a match stands at a moment: its place on the need's list, its score (None: it does not fit), by which points."""

    place: int | None
    score: int | None
    weights: str


def statement(speaker: Speaker, what: Spoken, stands: Stands, municipality_id: str, now: datetime) -> Statement:
    """What was said, with where the match stood: lists move, and what was meant is the match as it was."""
    for_the_city = what.word == "awarded" and speaker.kind in ("office", "secretariat")
    return Statement(
        organisation_id=speaker.organisation_id,
        organisation=dict(speaker.names),
        kind=speaker.kind,
        word=what.word,
        reason=what.reason or None,
        note=what.note or None,
        on_behalf_of=municipality_id if for_the_city else None,
        said_by=speaker.account_id,
        said_at=now,
        place=stands.place,
        score=stands.score,
        weights=stands.weights,
    )


def says_something_new(history: Sequence[Statement], organisation_id: str, what: Spoken) -> bool:
    """Whether this differs from the organisation's latest word; `history` is oldest first. Buttons are pressed twice."""
    before = next((one for one in reversed(history) if one.organisation_id == organisation_id), None)
    if what.word == "taken_back":
        return before is not None and before.word != "taken_back"
    return before is None or (before.word, before.reason or "", before.note or "") != (what.word, what.reason, what.note)


def standing(history: Sequence[Statement]) -> list[Statement]:
    """The words that count, newest first: the latest of each organisation, unless taken back. `history` is oldest first.

    An award that was recorded on behalf of a city stands until the city itself says something."""
    latest: dict[str, Statement] = {}
    for one in history:
        latest.pop(one.organisation_id, None)
        latest[one.organisation_id] = one
    counting: list[Statement] = []
    spoke_later: set[str | None] = set()
    for one in reversed(latest.values()):
        if one.word == "taken_back":
            continue
        if one.on_behalf_of is None or one.on_behalf_of not in spoke_later:
            counting.append(one)
        spoke_later.add(one.organisation_id)
    return counting


def outcome(counting: Sequence[Statement]) -> Outcome | None:
    """What became of a match by the words that count; None where there are none. What went furthest decides; interest only
    while the other side has not declined, because it takes two."""
    words = {one.word for one in counting}
    if "awarded" in words:
        return "awarded"
    if "introduced" in words:
        return "introduced"
    if {"interested", "declined"} <= words:
        return "one_sided"
    if "interested" in words:
        return "interested"
    return "declined" if "declined" in words else None


_NOT_CLEAR = {
    "en": "What you want to say is not clear yet, so nothing was written down.",
    "ja": "内容が足りないか、使えない値があるため、まだ記録していません。",
}
_NOT_A_PROPOSAL = {
    "en": "This offering does not fit the need now, so there is nothing to answer. An introduction or an award can still be "
    "recorded by the office or the secretariat.",
    "ja": "この技術・製品はいまこのニーズに合っていないため、回答は不要です。紹介や落札は、事務所または事務局が記録できます。",
}
