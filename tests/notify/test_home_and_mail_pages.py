"""The home page for everybody, and the mails for those who answer for them."""

import re

import httpx

from common.access.permissions import Role
from tests.mailbox import Mailbox
from tests.notify.matches import KITAKYUSHU, city_page, company_page, match, need, shortlist
from tests.notify.world import World

SECRETARIAT = {"en": "Network secretariat", "ja": "ネットワーク事務局"}


def counted(page: httpx.Response) -> dict[str, int]:
    """The figures that a script finds on a page."""
    return {name: int(figure) for name, figure in re.findall(r'data-count="(\w+)">(\d+)<', page.text)}


def words(page: httpx.Response) -> str:
    assert page.status_code == 200, page.text
    return " ".join(re.sub(r"<[^>]+>", " ", page.text).replace("\u00a0", " ").split())


async def test_an_empty_home_page_says_what_will_be_there(world: World):
    page = await world.anyone().get("/")
    assert counted(page) == {"needs": 0, "proposals": 0, "alerted": 0, "answered": 0, "notifications": 0, "mails": 0}
    assert "No city has an open need yet." in words(page)
    assert "募集中のニーズがある都市はまだありません。" in words(await world.anyone("ja").get("/"))


async def test_the_home_page_counts_the_flow_and_names_the_cities(world: World):
    await world.arrive(city_page(), city_page(KITAKYUSHU), company_page())
    await world.arrive(shortlist(need("a", joint_purchase=True), match()), shortlist(need("b", city=KITAKYUSHU)))
    await world.send_mails()
    page = await world.anyone().get("/")
    assert counted(page) == {"needs": 2, "proposals": 1, "alerted": 1, "answered": 0, "notifications": 4, "mails": 4}
    shown = words(page)
    for expected in ("from 2 cities", "1 without", "Hai Phong 1 1", "Kitakyushu 1 0", "New need", "First proposals"):
        assert expected in shown, f"{expected!r} is not in: {shown}"
    assert 'href="/needs/municipalities/hai-phong"' in page.text
    assert "<circle" in page.text


async def test_the_home_page_tells_the_signed_in_what_needs_them_and_by_when(world: World):
    await world.arrive(shortlist(need(), match()))
    office = await world.signed_in("jetro-hanoi", Role.OFFICE, {"en": "JETRO Hanoi"})
    shown = words(await office.get("/"))
    for expected in (
        "One item needs you",
        "Acknowledge this proposal (88 points)",
        "by 27 Nov 2026",
        "3 days left",
        "Inbox 1 unread",
    ):
        assert expected in shown, f"{expected!r} is not in: {shown}"
    assert "対応が必要な案件が1件あります" in words(await office.get("/?lang=ja"))
    (row,) = await world.rows("select id from notification where recipient_id = 'jetro-hanoi'")
    await office.post(f"/notify/inbox/{row['id']}/acknowledge")
    page = await office.get("/?lang=en")
    assert "Nothing is waiting for you" in words(page)
    assert counted(page)["answered"] == 1


async def test_the_home_page_shows_nobody_elses_messages(world: World):
    await world.arrive(shortlist(need(), match()))
    for reader in (world.anyone(), await world.signed_in("operator", Role.OPERATOR, {"en": "Operator"})):
        page = await reader.get("/")
        assert "Hibiki" not in page.text
        assert "/notify/inbox/" not in page.text


async def test_the_secretariat_reads_every_mail_as_it_was_written(world: World):
    await world.arrive(city_page(), company_page(email=None), shortlist(need(), match()))
    await world.send_mails()
    secretariat = await world.signed_in("secretariat", Role.SECRETARIAT, SECRETARIAT)
    listed = await secretariat.get("/notify/mail")
    shown = words(listed)
    assert "No mail server is configured: every mail is written as a file" in shown
    assert "in the folder" in shown and "inbox only" in shown and "No mail address is known" in shown
    (row,) = await world.rows("select id from delivery where address = 'trade-desk@jetro-hanoi.example'")
    mail = words(await secretariat.get(f"/notify/mail/{row['id']}"))
    for expected in (
        "[Musubi] Hai Phong, 3,600 LED street lights: 88 of 100 points",
        "desk@musubi.example",
        "@musubi.example",
        "Why you get this: Your office looks after Hai Phong.",
        f"{row['id']}.eml",
    ):
        assert expected in mail, f"{expected!r} is not in: {mail}"
    only = words(await secretariat.get("/notify/mail?state=inbox_only"))
    assert "Hai Phong, 3,600" not in only
    assert "メールはファイルに保存され" in words(await secretariat.get("/notify/mail?lang=ja"))


async def test_a_mail_that_the_server_refused_shows_its_reason(mailing_world: World, smtp: Mailbox):
    smtp.answer_next("550 5.1.1 No such mailbox")
    await mailing_world.arrive(city_page(email=None), company_page(email=None), shortlist(need(), match()))
    await mailing_world.send_mails()
    operator = await mailing_world.signed_in("operator", Role.OPERATOR, {"en": "Operator"})
    shown = words(await operator.get("/notify/mail?state=failed"))
    assert "failed" in shown and "550 5.1.1 No such mailbox" in shown
    assert "1 failed" in words(await operator.get("/"))


async def test_mails_are_not_for_offices_cities_and_companies(world: World):
    for role in (Role.OFFICE, Role.OFFICER, Role.COMPANY):
        reader = await world.signed_in(f"some-{role}", role, {"en": "Some body"})
        assert (await reader.get("/notify/mail")).status_code == 403


async def test_a_mail_that_does_not_exist_is_not_found(world: World):
    operator = await world.signed_in("operator", Role.OPERATOR, {"en": "Operator"})
    for id_ in ("00000000-0000-0000-0000-000000000000", "nonsense"):
        assert (await operator.get(f"/notify/mail/{id_}")).status_code == 404
