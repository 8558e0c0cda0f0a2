"""What becomes of municipalities and needs that a partner submits."""

from common.contracts.needs import MunicipalityListed, NeedPosted
from tests.eventually import eventually
from tests.partner import Partner, dated
from tests.partner_events import city, in_days, need


async def test_a_city_and_its_need_are_announced_together_with_the_city(partner: Partner) -> None:
    answers = await partner.accepted(city(), need())
    assert [(a["status"], a["effect"]) for a in answers] == [("accepted", "created")] * 2
    listed, posted = await partner.announced()
    assert isinstance(listed, MunicipalityListed)
    assert isinstance(posted, NeedPosted)
    assert (listed.id, posted.id) == (answers[0]["aggregate_id"], answers[1]["aggregate_id"])
    assert posted.municipality.names == listed.names
    assert posted.status == "open"


async def test_the_same_content_under_a_new_id_changes_nothing_and_announces_nothing(partner: Partner) -> None:
    await partner.accepted(city(), need())
    answers = await partner.accepted(city(), need())
    assert [a["effect"] for a in answers] == ["unchanged", "unchanged"]
    assert len(await partner.announced()) == 2


async def test_numbers_that_are_written_differently_change_nothing(partner: Partner) -> None:
    await partner.accepted(city(), need(quantity=3600))
    (answer,) = await partner.accepted(need(quantity="3600.00"))
    assert answer["effect"] == "unchanged"


async def test_an_absent_field_is_cleared(partner: Partner) -> None:
    await partner.accepted(city(), need())
    without = need()
    del without["data"]["budget"]
    (answer,) = await partner.accepted(without)
    assert answer["effect"] == "updated"
    last = (await partner.announced())[-1]
    assert isinstance(last, NeedPosted)
    assert last.budget is None


async def test_a_need_of_a_city_that_is_not_known_may_be_sent_again_after_the_city(partner: Partner) -> None:
    event = need()
    (refused,) = await partner.send(event)
    assert (refused["status"], refused["retryable"]) == ("refused", True)
    assert refused["errors"][0]["code"] == "unknown_municipality"
    assert "haiphong" in refused["errors"][0]["detail"]
    await partner.accepted(city())
    (answer,) = await partner.accepted(event)
    assert answer["effect"] == "created"


async def test_open_needs_are_announced_again_when_their_city_changes_its_name(partner: Partner) -> None:
    await partner.accepted(city(), need("a"), need("b"), need("c", status="closed"))
    await partner.accepted(city(names={"en": "Hai Phong"}))
    again = (await partner.announced())[4:]
    assert [type(fact) for fact in again] == [MunicipalityListed, NeedPosted, NeedPosted]
    assert {fact.municipality.names["en"] for fact in again if isinstance(fact, NeedPosted)} == {"Hai Phong"}


async def test_needs_are_not_announced_again_for_what_they_do_not_carry_of_their_city(partner: Partner) -> None:
    await partner.accepted(city(), need())
    await partner.accepted(city(population=2_000_000))
    assert [type(fact) for fact in await partner.announced()] == [MunicipalityListed, NeedPosted, MunicipalityListed]


async def test_a_withdrawn_need_stays_withdrawn(partner: Partner) -> None:
    await partner.accepted(city(), need(), need(status="withdrawn"))
    (refused,) = await partner.send(need(status="open"))
    (error,) = refused["errors"]
    assert (error["pointer"], error["code"]) == ("/data/status", "need_was_withdrawn")


async def test_a_need_whose_withdrawal_arrives_first_does_not_come_to_life_by_its_older_event(partner: Partner) -> None:
    await partner.accepted(city())
    (withdrawn,) = await partner.accepted(dated(need(status="withdrawn"), hours=-1))
    (older,) = await partner.send(dated(need(status="open"), hours=-2))
    assert (withdrawn["effect"], older["status"]) == ("created", "superseded")
    last = (await partner.announced())[-1]
    assert isinstance(last, NeedPosted)
    assert last.status == "withdrawn"


async def test_a_closed_need_can_be_opened_again_with_a_later_day(partner: Partner) -> None:
    await partner.accepted(city(), need(status="closed"))
    (answer,) = await partner.accepted(need(status="open", deadline=in_days(400)))
    assert answer["effect"] == "updated"


async def test_a_need_closes_by_itself_at_the_end_of_its_last_day_in_its_own_zone(partner: Partner) -> None:
    await partner.accepted(city(timezone="Pacific/Kiritimati"), need(deadline=in_days(2)))

    async def is_closed() -> bool:
        last = (await partner.announced())[-1]
        return isinstance(last, NeedPosted) and last.status == "closed"

    assert not await is_closed()
    partner.clock.pass_by(days=3)
    await eventually(is_closed, what="the need closes")
    page = await partner.page("/needs")
    assert "closed" in page.text


async def test_a_need_whose_day_was_moved_does_not_close_on_its_old_day(partner: Partner) -> None:
    await partner.accepted(city(), need("moved", deadline=in_days(2)), need("stays", deadline=in_days(2)))
    await partner.accepted(need("moved", deadline=in_days(200)))
    partner.clock.pass_by(days=4)

    async def statuses() -> dict[str, str]:
        facts = [fact for fact in await partner.announced() if isinstance(fact, NeedPosted)]
        return {fact.id: fact.status for fact in facts}

    async def one_has_closed() -> bool:
        return "closed" in (await statuses()).values()

    await eventually(one_has_closed, what="the other need closes")
    assert sorted((await statuses()).values()) == ["closed", "open"]


async def test_a_deadline_far_beyond_every_calendar_is_refused(partner: Partner) -> None:
    await partner.accepted(city())
    (refused,) = await partner.send(need(deadline="9999-12-31"))
    assert [e["code"] for e in refused["errors"]] == ["date_too_far"]
