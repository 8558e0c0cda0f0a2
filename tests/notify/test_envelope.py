"""A mail has exactly one recipient, headers that nobody can add to, and an id that stays the same."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast
from uuid import UUID

import pytest

from common.errors import Rejected
from notify.domain.delivery import delivery_id, only_in_the_inbox
from notify.domain.letter import Letter
from notify.envelope import enclose
from tests.notify.matches import TUESDAY

DELIVERY = UUID("11111111-1111-5111-8111-111111111111")
SECRETARIAT = ("Network secretariat", "desk@musubi.example")


def enclosed(
    letter: Letter = Letter("Subject", "Text\n"),  # noqa: B008  frozen
    recipient: tuple[str, str] = ("JETRO Hanoi", "trade-desk@jetro-hanoi.example"),
    **changed: object,
) -> EmailMessage:
    raw = enclose(
        letter,
        delivery_id=DELIVERY,
        recipient=recipient,
        mail_from="Musubi <notify@musubi.example>",
        reply_to=SECRETARIAT,
        composed_at=TUESDAY,
        language="ja",
        **changed,  # pyright: ignore[reportArgumentType]
    )
    return cast(EmailMessage, message_from_bytes(raw, policy=policy.default))


def test_the_headers_say_who_when_and_which():
    message = enclosed()
    assert message["To"] == "JETRO Hanoi <trade-desk@jetro-hanoi.example>"
    assert message["From"] == "Musubi <notify@musubi.example>"
    assert message["Reply-To"] == "Network secretariat <desk@musubi.example>"
    assert message["Message-ID"] == f"<{DELIVERY}@musubi.example>"
    assert message["Date"] == "Tue, 24 Nov 2026 03:00:00 +0000"
    assert message["Content-Language"] == "ja"
    assert message.get_content_type() == "text/plain"


@pytest.mark.parametrize("eight_bit", [True, False])
def test_japanese_comes_through_whole(eight_bit: bool):
    letter = Letter("[Musubi] ハイフォン市 LED街路灯3,600灯：適合88点（期限 2026年11月27日）", "合う製品が見つかりました。\n")
    message = enclosed(letter, ("ジェトロ・ハノイ事務所", "trade-desk@jetro-hanoi.example"), eight_bit=eight_bit)
    assert message["Subject"] == letter.subject
    assert message["To"].addresses[0].display_name == "ジェトロ・ハノイ事務所"
    assert message.get_content().splitlines() == letter.text.splitlines()


def test_there_is_a_way_to_unsubscribe_only_where_somebody_reads_it():
    assert enclosed()["List-Unsubscribe"] is None
    assert enclosed(unsubscribe="stop@musubi.example")["List-Unsubscribe"] == "<mailto:stop@musubi.example>"


@pytest.mark.parametrize("smuggled", ["\r\nBcc: all@city.example", "\nBcc: all@city.example", "\rX: y", "\u2028X: y", "\0"])
def test_a_line_break_or_nul_in_a_subject_name_or_address_is_refused(smuggled: str):
    with pytest.raises(Rejected, match="line-break-in-header"):
        enclosed(Letter(f"Subject{smuggled}", "Text\n"))
    with pytest.raises(Rejected, match="line-break-in-header"):
        enclosed(recipient=(f"City{smuggled}", "desk@city.example"))
    with pytest.raises(Rejected, match="not-one-address"):
        enclosed(recipient=("City", f"desk@city.example{smuggled}"))


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example, c@d.example",
        "a@b.example;c@d.example",
        "City <a@b.example>",
        "a b@c.example",
        "a@b@c.example",
        "市@city.example",
        "city",
        "",
    ],
)
def test_what_is_not_exactly_one_address_is_refused(address: str):
    with pytest.raises(Rejected, match="not-one-address"):
        enclosed(recipient=("City", address))


def test_a_name_that_looks_like_addresses_stays_a_name():
    message = enclosed(recipient=('City, "c@d.example" <e@f.example>', "desk@city.example"))
    assert [a.addr_spec for a in message["To"].addresses] == ["desk@city.example"]


def test_the_same_notification_to_the_same_recipient_is_the_same_delivery():
    assert delivery_id(DELIVERY, "mail", "jetro-hanoi") == delivery_id(DELIVERY, "mail", "jetro-hanoi")
    assert delivery_id(DELIVERY, "mail", "jetro-hanoi") != delivery_id(DELIVERY, "mail", "secretariat")


def test_example_data_only_goes_to_example_addresses():
    assert only_in_the_inbox("desk@city.example", example=True) is None
    for real in ("desk@city.lg.jp", "desk@example.com", "desk@notexample", "desk@city.example.com"):
        reason = only_in_the_inbox(real, example=True)
        assert reason is not None and "never mailed to a real address" in reason["en"]
        assert only_in_the_inbox(real, example=False) is None
