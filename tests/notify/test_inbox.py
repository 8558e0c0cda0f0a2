"""The inbox: whose it is, what it shows as things change, and who has acknowledged what and when."""

import re

import httpx
import pytest

from common.access.permissions import Role
from tests.notify.matches import KITAKYUSHU, city_page, company_page, match, need, shortlist
from tests.notify.world import World

HANOI = {"en": "JETRO Hanoi", "ja": "ジェトロ・ハノイ事務所"}


async def at_hanoi(world: World, language: str = "en") -> httpx.AsyncClient:
    return await world.signed_in("jetro-hanoi", Role.OFFICE, HANOI, language=language)


def words(page: httpx.Response) -> str:
    """What a reader reads of a page: no tags, no line breaks, plain spaces."""
    assert page.status_code == 200, page.text
    text = re.sub(r"<[^>]+>", " ", page.text)
    return " ".join(text.replace("\u00a0", " ").split())


async def message_id(world: World, recipient: str = "jetro-hanoi") -> str:
    (row,) = await world.rows("select id from notification where recipient_id = $1", recipient)
    return str(row["id"])


async def test_the_office_sees_what_it_was_told_why_and_by_when(world: World):
    await world.arrive(shortlist(need(), match()))
    shown = words(await (await at_hanoi(world)).get("/notify/inbox"))
    for expected in (
        "JETRO Hanoi’s inbox",
        "Due this week",
        "Unread: Hai Phong, 3,600 LED street lights: a proposal with 88 points",
        "Hibiki Lighting Co., Ltd. (example), HB-60. USD 180 per lamp",
        "Why you get this: Your office looks after Hai Phong.",
        "Nobody has acknowledged it yet.",
        "3 days left",
        "Inbox 1 unread",
    ):
        assert expected in shown, f"{expected!r} is not in: {shown}"


async def test_the_inbox_speaks_japanese_too(world: World):
    await world.arrive(shortlist(need(), match()))
    shown = words(await (await at_hanoi(world, "ja")).get("/notify/inbox"))
    for expected in (
        "ジェトロ・ハノイ事務所の受信箱",
        "今週が期限",
        "88点の提案があります",
        "届いた理由：貴事務所が",
        "あと3日",
        "確認済みにする",
    ):
        assert expected in shown, f"{expected!r} is not in: {shown}"


async def test_a_message_shows_facts_reasons_and_who_else_was_told_and_is_then_read(world: World):
    await world.arrive(city_page(), company_page(), shortlist(need(joint_purchase=True), match()))
    await world.send_mails()
    browser = await at_hanoi(world)
    page = await browser.get(f"/notify/inbox/{await message_id(world)}")
    shown = words(page)
    for expected in (
        "Your office looks after Hai Phong.",
        "3,600 lamps",
        "7% below the budget of USD 702,000",
        "Same class, LED street lighting.",
        "Dimming is 0-10 V; DALI was asked for.",
        "4 of 10 points",
        "Network secretariat",
        "not seen yet",
        "in the folder",
        "trade-desk@jetro-hanoi.example",
    ):
        assert expected in shown, f"{expected!r} is not in: {shown}"
    assert 'href="/matching/needs/need-1/offerings/hb-60"' in page.text
    inbox = words(await browser.get("/notify/inbox"))
    assert "Unread:" not in inbox
    assert "Everything has been read." in words(await browser.get("/notify/inbox?folder=unread"))


async def test_others_see_who_has_seen_it(world: World):
    await world.arrive(shortlist(need(), match()))
    await (await at_hanoi(world)).get(f"/notify/inbox/{await message_id(world)}")
    city = await world.signed_in("hai-phong", Role.OFFICER, {"en": "Hai Phong"})
    shown = words(await city.get(f"/notify/inbox/{await message_id(world, 'hai-phong')}"))
    assert "JETRO Hanoi seen" in shown


async def test_acknowledging_says_who_and_when_and_is_announced_once(world: World):
    await world.arrive(shortlist(need(), match()))
    browser = await at_hanoi(world)
    id_ = await message_id(world)
    world.clock.advance(hours=1)
    answer = await browser.post(f"/notify/inbox/{id_}/acknowledge", data={"back": "message"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/notify/inbox/{id_}")
    shown = words(await browser.get(f"/notify/inbox/{id_}"))
    assert "Acknowledged by Trade desk on 24 Nov 2026, 11:00 (Ho Chi Minh City time)." in shown
    world.clock.advance(hours=1)
    await browser.post(f"/notify/inbox/{id_}/acknowledge")
    assert "24 Nov 2026, 11:00" in words(await browser.get(f"/notify/inbox/{id_}"))
    (fact,) = await world.announced("notification.acknowledged.v1")
    assert fact["id"] == id_
    assert fact["recipient_id"] == "jetro-hanoi"
    assert fact["acknowledged_at"].startswith("2026-11-24T04:00:00")
    sequences = await world.rows("select sequence from outbox where key = $1 order by sequence", id_)
    assert [row["sequence"] for row in sequences] == [1, 2]


async def test_from_the_list_acknowledging_leads_back_to_the_list_where_it_has_moved(world: World):
    await world.arrive(shortlist(need(), match()))
    browser = await at_hanoi(world)
    answer = await browser.post(f"/notify/inbox/{await message_id(world)}/acknowledge", data={"back": "list"})
    shown = words(await browser.get(answer.headers["location"]))
    assert "Acknowledged. You find it in the folder Acknowledged." in shown
    assert "Nothing is waiting for you." in shown
    assert "Acknowledged by Trade desk" in words(await browser.get("/notify/inbox?folder=acknowledged"))


async def test_another_organisation_neither_sees_nor_acknowledges_it(world: World):
    await world.arrive(shortlist(need(), match()))
    id_ = await message_id(world)
    manila = await world.signed_in("jetro-manila", Role.OFFICE, {"en": "JETRO Manila"})
    assert "Hai Phong" not in words(await manila.get("/notify/inbox"))
    assert (await manila.get(f"/notify/inbox/{id_}")).status_code == 404
    assert (await manila.post(f"/notify/inbox/{id_}/acknowledge")).status_code == 404
    assert (await manila.get("/api/notify/v1/notifications")).json()["items"] == []
    (row,) = await world.rows("select read_at, acknowledged_at from notification where recipient_id = 'jetro-hanoi'")
    assert (row["read_at"], row["acknowledged_at"]) == (None, None)


async def test_who_has_not_signed_in_is_refused(world: World):
    await world.arrive(shortlist(need(), match()))
    anyone = world.anyone()
    for address in ("/notify/inbox", f"/notify/inbox/{await message_id(world)}", "/notify/mail", "/api/notify/v1/notifications"):
        assert (await anyone.get(address)).status_code in (401, 403), address


async def test_a_form_on_somebody_elses_site_cannot_acknowledge(world: World):
    await world.arrive(shortlist(need(), match()))
    browser = await at_hanoi(world)
    answer = await browser.post(
        f"/notify/inbox/{await message_id(world)}/acknowledge", headers={"origin": "https://elsewhere.example"}
    )
    assert answer.status_code == 403
    assert await world.announced("notification.acknowledged.v1") == []


@pytest.mark.parametrize("id_", ["00000000-0000-0000-0000-000000000000", "nonsense", "1%00"])
async def test_a_message_that_does_not_exist_is_not_found(world: World, id_: str):
    assert (await (await at_hanoi(world)).get(f"/notify/inbox/{id_}")).status_code == 404


async def test_a_better_score_and_price_update_the_item_that_was_told(world: World):
    await world.arrive(shortlist(need(), match(score=88)))
    await world.arrive(shortlist(need(), match(score=93, price=None)))
    shown = words(await (await at_hanoi(world)).get("/notify/inbox"))
    assert "a proposal with 93 points" in shown
    assert "USD 180" not in shown


async def test_a_match_that_left_the_list_stays_as_it_was_told_and_says_so(world: World):
    await world.arrive(shortlist(need(), match()))
    await world.arrive(shortlist(need(), match("other", 95)))
    browser = await at_hanoi(world)
    assert "no longer among the best ten" in words(await browser.get("/notify/inbox"))
    (row,) = await world.rows("select id from notification where recipient_id = 'jetro-hanoi' and offering_id = 'hb-60'")
    shown = words(await browser.get(f"/notify/inbox/{row['id']}"))
    assert "This product is no longer among the ten that fit best." in shown
    assert "USD 180 per lamp" in shown


async def test_a_closed_need_is_shown_as_closed(world: World):
    await world.arrive(shortlist(need(), match()))
    await world.arrive(shortlist(need(status="closed")))
    browser = await at_hanoi(world)
    assert "need closed" in words(await browser.get("/notify/inbox"))
    assert "nothing has to be done" in words(await browser.get(f"/notify/inbox/{await message_id(world)}"))


async def test_the_note_of_the_third_counts_what_came_later_on_the_same_day(world: World):
    await world.arrive(shortlist(need(), *(match(f"o{n}", 90 - n) for n in range(4))))
    await world.arrive(shortlist(need(), *(match(f"o{n}", 90 - n) for n in range(6))))
    shown = words(await (await at_hanoi(world)).get("/notify/inbox"))
    assert "And 3 more for this need." in shown


async def test_items_are_grouped_by_when_an_answer_is_due(world: World):
    await world.arrive(shortlist(need("first"), match()))
    world.clock.advance(days=2)
    await world.arrive(shortlist(need("second"), match()))
    shown = words(await (await at_hanoi(world)).get("/notify/inbox"))
    assert shown.index("Due this week") < shown.index("Due later")
    world.clock.advance(days=3)
    browser = await at_hanoi(world)  # the session before has ended
    assert "Overdue" in words(await browser.get("/notify/inbox"))


async def test_a_long_inbox_comes_in_parts(world: World):
    await world.arrive(*(shortlist(need(f"need-{n}"), match()) for n in range(35)))
    browser = await at_hanoi(world)
    first, second = await browser.get("/notify/inbox"), await browser.get("/notify/inbox?folder=open&page=2")
    assert (first.text.count('class="msg '), second.text.count('class="msg ')) == (30, 5)


async def test_machines_read_their_own_notifications_newest_first_with_a_cursor(world: World):
    for n in range(3):
        await world.arrive(shortlist(need(f"need-{n}"), match()))
        world.clock.advance(minutes=1)
    browser = await at_hanoi(world)
    first = (await browser.get("/api/notify/v1/notifications?limit=2")).json()
    assert [item["need_id"] for item in first["items"]] == ["need-2", "need-1"]
    assert first["items"][0]["why"]["en"] == "Your office looks after Hai Phong."
    rest = (await browser.get("/api/notify/v1/notifications", params={"cursor": first["next"]})).json()
    assert [item["need_id"] for item in rest["items"]] == ["need-0"]
    assert rest["next"] is None


async def test_markup_in_a_title_is_shown_and_never_run(world: World):
    await world.arrive(shortlist(need(title={"en": "<script>alert(1)</script>"}), match()))
    browser = await at_hanoi(world)
    for address in ("/", "/notify/inbox", f"/notify/inbox/{await message_id(world)}"):
        page = await browser.get(address)
        assert "<script>" not in page.text
        assert "&lt;script&gt;" in page.text


async def test_no_address_refers_to_anything_outside(world: World):
    await world.arrive(city_page(), shortlist(need(), match()))
    browser = await at_hanoi(world)
    for address in ("/", "/notify/inbox", f"/notify/inbox/{await message_id(world)}"):
        page = (await browser.get(address)).text
        assert "style=" not in page
        assert not re.findall(r'(?:src|href|action)="(?!/|#)', page)


async def test_a_city_reads_its_inbox_in_its_own_time_zone(world: World):
    await world.arrive(city_page(KITAKYUSHU), shortlist(need(city=KITAKYUSHU), match()))
    city = await world.signed_in("kitakyushu", Role.OFFICER, dict(KITAKYUSHU.names))
    assert "Dates are in Tokyo time" in words(await city.get("/notify/inbox"))
