"""What keeps cities' needs apart, as a page and as JSON; companies see nothing of it."""

from typing import Any

from common.access.permissions import Role
from common.contracts.needs import NeedPosted
from tests.matching.pairs import DIMMING, EFFICACY, need_fact
from tests.matching.running import Site, words_of

OVERVIEW = "/matching/compromises"
PAGE = "/matching/compromises/lighting.street_led"
API = "/api/matching/v1/compromises/lighting.street_led"


def need_of(city: str, number: int, country: str = "VN", **changes: Any) -> NeedPosted:
    """Street lights for a city of this name."""
    place = {"id": f"city-{city}", "names": {"en": city, "ja": city}, "country": country}
    return need_fact(id=f"0a3c7d4e-0000-4000-8000-{number:012}", city=place, **changes)


DALI = {**DIMMING, "mandatory": True}
ZHAGA = {**DALI, "value": "Zhaga"}


async def three_cities(site: Site) -> None:
    """Two ask for DALI, the third insists on Zhaga; 3,600, 1,200 and 500 lamps."""
    await site.matching.take(
        need_of("Hai Phong", 1, requirements=[EFFICACY, DALI]),
        need_of("Da Nang", 2, requirements=[DALI], quantity=1200),
        need_of("Kitakyushu", 3, "JP", requirements=[ZHAGA], quantity=500),
    )


async def test_machines_get_pools_what_divides_and_what_each_step_brings(site: Site) -> None:
    await three_cities(site)
    answer = (await (await site.reader(Role.SECRETARIAT, "secretariat")).get(API)).json()
    assert (answer["needs"], answer["cities"], answer["units"], answer["exact"]) == (3, 3, 5300, True)
    [pool] = answer["pools"]
    assert (pool["cities"], pool["units"]) == (2, 4800)
    assert {one["attribute"]: one["value"] for one in pool["specification"]} == {"efficacy": 150, "dimming": "DALI"}
    [divider] = answer["dividers"]
    assert (divider["attribute"], divider["outside"]["units"], divider["freed_needs"]) == ("dimming", 500, 1)
    [step] = answer["steps"]
    assert step["municipality"]["names"]["en"] == "Kitakyushu"
    assert step["cost"]["mandatory"] == 1
    assert (step["pool"]["cities"], step["pool"]["units"]) == (3, 5300)
    assert answer["outside"] == []


async def test_people_see_the_step_in_their_language_with_the_real_values(site: Site) -> None:
    await three_cities(site)
    secretariat = await site.reader(Role.SECRETARIAT, "secretariat")
    english = words_of((await secretariat.get(PAGE)).text)
    for expected in ("LED street lighting", "3 cities, 5,300 lamps", "Accept DALI for dimming, beside Zhaga", "mandatory now"):
        assert expected in english
    japanese = words_of((await secretariat.get(PAGE, params={"lang": "ja"})).text)
    for expected in ("LED街路灯", "3都市・5,300灯", "dimmingに、ZhagaのほかDALIも認める", "現在は必須"):
        assert expected in japanese


async def test_one_country_can_be_looked_at_by_itself(site: Site) -> None:
    await three_cities(site)
    answer = (await (await site.reader(Role.OFFICE, "jetro-hanoi")).get(API, params={"country": "VN"})).json()
    assert (answer["country"], answer["cities"], answer["steps"]) == ("VN", 2, [])


async def test_where_a_country_has_too_few_needs_the_others_are_counted(site: Site) -> None:
    await three_cities(site)
    secretariat = await site.reader(Role.SECRETARIAT, "secretariat")
    page = (await secretariat.get(PAGE, params={"country": "jp"})).text
    assert "There are not two open needs to compare. In all countries together there are 3." in words_of(page)
    assert "Only Japan" in words_of(page)
    assert f'href="{PAGE}"' in page


async def test_the_list_of_proposals_leads_there_but_not_companies(site: Site) -> None:
    await three_cities(site)
    officer = await site.reader(Role.OFFICER, "city-Da Nang")
    assert f'href="{PAGE}"' in (await officer.get("/matching")).text
    assert (await officer.get(PAGE)).status_code == 200
    shortlist = words_of(listed := (await officer.get("/matching/needs/0a3c7d4e-0000-4000-8000-000000000002")).text)
    assert "3 needs of this kind: buy together?" in shortlist
    assert f'href="{PAGE}"' in listed
    company = await site.reader(Role.COMPANY, "somebody")
    assert (await company.get(PAGE)).status_code == 404
    assert (await company.get(OVERVIEW)).status_code == 404
    assert OVERVIEW not in (await company.get("/matching")).text
    assert (await company.get(API)).status_code == 404


async def test_the_overview_has_every_technology_that_two_open_needs_ask_for(site: Site) -> None:
    await site.matching.take(need_of("Hai Phong", 1))
    officer = await site.reader(Role.OFFICER, "city-Hai Phong")
    assert "No technology has two open needs." in words_of((await officer.get(OVERVIEW)).text)
    await three_cities(site)
    await site.matching.take(need_of("Da Nang", 4, technology="lighting.tunnel_led"), need_of("Da Nang", 5, quantity=700))
    page = await officer.get(OVERVIEW)
    assert f'href="{PAGE}"' in page.text
    assert "lighting.tunnel_led" not in page.text
    assert "LED street lighting 4 3 6,000 lamps" in words_of(page.text)
    assert f'href="{OVERVIEW}"' in (await officer.get("/matching")).text


async def test_where_all_fit_together_no_figure_is_shown_of_steps_that_nobody_has_to_take(site: Site) -> None:
    await site.matching.take(need_of("Hai Phong", 1, requirements=[DALI]), need_of("Da Nang", 2, requirements=[DALI]))
    words = words_of((await (await site.reader(Role.SECRETARIAT, "secretariat")).get(PAGE)).text)
    assert "Fit together as they are 2" in words
    assert "Together after all steps" not in words


async def test_a_group_and_an_unknown_code_are_not_found_and_one_need_has_nobody_to_agree_with(site: Site) -> None:
    await site.matching.take(need_of("Hai Phong", 1))
    secretariat = await site.reader(Role.SECRETARIAT, "secretariat")
    for code in ("lighting", "lighting.candles"):
        assert (await secretariat.get(f"/matching/compromises/{code}")).status_code == 404
    assert "There are not two open needs to compare." in words_of((await secretariat.get(PAGE)).text)
