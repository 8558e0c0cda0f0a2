"""The mail: everything that its reader needs to act, in the reader's language."""

from decimal import Decimal

import pytest

from common.contracts.matching import PriceAtQuantity
from common.contracts.values import Money
from notify.domain.answer import answer_by
from notify.domain.layout import WIDTH, columns
from notify.domain.letter import Desk, Letter, Notice, letter
from notify.domain.recipients import Recipient
from notify.domain.routing import Occasion, whom_to_tell, why
from notify.offices import SECRETARIAT, offices
from tests.notify.matches import TUESDAY, match, need, shortlist

ORIGIN = "http://127.0.0.1:8600"


def written_to(recipient_id: str, *, more: int = 0, others: list[dict[str, str]] | None = None, **changed: object) -> Letter:
    of, by = need(joint_purchase=True), match(**changed)  # pyright: ignore[reportArgumentType]
    told = {t.recipient.id: t for t in whom_to_tell(Occasion(of, by, offices(), SECRETARIAT))}[recipient_id]
    recipient: Recipient = told.recipient
    notice = Notice(of, by, why(told, of), TUESDAY, answer_by(TUESDAY, recipient.timezone, of.deadline), more)
    return letter(
        recipient,
        notice,
        proposal=f"{ORIGIN}/matching/needs/need-1/offerings/hb-60",
        inbox=f"{ORIGIN}/notify/inbox/1",
        others=[{"en": "Hai Phong", "ja": "ハイフォン市"}] if others is None else others,
        desk=Desk(SECRETARIAT.names, "desk@musubi.example"),
        composed_at=TUESDAY,
    )


def flowing(text: str) -> str:
    """Without line breaks, so that a sentence can be looked for wherever it was broken."""
    return " ".join(text.split())


def test_the_subject_says_the_need_the_score_and_the_date():
    assert written_to("jetro-hanoi").subject == ("[Musubi] Hai Phong, 3,600 LED street lights: 88 of 100 points (by 27 Nov 2026)")
    assert written_to("secretariat").subject == "[Musubi] ハイフォン市 LED街路灯3,600灯：適合88点（期限 2026年11月27日）"


def test_an_english_letter_says_what_fits_what_does_not_what_to_do_and_why():
    text = flowing(written_to("jetro-hanoi").text)
    for words in (
        "To JETRO Hanoi, Trade desk",
        "A product fits a need that Hai Phong has posted.",
        "acknowledge it by Fri 27 November 2026, 17:00 (Ho Chi Minh City time)",
        "PROPOSAL (88 of 100 points)",
        "3,600 lamps",
        "Hibiki Lighting Co., Ltd. (example), HB-60",
        "USD 180 per lamp, USD 648,000 in all (price tier 3 of 4), 7% below the budget of USD 702,000",
        "120 days (141 days remain until Wed 14 April 2027)",
        "WHY IT FITS - Same class, LED street lighting.",
        "TAKE CARE - Dimming is 0-10 V; DALI was asked for (4 of 10 points).",
        f"{ORIGIN}/notify/inbox/1",
        f"{ORIGIN}/matching/needs/need-1/offerings/hb-60",
        "3 days left",
        "WHO ELSE WAS TOLD Hai Phong",
        "Why you get this: Your office looks after Hai Phong.",
        "desk@musubi.example",
    ):
        assert words in text, f"{words!r} is not in:\n{text}"


def test_a_japanese_letter_says_the_same():
    text = "".join(written_to("secretariat").text.split())
    for words in (
        "ネットワーク事務局 事務局窓口 御中",
        "ハイフォン市が登録したニーズに、合う製品が見つかりました。",
        "2026年11月27日（金）17:00（東京時間）までに",
        "提案（適合 88点／100点）",
        "1灯あたり180米ドル、総額648,000米ドル（価格の段階 4段階中3）、",
        "120日（納期 2027年4月14日（水）まで141日）",
        "同じ分類「LED街路灯」です。",
        "（10点中4点）",
        "あと3日",
        "このメールが届いた理由: ハイフォン市が共同購入を希望しており、",
    ):
        assert "".join(words.split()) in text, f"{words!r} is not in:\n{text}"


def test_city_and_company_are_addressed_as_what_they_are():
    assert "a need that you have posted" in flowing(written_to("hai-phong").text)
    assert "Your product fits a need that Hai Phong has posted." in flowing(written_to("hibiki").text)


def test_further_matches_of_the_day_stand_in_a_note_and_else_there_is_none():
    assert "And 2 more for this need today" in flowing(written_to("jetro-hanoi", more=2).text)
    assert "more for this need" not in written_to("jetro-hanoi").text


def test_whoever_is_told_alone_reads_that_nobody_else_was():
    assert "Nobody else." in written_to("jetro-hanoi", others=[]).text


def test_what_is_not_known_is_said_to_be_not_stated():
    text = flowing(written_to("jetro-hanoi", price=None, lead_time_days=None).text)
    assert "Price not stated" in text
    assert "Delivery time not stated (141 days remain until Wed 14 April 2027)" in text


def test_a_price_in_another_currency_is_not_compared_with_the_budget():
    yen = PriceAtQuantity(
        unit_price=Money(amount=Decimal(27_000), currency="JPY"),
        total=Money(amount=Decimal(97_200_000), currency="JPY"),
        tier=1,
        tiers=1,
        basis="all_units",
    )
    text = flowing(written_to("jetro-hanoi", price=yen).text)
    assert "JPY 97,200,000" in text
    assert "the budget" not in text


@pytest.mark.parametrize("recipient", ["jetro-hanoi", "secretariat", "hai-phong", "hibiki"])
def test_no_line_is_wider_than_a_mail_window_but_for_links(recipient: str):
    for line in written_to(recipient).text.splitlines():
        assert columns(line) <= WIDTH + 2 or "http" in line, line


def test_a_japanese_line_never_begins_with_a_full_stop_or_comma():
    for line in written_to("secretariat").text.splitlines():
        assert line.strip()[:1] not in tuple("、。）」"), line


def test_a_title_that_names_the_city_does_not_name_it_twice():
    of = need(title={"en": "Street lights for Hai Phong"})
    told = whom_to_tell(Occasion(of, match(), offices(), SECRETARIAT))[0]
    subject = letter(
        told.recipient,
        Notice(of, shortlist(of, match()).matches[0], why(told, of), TUESDAY, TUESDAY),
        proposal="p",
        inbox="i",
        others=[],
        desk=Desk(SECRETARIAT.names, "desk@musubi.example"),
        composed_at=TUESDAY,
    ).subject
    assert subject.startswith("[Musubi] Street lights for Hai Phong: 88 of 100 points")
