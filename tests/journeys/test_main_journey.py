"""The main job from end to end: a need and an offering go in; the right office is told, in its language, with the reason."""

import re
from email.message import EmailMessage

import pytest
from playwright.async_api import Browser, expect

from common.access.permissions import Role
from notify.offices import offices
from tests import partner_events as partner
from tests.brokers import Broker
from tests.chain import Chain, rows, running_chain
from tests.eventually import eventually
from tests.mailbox import Mailbox

HANOI = offices().recipients["jetro-hanoi"]
KITAKYUSHU = offices().recipients["jetro-kitakyushu"]


@pytest.mark.browser
async def test_a_need_and_an_offering_become_a_mail_and_an_inbox_item_that_the_office_acknowledges(
    any_kafka: Broker, postgres: str, smtp: Mailbox, browser: Browser
) -> None:
    async with running_chain(postgres, any_kafka, smtp) as chain:
        results = await chain.publish_accepted(partner.city(), partner.need(), partner.company(), partner.offering())
        need_id, offering_id = results[1]["aggregate_id"], results[3]["aggregate_id"]

        mail = await mail_to(smtp, HANOI.address)
        text = mail.get_content()
        assert mail["Subject"].startswith("[Musubi] Haiphong, LED street lighting for the ring road: ")
        assert "To JETRO Hanoi, Trade desk" in text
        assert "Why you get this: Your office looks after Haiphong." in one_line(text)
        assert "3,600\xa0lamps" in text or "3,600 lamps" in text
        proposal, inbox_item = link_in(text, "/matching/needs/"), link_in(text, "/notify/inbox/")
        assert proposal == f"{chain.origin}/matching/needs/{need_id}/offerings/{offering_id}"

        page = await browser.new_page(locale="en-GB")
        await page.goto(await chain.sign_in_link(HANOI.id, Role.OFFICE, HANOI.names))
        await page.get_by_role("main").get_by_role("button", name="Sign in").click()
        await page.goto(proposal)
        explained = (await page.get_by_role("main").inner_text()).replace("\xa0", " ")
        for real_value in ("96 / 100", "3,600 lamps", "USD 360", "388.89", "90 days", "Akari Road 60", "Haiphong"):
            assert real_value in explained

        await page.goto(f"{chain.origin}/notify/inbox")
        item = page.locator(f"a[href='{inbox_item.removeprefix(chain.origin)}']")
        await expect(item).to_contain_text("Haiphong")
        await item.click()
        await expect(page.get_by_role("main")).to_contain_text("Your office looks after Haiphong.")
        await page.get_by_role("button", name="Acknowledge").click()
        await expect(page.get_by_role("main")).to_contain_text(re.compile(r"Acknowledged by JETRO Hanoi on .*\d"))

        acknowledged = await eventually(
            lambda: rows(postgres, "notify", "select body from outbox where type = 'notification.acknowledged.v1'")
        )
        assert len(acknowledged) == 1


async def test_an_office_in_japan_is_written_to_in_japanese(kafka: Broker, postgres: str, smtp: Mailbox) -> None:
    city = partner.city(
        "kitakyushu", names={"ja": "北九州市", "en": "Kitakyushu"}, country="JP", timezone="Asia/Tokyo", languages=["ja"],
        office_id=KITAKYUSHU.id, contacts=[],
    )  # fmt: skip
    async with running_chain(postgres, kafka, smtp) as chain:
        await chain.publish_accepted(
            city, partner.need(municipality="kitakyushu"), partner.company(), partner.offering(countries_served=["JP"])
        )
        mail = await mail_to(smtp, KITAKYUSHU.address)
    assert "環状道路のLED街路灯" in mail["Subject"]
    assert "貴事務所が北九州市を担当しているためです。" in one_line(mail.get_content())


async def test_the_same_event_twice_makes_one_mail(any_kafka: Broker, postgres: str, smtp: Mailbox) -> None:
    events = [partner.city(), partner.need(), partner.company(), partner.offering()]
    async with running_chain(postgres, any_kafka, smtp) as chain:
        first = await chain.publish_accepted(*events)
        mails = await every_mail_sent(chain, smtp)
        second = await chain.publish_accepted(*events)
        # A later need of another kind shows that everything before it has come through.
        await chain.publish_accepted(partner.need("later", title={"en": "Another"}, quantity=2000))
        await eventually(lambda: shortlisted(postgres), lambda amount: amount == 2)
        after = await every_mail_sent(chain, smtp)
    assert [result["status"] for result in second] == ["repeat"] * 4
    assert [r["aggregate_id"] for r in second] == [r["aggregate_id"] for r in first]
    about_the_first = [mail for mail in after if "Another" not in mail["Subject"]]
    assert sorted(m["Message-ID"] for m in about_the_first) == sorted(m["Message-ID"] for m in mails)
    assert len({m["To"] for m in mails}) == len(mails)


async def every_mail_sent(chain: Chain, smtp: Mailbox) -> list[EmailMessage]:
    """All mails, once each notification that there is has its mail sent."""
    open_ = "select count(*) from notification n left join delivery d on d.notification_id = n.id where d.finished_at is null"
    all_ = "select count(*) from notification"

    async def left() -> tuple[int, int]:
        (row,) = await rows(chain.dsn, "notify", f"select ({open_}) as open, ({all_}) as all_")
        return row["open"], row["all_"]

    await eventually(left, lambda seen: seen[0] == 0 and seen[1] > 0, what="every mail to be sent")
    return list(smtp.messages)


async def shortlisted(dsn: str) -> int:
    """How many needs notify knows a list of."""
    (row,) = await rows(dsn, "notify", "select count(*) from need")
    return row["count"]


async def mail_to(smtp: Mailbox, address: str | None) -> EmailMessage:
    """The mail to this address, once it was accepted."""

    async def look() -> list[EmailMessage]:
        return [m for m, to in zip(smtp.messages, smtp.recipients, strict=False) if to == [address]]

    (mail,) = await eventually(look, what=f"a mail to {address}")
    return mail


def one_line(text: str) -> str:
    """A wrapped text without its line ends: Japanese has no spaces between lines, English has one."""
    return re.sub(r"(?<=[^\x00-\xff])\n\s*(?=[^\x00-\xff])", "", text).replace("\n", " ")


def link_in(text: str, path: str) -> str:
    found = re.search(rf"http://\S*{re.escape(path)}\S*", text)
    assert found, f"no link to {path} in {text}"
    return found[0]
