"""Mails against a real mail server and into a folder: taken, later, never, only in the inbox; always the same Message-ID."""

import asyncio
import stat
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.mailbox import Mailbox
from tests.notify.matches import HIBIKI, KITAKYUSHU, city_page, company_page, match, need, shortlist
from tests.notify.world import World, new_world

TRACE = b"00-11111111111111111111111111111111-2222222222222222-01"


async def states(world: World) -> dict[str, tuple[str, str]]:
    """Recipient -> state of its mail, and the reason in English."""
    rows = await world.rows(
        """select n.recipient_id, d.state, d.reason ->> 'en' as reason
        from delivery d join notification n on n.id = d.notification_id"""
    )
    return {row["recipient_id"]: (row["state"], row["reason"] or "") for row in rows}


async def only_the_office_is_told(world: World) -> None:
    """A match of which the office is told by mail; city and company are known but have no address."""
    await world.arrive(city_page(email=None), company_page(email=None))
    await world.arrive(shortlist(need(), match()), trace=TRACE)


async def test_everybody_gets_one_mail_in_its_language(mailing_world: World, smtp: Mailbox):
    await mailing_world.arrive(city_page(), company_page(), shortlist(need(joint_purchase=True), match()))
    await mailing_world.send_mails()
    await mailing_world.send_mails()
    mails = {str(m["To"].addresses[0].addr_spec): m for m in await smtp.received(4)}
    assert len(smtp.messages) == 4
    assert set(mails) == {
        "trade-desk@jetro-hanoi.example",
        "desk@musubi.example",
        "lighting@hai-phong.example",
        "sales@hibiki.example",
    }
    assert smtp.recipients == [[str(m["To"].addresses[0].addr_spec)] for m in smtp.messages]
    assert mails["trade-desk@jetro-hanoi.example"]["Content-Language"] == "en"
    assert "17:00 (Ho" in mails["lighting@hai-phong.example"].get_content()
    assert "東京時間" in mails["sales@hibiki.example"].get_content()
    assert mails["desk@musubi.example"]["Subject"].startswith("[Musubi] ハイフォン市")
    office = mails["trade-desk@jetro-hanoi.example"].get_content()
    assert "Hibiki Lighting Co., Ltd. (example), Hai Phong and Network secretariat" in " ".join(office.split())
    assert {state for state, _ in (await states(mailing_world)).values()} == {"sent"}


@pytest.mark.parametrize("not_now", ["421 4.3.2 Shutting down", "451 4.7.1 Greylisted, try later"])
async def test_a_refusal_for_now_is_tried_later_with_the_same_message_id(mailing_world: World, smtp: Mailbox, not_now: str):
    smtp.answer_next(not_now, not_now)
    await only_the_office_is_told(mailing_world)
    await mailing_world.send_mails()
    state, reason = (await states(mailing_world))["jetro-hanoi"]
    assert (state, smtp.messages) == ("due", [])
    assert not_now[:3] in reason and "tried again" in reason
    await mailing_world.send_mails()  # too early: nothing is tried
    assert smtp.refused == 1
    mailing_world.clock.advance(seconds=31)
    await mailing_world.send_mails()
    mailing_world.clock.advance(seconds=121)
    await mailing_world.send_mails()
    (mail,) = await smtp.received(1)
    (delivery,) = await mailing_world.rows("select id, state, attempts, reason from delivery where state = 'sent'")
    assert mail["Message-ID"] == f"<{delivery['id']}@musubi.example>"
    assert (delivery["attempts"], delivery["reason"]) == (3, None)


async def test_a_server_that_says_no_for_good_is_believed_and_the_reason_is_kept(mailing_world: World, smtp: Mailbox):
    smtp.answer_next("550 5.1.1 No such mailbox")
    await only_the_office_is_told(mailing_world)
    await mailing_world.send_mails()
    state, reason = (await states(mailing_world))["jetro-hanoi"]
    assert state == "failed"
    assert "550" in reason and "No such mailbox" in reason
    mailing_world.clock.advance(days=30)
    await mailing_world.send_mails()
    assert (smtp.messages, smtp.refused) == ([], 1)


async def test_a_mail_that_is_never_taken_is_given_up_after_two_days_at_most(mailing_world: World, smtp: Mailbox):
    smtp.answer_next(*["451 4.3.0 Later"] * 50)
    await only_the_office_is_told(mailing_world)
    for _ in range(48):
        await mailing_world.send_mails()
        mailing_world.clock.advance(hours=1)
    state, reason = (await states(mailing_world))["jetro-hanoi"]
    assert state == "failed"
    assert "Given up after 12 tries" in reason


async def test_a_sender_that_dies_before_it_notes_the_answer_sends_the_same_mail_again(mailing_world: World, smtp: Mailbox):
    smtp.answer_next("250 2.0.0 Accepted")  # taken by the server, kept nowhere: as if it had been delivered
    await only_the_office_is_told(mailing_world)
    await mailing_world.send_mails()
    async with mailing_world.service.database.transaction() as tx:  # the state in which the dead sender left it
        await tx.execute("update delivery set state = 'due', finished_at = null where state = 'sent'")
    mailing_world.clock.advance(minutes=1)
    await mailing_world.send_mails()
    assert smtp.messages == []  # the lease still holds: the sender might be alive
    mailing_world.clock.advance(minutes=2)
    await mailing_world.send_mails()
    (mail,) = await smtp.received(1)
    (delivery,) = await mailing_world.rows("select id from delivery where state = 'sent'")
    assert mail["Message-ID"] == f"<{delivery['id']}@musubi.example>"


async def test_where_the_mail_server_does_not_answer_mails_wait(postgres: str, tmp_path: Path, free_port: int):
    async with new_world(postgres, tmp_path, smtp_host="127.0.0.1", smtp_port=free_port, smtp_timeout=2) as world:
        await only_the_office_is_told(world)
        await world.send_mails()
        state, reason = (await states(world))["jetro-hanoi"]
        assert state == "due"
        assert "SMTPConnectError" in reason


async def test_without_a_mail_server_each_mail_is_a_file_that_a_mail_program_opens(world: World, tmp_path: Path):
    await world.arrive(city_page(), company_page(), shortlist(need(), match()))
    await world.send_mails()
    written = sorted((tmp_path / "mails").iterdir())
    assert [path.suffix for path in written] == [".eml"] * 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in (written[0].parent, *written)} == {0o700, 0o600}
    subjects = {message_from_bytes(path.read_bytes(), policy=policy.default)["Subject"] for path in written}
    assert "[Musubi] Hai Phong, 3,600 LED street lights: 88 of 100 points (by 27 Nov 2026)" in subjects
    assert {state for state, _ in (await states(world)).values()} == {"in_folder"}


async def test_a_recipient_without_an_address_finds_it_in_the_inbox_only(world: World):
    await only_the_office_is_told(world)
    await world.send_mails()
    state, reason = (await states(world))["hai-phong"]
    assert state == "inbox_only"
    assert "No mail address is known" in reason


async def test_a_city_that_is_heard_of_after_the_match_still_gets_its_mail(world: World):
    await world.arrive(shortlist(need(), match()))
    await world.send_mails()
    assert (await states(world))["hai-phong"][0] == "to_compose"
    await world.arrive(city_page(), company_page())
    world.clock.advance(seconds=3)
    await world.send_mails()
    assert (await states(world))["hai-phong"][0] == "in_folder"


async def test_a_city_that_never_comes_is_not_waited_for_for_ever(world: World):
    await world.arrive(shortlist(need(), match()))
    await world.send_mails()
    world.clock.advance(days=2)
    await world.send_mails()
    assert (await states(world))["hai-phong"][0] == "inbox_only"


async def test_example_data_never_reaches_a_real_mailbox(mailing_world: World, smtp: Mailbox):
    await mailing_world.arrive(city_page(email="lighting@hai-phong.lg.jp"), company_page(email="sales@hibiki.co.jp"))
    await mailing_world.arrive(shortlist(need(), match()))
    await mailing_world.send_mails()
    assert [str(m["To"].addresses[0].addr_spec) for m in smtp.messages] == ["trade-desk@jetro-hanoi.example"]
    for recipient in ("hai-phong", "hibiki"):
        state, reason = (await states(mailing_world))[recipient]
        assert state == "inbox_only" and "never mailed to a real address" in reason


async def test_a_real_company_is_mailed_at_its_real_address(mailing_world: World, smtp: Mailbox):
    real = HIBIKI.model_copy(update={"example": False})
    await mailing_world.arrive(city_page(email=None), company_page(real, email="sales@hibiki.co.jp"))
    await mailing_world.arrive(shortlist(need(), match(company=real)))
    await mailing_world.send_mails()
    assert "sales@hibiki.co.jp" in [str(m["To"].addresses[0].addr_spec) for m in smtp.messages]


async def test_a_stored_title_that_would_smuggle_a_header_is_not_mailed_and_says_why(mailing_world: World, smtp: Mailbox):
    await mailing_world.arrive(city_page(), company_page())
    await mailing_world.arrive(shortlist(need(), match()), shortlist(need("need-2", city=KITAKYUSHU), match("other")))
    smuggled = "照明\nBcc: everybody@city.example"  # the contract refuses it today; a row may be older than the rule
    async with mailing_world.service.database.transaction() as tx:
        await tx.execute(
            """update need set summary = jsonb_set(summary, '{title}', jsonb_build_object('en', $1::text, 'ja', $1::text))
            where id <> 'need-2'""",
            smuggled,
        )
    await mailing_world.send_mails()
    assert all("Bcc" not in m and "照明" not in str(m["Subject"]) for m in smtp.messages)
    failed = await mailing_world.rows("select reason ->> 'en' as reason from delivery where state = 'failed'")
    assert len(failed) == 3
    assert all("could not be written" in row["reason"] for row in failed)
    assert len(smtp.messages) == 2  # the other need's office and company


async def test_the_mail_of_the_last_of_three_counts_the_rest(mailing_world: World, smtp: Mailbox):
    await mailing_world.arrive(city_page(email=None), company_page(email=None))
    await mailing_world.arrive(shortlist(need(), *(match(f"o{n}", 90 - n) for n in range(5))))
    await mailing_world.send_mails()
    texts = [m.get_content() for m in await smtp.received(3)]
    assert sum("And 2 more for this need today" in " ".join(text.split()) for text in texts) == 1


async def test_the_sending_goes_on_with_the_trace_of_the_event(mailing_world: World, smtp: Mailbox):
    await only_the_office_is_told(mailing_world)
    await mailing_world.send_mails()
    await smtp.received(1)
    (sending,) = [span for span in mailing_world.spans.get_finished_spans() if span.name == "send mail"]
    assert sending.context is not None
    assert f"{sending.context.trace_id:032x}".encode() == TRACE[3:35]


async def test_two_senders_at_once_send_each_mail_once(mailing_world: World, smtp: Mailbox):
    await mailing_world.arrive(city_page(email=None), company_page(email=None))
    await mailing_world.arrive(*(shortlist(need(f"need-{n}"), match()) for n in range(30)))
    await asyncio.gather(mailing_world.send_mails(), mailing_world.send_mails(), mailing_world.send_mails())
    mails = await smtp.received(30)
    assert len({m["Message-ID"] for m in mails}) == len(mails) == 30


async def test_what_comes_up_in_a_replay_stands_in_the_inbox_and_is_never_mailed(mailing_world: World, smtp: Mailbox):
    await mailing_world.arrive(city_page(), company_page(), shortlist(need(), match()))
    await mailing_world.send_mails()
    await smtp.received(3)
    await mailing_world.arrive(shortlist(need(), match(), match("hb-90")), replaying=True)
    await mailing_world.send_mails()
    mailing_world.clock.advance(days=2)
    await mailing_world.send_mails()
    assert len(smtp.messages) == 3
    assert len(await mailing_world.announced("notification.issued.v1")) == 6
    rows = await mailing_world.rows(
        """select n.offering_id, d.state, count(*) as amount, min(d.reason ->> 'en') as reason
        from notification n join delivery d on d.notification_id = n.id group by 1, 2 order by 1"""
    )
    assert [(row["offering_id"], row["state"], row["amount"]) for row in rows] == [
        ("hb-60", "sent", 3),
        ("hb-90", "inbox_only", 3),
    ]
    assert "handled again" in rows[1]["reason"]
