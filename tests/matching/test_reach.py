"""Which needs a company would reach if…: every promise is what would happen, and the company learns no more than it may."""

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bench.workload import World
from common.access.permissions import Role
from matching.domain.changes import Said
from matching.domain.circumstances import Circumstances, Rates
from matching.domain.reach import LEVERS, Lever, OpenNeed, levers
from matching.domain.shortlist import LENGTH, best_of
from matching.domain.sides import Need, Offering
from matching.domain.words import say
from matching.reaching import MOST_OFFERINGS
from tests.matching.pairs import (
    CITY_ID,
    COMPANY_ID,
    EFFICACY,
    NEED_ID,
    OFFERING_ID,
    RATES,
    TODAY,
    circumstances_of,
    need,
    need_fact,
    offering,
    offering_fact,
    priced,
)
from tests.matching.running import Site, words_of
from tests.matching.test_announcing import other

S = "\u00a0"
MUST = {**EFFICACY, "mandatory": True}


def in_words(said: Said, language: str = "en") -> str:
    return say(getattr(said.reason, language), said.values, language)


def open_need(one: Need, offerings: list[Offering], today: Any = TODAY, rates: Rates = RATES) -> OpenNeed:
    """The need with the list that stands for it."""
    best = best_of(one, offerings, Circumstances(today, rates))[:LENGTH]
    return OpenNeed(one, today, tuple(judged.rank for judged in best))


def ten_better() -> list[Offering]:
    return [replace(offering(lead_time_days=30), id=f"0{n}") for n in range(10)]


def test_a_country_of_interest_brings_the_needs_of_that_country() -> None:
    mine = offering(countries_served=["JP"])
    needs = [open_need(need(id=name), [mine]) for name in "ab"]
    (lever,) = levers([mine], needs, RATES)
    assert in_words(lever.change) == "Add Vietnam to the countries of interest"
    assert in_words(lever.change, "ja") == "関心国にベトナムを加える"
    assert [(one.need.id, one.gain, one.score_after) for one in lever.reached] == [("a", "won", 87), ("b", "won", 87)]
    assert (lever.units, lever.budgets) == ({"lamp": Decimal(7200)}, {"USD": Decimal(1_404_000)})


def test_an_attribute_that_is_not_stated_names_what_each_need_asks_of_it() -> None:
    mine = offering(attributes=[])
    asked = [need(id="a", requirements=[MUST]), need(id="b", requirements=[{**MUST, "value": 120}])]
    (lever,) = levers([mine], [open_need(one, [mine]) for one in asked], RATES)
    assert in_words(lever.change) == "State efficacy, if it suits"
    assert [in_words(one.asked) for one in lever.reached if one.asked] == [
        f"Asked for efficacy: at least 150{S}lm/W",
        f"Asked for efficacy: at least 120{S}lm/W",
    ]


def test_what_the_product_is_cannot_be_changed_by_writing() -> None:
    mine = offering(attributes=[{"name": "efficacy", "value": 120, "unit": "lm/W"}])
    assert levers([mine], [open_need(need(requirements=[MUST]), [mine])], RATES) == []


def test_a_choice_among_nothing_is_met_by_nothing() -> None:
    mine = offering(attributes=[])
    nothing = {"attribute": "dimming", "op": "in", "value": [], "mandatory": True}
    assert levers([mine], [open_need(need(requirements=[nothing]), [mine])], RATES) == []


def test_two_things_at_once_are_not_offered() -> None:
    mine = offering(attributes=[], countries_served=["JP"])
    assert levers([mine], [open_need(need(requirements=[MUST]), [mine])], RATES) == []


def test_where_ten_others_are_better_the_need_is_opened_and_not_won() -> None:
    mine = offering(countries_served=["JP"])
    (lever,) = levers([mine], [open_need(need(), ten_better())], RATES)
    assert [one.gain for one in lever.reached] == ["opened"]


@pytest.mark.parametrize(
    ("of_offering", "en", "ja", "score"),
    [
        (
            {"lead_time_days": 170},
            f"Deliver within 141{S}days instead of 170{S}days",
            "納期を170日から141日に縮める",
            94,
        ),
        (
            {"minimum_order": 8000},
            f"Take orders from 3,600{S}lamps on instead of 8,000",
            "最小注文を8,000から3,600灯に下げる",
            94,
        ),
        (
            {"maximum_order": 500},
            f"Take orders of up to 3,600{S}lamps instead of 500",
            "最大注文を500から3,600灯に上げる",
            94,
        ),
        (priced("USD", (1, 210)), "Lower the prices by 8%", "価格を8%下げる", 93),
        (priced("VND", (1, 210 * 25_000)), "Lower the prices by 8%", "価格を8%下げる", 93),
    ],
)
def test_what_counts_against_an_offering_on_the_list_can_be_eased(
    of_offering: dict[str, Any], en: str, ja: str, score: int
) -> None:
    mine = offering(**of_offering)
    (lever,) = levers([mine], [open_need(need(), [mine])], RATES)
    assert (in_words(lever.change), in_words(lever.change, "ja")) == (en, ja)
    assert [(one.gain, one.score_after) for one in lever.reached] == [("eased", score)]


def test_what_is_not_stated_may_win_a_place_when_it_is() -> None:
    rivals = [replace(offering(lead_time_days=None), id=f"0{n}") for n in range(10)]
    no_lead_time = replace(offering(lead_time_days=None), id="z")
    no_price, no_standard = replace(no_lead_time, prices=None), replace(no_lead_time, standards=frozenset({"tcvn 7722"}))
    asked = [open_need(need(), rivals)]
    assert [in_words(one.change) for one in levers([no_lead_time], asked, RATES)] == [f"State a lead time of 141{S}days or less"]
    assert {in_words(one.change) for one in levers([no_standard], asked, RATES)} == {f"State a lead time of 111{S}days or less"}
    rivals = [replace(one, prices=None) for one in rivals]
    assert "State a price, if it is within the budget" in {
        in_words(one.change) for one in levers([no_price], [open_need(need(), rivals)], RATES)
    }


def test_a_larger_step_keeps_what_a_smaller_one_brings() -> None:
    mine = offering(lead_time_days=200)
    needs = [open_need(need(id=name, deadline=day), [mine]) for name, day in (("a", "2027-04-14"), ("b", "2027-05-14"))]
    found = levers([mine], needs, RATES)
    assert [(in_words(lever.change), [one.need.id for one in lever.reached]) for lever in found] == [
        (f"Deliver within 141{S}days instead of 200{S}days", ["b", "a"]),
        (f"Deliver within 171{S}days instead of 200{S}days", ["b"]),
    ]


def test_the_change_that_brings_the_most_needs_comes_first_and_then_the_larger_budget() -> None:
    mine = offering(countries_served=["JP"], countries_of_interest=[])
    cities = {"a": "VN", "b": "TH", "c": "TH", "d": "ID"}
    needs = [need(id=name, city={"country": country}) for name, country in cities.items()]
    needs[3] = replace(needs[3], budget=Decimal(900_000))
    found = levers([mine], [open_need(one, [mine]) for one in needs], RATES)
    assert [in_words(lever.change) for lever in found] == [
        f"Add {country} to the countries of interest" for country in ("Thailand", "Indonesia", "Vietnam")
    ]


def test_a_need_that_two_products_would_reach_counts_once() -> None:
    two = [replace(offering(countries_served=["JP"]), id=name) for name in "xy"]
    (lever,) = levers(two, [open_need(need(), two)], RATES)
    assert (lever.count("won"), len(lever.reached), lever.offering_ids) == (1, 2, ["x", "y"])
    assert lever.units == {"lamp": Decimal(3600)}


def test_what_is_withdrawn_reaches_nothing() -> None:
    mine = offering(countries_served=["JP"], status="withdrawn")
    assert levers([mine], [open_need(need(), [])], RATES) == []


@pytest.mark.parametrize("seed", range(5))
def test_every_promise_is_what_a_search_would_find_after_the_change(seed: int) -> None:
    world = World(seed=seed, technologies=2, countries=4)
    now = circumstances_of(world)
    offerings = [Offering.of(world.offering()) for _ in range(90)]
    needs = [open_need(Need.of(world.need()), offerings, now.today, now.rates) for _ in range(25)]
    seen: set[str] = set()
    for mine in offerings[:30]:
        for lever in levers([mine], needs, now.rates):
            seen.add(lever.change.reason.code)
            for one in lever.reached:
                changed = _with(lever, mine, one.need)
                others = [each for each in offerings if each.id != mine.id]
                listed = {judged.rank for judged in best_of(one.need, [*others, changed], now)[:LENGTH]}
                before = {judged.offering.id for judged in best_of(one.need, offerings, now)[:LENGTH]}
                mine_after = [rank for rank in listed if rank.offering_id == mine.id]
                if one.gain == "opened":
                    assert not mine_after and mine.id not in before
                else:
                    assert [rank.score for rank in mine_after] == [one.score_after]
                    assert (mine.id in before) == (one.gain == "eased")
    assert {"add_country", "lead_time"} <= seen <= {reason.code for reason in LEVERS}


def _with(lever: Lever, mine: Offering, asked: Need) -> Offering:
    """The offering with the change that the sentence speaks of, made anew from its figures."""
    values = lever.change.values
    match lever.change.reason.code:
        case "add_country":
            return replace(mine, interested_in=mine.interested_in | {values["country"]})
        case "state_attribute":
            named = str(values["attribute"]).replace(" ", "_")
            stated = [
                {"name": one.name, "value": one.values[0].number or one.values[0].text, "unit": one.unit or None}
                for one in asked.requirements
                if one.key.replace(" ", "_") == named
            ]
            return replace(mine, attributes=(*mine.attributes, *offering(attributes=stated).attributes))
        case "state_standard":
            return replace(mine, standards=mine.standards | {str(values["standard"]).casefold()})
        case "state_price":
            assert asked.budget is not None
            made = priced(asked.currency, (f"{asked.quantity:f}", f"{asked.budget / asked.quantity * Decimal('0.9999'):.6f}"))
            return replace(mine, prices=offering(**made).prices)
        case "lead_time" | "state_lead_time":
            return replace(mine, lead_time_days=values["days"])
        case "smaller_orders":
            return replace(mine, minimum_order=values["limit"])
        case "larger_orders":
            return replace(mine, maximum_order=values["limit"])
        case "lower_price":
            assert mine.prices
            lowered = tuple(price * (100 - values["percent"]) / 100 for price in mine.prices.unit_prices)
            return replace(mine, prices=replace(mine.prices, unit_prices=lowered))
        case code:
            raise AssertionError(f"nothing is known of {code}")


# Pages -----------------------------------------------------------------------------------------------------------------

REACH = f"/matching/companies/{COMPANY_ID}/reach"
AS_JSON = f"/api/matching/v1/companies/{COMPANY_ID}/reach"
RIVAL = {"id": "0a3c7d4e-0000-4000-8000-00000000ffff", "names": {"en": "Rival"}, "country": "JP"}


async def test_a_company_reads_which_needs_it_would_reach(site: Site) -> None:
    thai = need_fact(id=NEED_ID[:-1] + "2", title={"en": "Lamps for Phuket"}, city={"country": "TH", "names": {"en": "Phuket"}})
    await site.matching.take(need_fact(), thai, offering_fact(), other("b", company=RIVAL, countries_served=["TH", "VN"]))
    own = await site.reader(Role.COMPANY, COMPANY_ID)
    assert REACH in (await own.get("/matching")).text
    words = words_of((await own.get(REACH)).text)
    for expected in (
        "Which needs would Hibiki Lighting reach if… example",
        "Products listed 1 Open needs in their field 2 On the shortlist already 1",
        "Add Thailand to the countries of interest HB-60 1 need onto the shortlist",
        "Asked for in all: 3,600 lamps Budgets stated: USD 702,000",
        "Lamps for Phuket Phuket, Thailand · 3,600 lamps · it would have 87 points",
    ):
        assert expected in words
    assert "Rival" not in words
    japanese = words_of((await own.get(REACH + "?lang=ja")).text)
    assert "関心国にタイを加える HB-60 1件：上位10件に入る" in japanese
    answer = (await own.get(AS_JSON)).json()
    (change,) = answer["changes"]
    assert change["change"]["words"]["en"] == "Add Thailand to the countries of interest"
    assert change["counts"] == {"won": 1, "opened": 0, "eased": 0}
    assert change["units"] == [{"quantity": 3600, "unit": "lamp"}]
    assert [(one["need"]["id"], one["score_after"]) for one in change["needs"]] == [(thai.id, 87)]


async def test_the_page_narrows_to_one_offering(site: Site) -> None:
    second = other("b", names={"en": "HB-70"}, countries_served=["JP"], countries_of_interest=[])
    await site.matching.take(need_fact(), offering_fact(), second)
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    words = words_of((await office.get(f"{REACH}?offering={second.id}")).text)
    assert "Which needs would Hibiki Lighting HB-70 reach if…" in words
    assert "Add Vietnam to the countries of interest" in words
    assert "No single change would bring another need." in words_of((await office.get(f"{REACH}?offering={OFFERING_ID}")).text)
    proposal = (await office.get(f"/matching/needs/{NEED_ID}/offerings/{OFFERING_ID}")).text
    assert f"{REACH}?offering={OFFERING_ID}" in proposal
    assert f'href="{REACH}"' in (await office.get(f"{REACH}?offering={OFFERING_ID}")).text
    assert f'href="{REACH}?offering={second.id}"' in (await office.get(REACH)).text


async def test_what_the_colour_of_a_need_says_is_said_in_words_too(site: Site) -> None:
    await site.matching.take(need_fact(), other("b", countries_served=["JP"], countries_of_interest=[]))
    page = (await (await site.reader(Role.COMPANY, COMPANY_ID)).get(REACH)).text
    assert re.search(r'<span class="visually-hidden">onto the shortlist: </span><a href="/needs/', page)


async def test_a_company_that_lists_nothing_is_not_sent_to_a_page_that_it_does_not_have(site: Site) -> None:
    own = await site.reader(Role.COMPANY, COMPANY_ID)
    assert REACH not in (await own.get("/matching")).text


@pytest.mark.parametrize("path", [REACH, AS_JSON])
async def test_neither_a_rival_nor_a_city_reads_it(site: Site, path: str) -> None:
    await site.matching.take(need_fact(), offering_fact(), other("b", company=RIVAL))
    for role, organisation, status in (
        (Role.COMPANY, COMPANY_ID, 200),
        (Role.OFFICE, "jetro-hanoi", 200),
        (Role.COMPANY, RIVAL["id"], 404),
        (Role.OFFICER, CITY_ID, 404),
    ):
        assert (await (await site.reader(role, str(organisation))).get(path)).status_code == status
    assert (await site.anyone().get(path)).status_code in (401, 403)
    office = await site.reader(Role.OFFICE, "jetro-hue")
    rivals_offering = other("b").id
    assert (await office.get(f"{path}?offering={rivals_offering}")).status_code == 404


@pytest.mark.parametrize("company", ["x", CITY_ID])
async def test_a_company_that_lists_nothing_is_not_found(site: Site, company: str) -> None:
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    assert (await office.get(f"/matching/companies/{company}/reach")).status_code == 404


async def test_a_company_of_many_products_is_told_that_some_are_left_out(site: Site) -> None:
    many = [offering_fact(id=f"{OFFERING_ID[:-2]}{number:02x}") for number in range(MOST_OFFERINGS + 2)]
    await site.matching.take(need_fact(), *many)
    own = await site.reader(Role.COMPANY, COMPANY_ID)
    assert (await own.get(AS_JSON)).json()["offerings_left_out"] == 2
    assert "2 products are not looked at here." in words_of((await own.get(REACH)).text)
    assert (await own.get(f"{AS_JSON}?offering={many[-1].id}")).json()["offerings_left_out"] == 0
