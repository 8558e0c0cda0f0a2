"""What is announced, when, and when not."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from common.contracts.catalog import ExchangeRatePublished, OfferingListed
from matching.domain.facets import WEIGHTS
from tests.matching.pairs import NEED_ID, OFFERING_ID, need_fact, offering_fact, priced
from tests.matching.running import Matching


def rate(currency: str, per_usd: int, day: date = date(2026, 11, 20)) -> ExchangeRatePublished:
    return ExchangeRatePublished(currency=currency, per_usd=Decimal(per_usd), as_of=day, source="Example bank")


def other(letter: str, **changes: object) -> OfferingListed:
    """An offering like the one of the pair, with an id that ends in this letter."""
    return offering_fact(id=OFFERING_ID[:-1] + letter, **changes)


async def test_a_need_is_announced_with_its_list_explained(matching: Matching) -> None:
    await matching.take(offering_fact())
    (announced,) = await matching.take_for_lists(need_fact())
    assert announced.need.id == NEED_ID
    assert announced.need.unit_budget == 195
    assert announced.weights == WEIGHTS
    assert announced.as_of == matching.clock.now
    (match,) = announced.matches
    assert (match.offering_id, match.score, match.company.names["ja"]) == (OFFERING_ID, 94, "ひびき照明")
    assert match.price is not None
    assert (match.price.unit_price.amount, match.price.total.amount, match.price.tier, match.price.tiers) == (180, 648_000, 2, 3)
    assert sum(facet.earned for facet in match.facets) == match.score
    assert all(set(facet.words) == {"en", "ja"} for facet in match.facets)


async def test_a_need_that_fits_nothing_is_announced_with_an_empty_list(matching: Matching) -> None:
    (announced,) = await matching.take_for_lists(need_fact())
    assert announced.matches == []


async def test_an_offering_that_comes_later_is_announced_to_the_need(matching: Matching) -> None:
    await matching.take(need_fact())
    (announced,) = await matching.take_for_lists(offering_fact())
    assert [match.offering_id for match in announced.matches] == [OFFERING_ID]


async def test_what_follows_names_the_event_that_led_to_it(matching: Matching) -> None:
    (of_need,) = await matching.take(need_fact())
    (of_offering,) = await matching.take(offering_fact())
    assert of_need.causation_id and of_offering.causation_id
    assert of_need.causation_id != of_offering.causation_id
    assert of_offering.correlation_id not in ("", of_offering.causation_id, of_need.correlation_id)  # the partner's own event


async def test_the_same_need_or_offering_again_is_not_announced(matching: Matching) -> None:
    await matching.take(need_fact(), offering_fact())
    assert await matching.take(need_fact()) == []
    assert await matching.take(offering_fact()) == []


async def test_a_text_that_no_list_shows_is_not_announced(matching: Matching) -> None:
    await matching.take(need_fact(), offering_fact())
    assert await matching.take(offering_fact(text={"en": "Now with a longer text"})) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"names": {"en": "HB-60 mk II"}},
        priced("USD", (100, 181)),
        {"lead_time_days": 119},
        {"standards": []},
    ],
    ids=["name", "price", "lead time", "standards"],
)
async def test_a_change_that_the_list_shows_is_announced_once(matching: Matching, changes: dict[str, object]) -> None:
    await matching.take(need_fact(), offering_fact())
    assert len(await matching.take(offering_fact(**changes))) == 1
    assert await matching.take(offering_fact(**changes)) == []


async def test_a_change_below_the_tenth_place_is_not_announced(matching: Matching) -> None:
    ten = [other(letter) for letter in "0123456789"]
    await matching.take(need_fact(), *ten, other("a", lead_time_days=170))
    assert await matching.take(other("a", lead_time_days=169)) == []
    assert await matching.stored() == await matching.oracle()


async def test_an_offering_that_rises_takes_the_place_of_the_tenth(matching: Matching) -> None:
    ten = [other(letter) for letter in "0123456789"]
    await matching.take(need_fact(), *ten, other("a", lead_time_days=170))
    (announced,) = await matching.take_for_lists(other("a", lead_time_days=30))
    assert announced.matches[0].offering_id == other("a").id
    assert len(announced.matches) == 10
    assert await matching.stored() == await matching.oracle()


async def test_an_offering_that_falls_gives_way_to_one_that_was_not_listed(matching: Matching) -> None:
    ten = [other(letter) for letter in "0123456789"]
    await matching.take(need_fact(), *ten, other("a", lead_time_days=170))
    (announced,) = await matching.take_for_lists(other("0", lead_time_days=240))
    assert announced.matches[-1].offering_id == other("a").id
    assert await matching.stored() == await matching.oracle()


async def test_a_withdrawn_offering_leaves_all_lists(matching: Matching) -> None:
    second = need_fact(id=NEED_ID[:-1] + "2")
    await matching.take(need_fact(), second, offering_fact())
    lists = await matching.take_for_lists(offering_fact(status="withdrawn"))
    assert [(one.need.id, one.matches) for one in lists] == [(NEED_ID, []), (second.id, [])]
    assert set(map(len, (await matching.stored()).values())) == {0}
    assert len(await matching.take(offering_fact())) == 2  # listed again: back on both


async def test_an_offering_that_leaves_the_country_leaves_the_list(matching: Matching) -> None:
    await matching.take(need_fact(), offering_fact())
    (announced,) = await matching.take_for_lists(offering_fact(countries_served=["JP"], countries_of_interest=[]))
    assert announced.matches == []


@pytest.mark.parametrize("status", ["closed", "withdrawn"])
async def test_a_need_that_is_no_longer_open_is_announced_with_an_empty_list(matching: Matching, status: str) -> None:
    await matching.take(need_fact(), offering_fact())
    (announced,) = await matching.take_for_lists(need_fact(status=status))
    assert (announced.matches, announced.need.status) == ([], status)
    assert await matching.take(offering_fact(lead_time_days=1)) == []
    (reopened,) = await matching.take_for_lists(need_fact())
    assert len(reopened.matches) == 1


async def test_a_need_of_another_technology_gets_another_list(matching: Matching) -> None:
    pump = {"technologies": ["water.pumps"], "unit": "unit"}
    await matching.take(need_fact(requirements=[]), offering_fact(), other("b", **pump))
    moved = need_fact(requirements=[], technology="water.pumps", unit="unit")
    (announced,) = await matching.take_for_lists(moved)
    assert [match.offering_id for match in announced.matches] == [other("b").id]
    assert await matching.take(offering_fact(lead_time_days=1)) == []


async def test_an_expired_need_has_an_empty_list_from_the_day_after_its_deadline_there(matching: Matching) -> None:
    await matching.take(need_fact(deadline="2026-11-25"), offering_fact())
    matching.clock.now = matching.clock.now.replace(day=25, hour=16, minute=59)  # 23:59 in Hai Phong
    await matching.run_duties()
    assert [len(one.matches) for one in await matching.announced()] == [0, 1]
    matching.clock.pass_by(timedelta(minutes=1))
    assert await matching.run_duties() == 1
    assert [len(one.matches) for one in await matching.announced()] == [0, 1, 0]
    assert await matching.take(offering_fact(lead_time_days=1)) == []
    matching.clock.pass_by(timedelta(days=2))
    assert await matching.run_duties() == 0


async def test_days_that_go_by_are_no_news_until_they_cost_a_point(matching: Matching) -> None:
    await matching.take(need_fact(), offering_fact())  # 21 days to spare
    before = len(await matching.announced())
    for _ in range(21):
        matching.clock.pass_by(timedelta(days=1))
        assert await matching.run_duties() == 1
    assert len(await matching.announced()) == before
    matching.clock.pass_by(timedelta(days=1))
    await matching.run_duties()
    assert [one.matches[0].score for one in (await matching.announced())[before:]] == [92]


async def test_a_need_in_another_currency_is_compared_through_the_dollar(matching: Matching) -> None:
    await matching.take(rate("JPY", 150), rate("VND", 25_000), offering_fact(**priced("VND", (1, 4_500_000))))
    (announced,) = await matching.take_for_lists(need_fact(budget={"amount": 3600 * 29_250, "currency": "JPY"}))
    price = next(facet for facet in announced.matches[0].facets if facet.facet == "price")
    assert (price.reason, price.earned) == ("below_budget_converted", 16)
    assert "USD/VND 25000 2026-11-20 Example bank" in str(price.values["rates"])


async def test_a_new_exchange_rate_has_the_lists_judged_again_that_it_concerns(matching: Matching) -> None:
    dong, dollars = offering_fact(**priced("VND", (1, 4_500_000))), other("b")
    in_dollars, in_dong = need_fact(), need_fact(id=NEED_ID[:-1] + "2", budget={"amount": 18 * 10**9, "currency": "VND"})
    unconcerned = need_fact(id=NEED_ID[:-1] + "3", city={"country": "JP"})
    await matching.take(rate("VND", 25_000), dong, dollars, in_dollars, in_dong, unconcerned)
    before = len(await matching.announced())
    await matching.take(rate("VND", 20_000, date(2026, 11, 23)))
    assert await matching.run_duties() == 2
    news = (await matching.announced())[before:]
    assert {one.need.id for one in news} == {in_dollars.id, in_dong.id}
    assert await matching.stored() == await matching.oracle()
    await matching.take(rate("VND", 20_000, date(2026, 11, 23)))
    assert await matching.run_duties() == 0


async def test_a_rate_that_grows_old_is_not_used_any_more(matching: Matching) -> None:
    await matching.take(rate("VND", 25_000), offering_fact(**priced("VND", (1, 4_500_000))), need_fact())
    matching.clock.pass_by(timedelta(days=35))
    await matching.run_duties()
    (match,) = (await matching.announced())[-1].matches
    assert "old_rate" in {facet.reason for facet in match.facets}


async def test_a_need_and_an_offering_of_absurd_size_stop_nobody(matching: Matching) -> None:
    await matching.take(need_fact(quantity=10**17, budget={"amount": 1, "currency": "USD"}))
    (announced,) = await matching.take_for_lists(offering_fact(**priced("USD", (1, 10**17))))
    assert announced.matches[0].price is None
