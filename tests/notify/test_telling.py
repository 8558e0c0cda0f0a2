"""A shortlist changes: who is told, how often, and what is announced and written for it."""

from typing import Any

import pytest

from notify.domain.ration import PER_NEED_AND_DAY
from tests.notify.matches import HAI_PHONG, KITAKYUSHU, city_page, company_page, match, need, shortlist
from tests.notify.world import World

EVERYBODY = {"jetro-hanoi", "secretariat", "hai-phong", "hibiki"}


async def told(world: World) -> list[tuple[str, str]]:
    """Who has a notification of which offering, in order of issue."""
    rows = await world.rows("select recipient_id, offering_id from notification order by issued_at, offering_id, recipient_id")
    return [(row["recipient_id"], row["offering_id"]) for row in rows]


async def noted(world: World, recipient: str) -> list[str]:
    """Offerings that a recipient was only told of in a note."""
    sql = "select offering_id from told where recipient_id = $1 and not of_its_own order by offering_id"
    return [row["offering_id"] for row in await world.rows(sql, recipient)]


async def test_a_new_match_is_told_to_everybody_whom_it_concerns_and_announced(world: World):
    await world.arrive(shortlist(need(joint_purchase=True), match()))
    assert {recipient for recipient, _ in await told(world)} == EVERYBODY
    issued = await world.announced("notification.issued.v1")
    assert {fact["recipient_id"] for fact in issued} == EVERYBODY
    office = next(fact for fact in issued if fact["recipient_id"] == "jetro-hanoi")
    assert office["need_id"] == "need-1" and office["offering_id"] == "hb-60"
    assert office["rule"] == "office-of-the-city"
    assert "example" not in str(office)  # no address in it


async def test_the_same_shortlist_again_tells_nobody(world: World):
    for _ in range(3):
        await world.arrive(shortlist(need(), match()))
        world.clock.advance(days=1)
    assert len(await told(world)) == 3
    assert len(await world.announced("notification.issued.v1")) == 3


async def test_changes_of_score_and_price_tell_nobody_but_the_inbox_shows_them(world: World):
    await world.arrive(shortlist(need(), match(score=88)))
    before = await told(world)
    await world.arrive(shortlist(need(), match(score=93, lead_time_days=30)))
    assert await told(world) == before


async def test_a_match_that_leaves_and_comes_back_is_not_told_again(world: World):
    await world.arrive(shortlist(need(), match("a"), match("b")))
    await world.arrive(shortlist(need(), match("b")))
    world.clock.advance(days=30)
    await world.arrive(shortlist(need(), match("a"), match("b")))
    assert len(await told(world)) == 6


async def test_a_match_is_told_when_its_score_first_reaches_the_recipients_threshold(world: World):
    await world.arrive(shortlist(need(), match(score=55)))
    assert {recipient for recipient, _ in await told(world)} == {"hai-phong", "hibiki"}
    await world.arrive(shortlist(need(), match(score=70)))
    assert {recipient for recipient, _ in await told(world)} == {"hai-phong", "hibiki", "jetro-hanoi"}


async def test_three_a_day_then_a_note_and_the_next_day_three_again(world: World):
    first = [match(f"a{n}", 90 - n) for n in range(5)]
    await world.arrive(shortlist(need(), *first))
    assert [o for r, o in await told(world) if r == "jetro-hanoi"] == ["a0", "a1", "a2"]
    assert await noted(world, "jetro-hanoi") == ["a3", "a4"]
    await world.arrive(shortlist(need(), *first, match("b", 99)))
    assert await noted(world, "jetro-hanoi") == ["a3", "a4", "b"]
    world.clock.advance(days=1)
    await world.arrive(shortlist(need(), *first, match("b", 99), *(match(f"c{n}", 80 - n) for n in range(4))))
    assert [o for r, o in await told(world) if r == "jetro-hanoi"] == ["a0", "a1", "a2", "c0", "c1", "c2"]
    assert await noted(world, "jetro-hanoi") == ["a3", "a4", "b", "c3"]


async def test_of_several_versions_in_one_batch_the_newest_counts(world: World):
    await world.arrive(
        shortlist(need(), match("passing")),
        shortlist(need("need-2", city=KITAKYUSHU), match("other")),
        shortlist(need(), match("staying")),
    )
    assert {offering for _, offering in await told(world)} == {"staying", "other"}


async def test_each_need_has_its_own_three_a_day(world: World):
    for number in range(3):
        await world.arrive(shortlist(need(f"need-{number}"), *(match(f"o{n}") for n in range(4))))
    office = [1 for recipient, _ in await told(world) if recipient == "jetro-hanoi"]
    assert len(office) == 3 * PER_NEED_AND_DAY


@pytest.mark.parametrize("status", ["closed", "withdrawn"])
async def test_nobody_is_told_of_a_need_that_is_not_open(world: World, status: Any):
    await world.arrive(shortlist(need(status=status), match()))
    assert await told(world) == []


async def test_an_empty_list_tells_nobody_but_the_need_is_known(world: World):
    await world.arrive(shortlist(need()))
    assert await told(world) == []
    counts = (await world.anyone().get("/api/notify/v1/counts")).json()
    assert (counts["needs"], counts["proposals"], counts["notifications"]) == (1, 0, 0)


async def test_the_counts_follow_the_needs(world: World):
    await world.arrive(city_page(), company_page())
    await world.arrive(shortlist(need("a"), match("1"), match("2")), shortlist(need("b", city=KITAKYUSHU)))
    await world.send_mails()
    counts = (await world.anyone().get("/api/notify/v1/counts")).json()
    assert counts == {
        "needs": 2,
        "cities": 2,
        "proposals": 1,
        "matches": 2,
        "alerted": 1,
        "answered": 0,
        "notifications": 6,
        "acknowledged": 0,
        "mails": 6,
        "mails_waiting": 0,
        "mails_failed": 0,
    }
    await world.arrive(shortlist(need("a", status="closed")))
    assert (await world.anyone().get("/api/notify/v1/counts")).json()["needs"] == 1


async def test_the_notification_follows_from_the_event_that_brought_the_match(world: World):
    trace = b"00-11111111111111111111111111111111-2222222222222222-01"
    await world.arrive(shortlist(need(), match()), trace=trace)
    rows = await world.rows("select trace, causation_id from outbox where type = 'notification.issued.v1'")
    assert {row["trace"][3:35] for row in rows} == {trace[3:35]}
    assert all(row["causation_id"] for row in rows)


async def test_a_city_that_changes_its_office_is_looked_after_by_the_new_one(world: World):
    await world.arrive(shortlist(need(), match("before")))
    moved = HAI_PHONG.model_copy(update={"office_id": "jetro-ho-chi-minh"})
    await world.arrive(shortlist(need(city=moved), match("before"), match("after")))
    assert ("jetro-hanoi", "before") in await told(world)
    assert ("jetro-ho-chi-minh", "after") in await told(world)
    assert ("jetro-hanoi", "after") not in await told(world)
