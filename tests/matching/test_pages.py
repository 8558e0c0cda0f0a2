"""What people read of proposals, and who may read what."""

import re

import pytest

from common.access.permissions import Role
from tests.matching.pairs import CITY_ID, COMPANY_ID, NEED_ID, OFFERING_ID, need_fact, offering_fact, priced
from tests.matching.running import Site, words_of
from tests.matching.test_announcing import other, rate

PROPOSAL = f"/matching/needs/{NEED_ID}/offerings/{OFFERING_ID}"
ELSEWHERE = "0a3c7d4e-0000-4000-8000-00000000ffff"
PUMPS = need_fact(
    id=NEED_ID[:-1] + "2",
    title={"en": "Four pumps", "ja": "ポンプ4台"},
    technology="water.pumps",
    unit="unit",
    quantity=4,
    requirements=[],
    city={"id": ELSEWHERE, "names": {"en": "Ube", "ja": "宇部市"}, "country": "JP", "timezone": "Asia/Tokyo"},
)


def proposals_counted(html: str) -> str:
    found = re.search(r'data-count="proposals">([\d,]+)<', html)
    assert found
    return found.group(1)


async def test_the_list_shows_each_need_with_its_best_proposal_or_what_blocks_it(site: Site) -> None:
    await site.matching.take(need_fact(), PUMPS, offering_fact(), other("b", lead_time_days=170))
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    page = (await office.get("/matching")).text
    words = words_of(page)
    assert proposals_counted(page) == "1"
    for expected in (
        "1 of 2 open needs have proposals",
        "Street lights Hai Phong, Vietnam · LED street lighting · 3,600 lamps Hibiki Lighting HB-60 example and 1 more",
        "94 / 100 2 proposals USD 180 USD 15 below the budget",
        "Four pumps Ube, Japan · Efficient pumps · 4 units no proposal No company offers anything in this field and unit yet.",
    ):
        assert expected in words
    japanese = words_of((await office.get("/matching?lang=ja")).text)
    for expected in (
        "提案のあるニーズ 1 件（受付中 2件のうち）",
        "ひびき照明 HB-60 例 ほか1件",
        "予算より15米ドル低い",
        "提案なし この分野と単位で登録された技術・製品はまだありません。",
    ):
        assert expected in japanese


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("technology=water", ["Four pumps"]),
        ("technology=lighting.street_led", ["Street lights"]),
        ("country=JP", ["Four pumps"]),
        ("found=with", ["Street lights"]),
        ("found=without", ["Four pumps"]),
        ("country=JP&found=with", []),
    ],
)
async def test_filters_narrow_the_list_and_the_heading_still_counts_all(site: Site, query: str, shown: list[str]) -> None:
    await site.matching.take(need_fact(), PUMPS, offering_fact())
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    page = (await office.get(f"/matching?{query}")).text
    assert re.findall(r"<h3><a[^>]*>([^<]*)</a>", page) == shown
    assert proposals_counted(page) == "1"


async def test_an_empty_list_says_why(site: Site) -> None:
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    assert "No proposals yet." in (await office.get("/matching")).text
    assert "提案はまだありません。" in (await office.get("/matching?lang=ja")).text


async def test_a_need_s_page_ranks_its_proposals_and_names_near_misses(site: Site) -> None:
    await site.matching.take(
        need_fact(), offering_fact(), other("b", lead_time_days=170), other("c", countries_served=["JP"], names={"en": "OL-55"})
    )
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    words = words_of((await office.get(f"/matching/needs/{NEED_ID}")).text)
    for expected in (
        "2 proposals for Street lights",
        "1. Hibiki Lighting HB-60 example",
        "2. Hibiki Lighting HB-60 example",
        "Needs 170 days: 29 too many. Move delivery to 13 May 2027 The city can decide this.",
        "Hibiki Lighting OL-55 example Vietnam is not among its countries. "
        "The company adds Vietnam to its countries of interest The company can do this. It would then have 87 points.",
    ):
        assert expected in words


async def test_a_need_without_proposals_says_what_blocks_it(site: Site) -> None:
    await site.matching.take(need_fact(), other("c", countries_served=["JP"]))
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    words = words_of((await office.get(f"/matching/needs/{NEED_ID}")).text)
    assert "No proposal yet for Street lights" in words
    assert "Offerings of this field that do not name Vietnam among their countries: 1 of 1." in words


async def test_a_proposal_explains_itself_in_both_languages(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact(), other("c", countries_served=["JP"]))
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    english = words_of((await office.get(PROPOSAL)).text)
    for expected in (
        "Hibiki Lighting HB-60 fits Hai Phong: 3,600 lamps example",
        "Match 94 / 100 place 1 of 1",
        "Price per lamp USD 180 USD 15 below the budget",
        "USD 648,000 budget USD 702,000",
        "Technology 20 / 20 Same class: LED street lighting.",
        "Price 16 / 20 USD 180 per lamp at 3,600 lamps (price tier 2); the budget is USD 195 per lamp, so 7% below.",
        "Near misses, and the smallest change that would do",
        "1,400 lamps more reach the next tier.",
        "Open the inbox",
    ):
        assert expected in english
    japanese = words_of((await office.get(PROPOSAL + "?lang=ja")).text)
    for expected in (
        "ハイフォン市のLED街路灯3,600灯に、ひびき照明の HB-60 が合います 例",
        "適合 94 / 100点 1件中1位",
        "なぜ合うのか",
        "価格 16 / 20 3,600灯の単価は180米ドル（価格の段階2）。予算単価195米ドルより7%低くなります。",
        "あと1,400灯で次の段階に届きます。",
        "惜しい候補と、届くための最小の変更",
    ):
        assert expected in japanese


async def test_a_proposal_in_another_currency_shows_the_rates_used(site: Site) -> None:
    await site.matching.take(rate("VND", 25_000))
    await site.matching.take(need_fact(), offering_fact(**priced("VND", (1, 4_500_000))))
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    assert "Exchange rates used: USD 1 = VND 25,000 on 20 Nov 2026, Example bank." in words_of((await office.get(PROPOSAL)).text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"countries_served": ["JP"]}, "Vietnam is not among its countries."),
        ({"status": "withdrawn"}, "The company has withdrawn the offering."),
    ],
)
async def test_a_proposal_that_left_the_list_says_so(site: Site, changes: dict[str, object], words: str) -> None:
    await site.matching.take(need_fact(), offering_fact())
    await site.matching.take(offering_fact(**changes))
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    page = words_of((await office.get(PROPOSAL)).text)
    assert "HB-60 no longer fits Hai Phong’s need" in page
    assert words in page


async def test_a_proposal_pushed_off_by_ten_better_ones_is_still_explained(site: Site) -> None:
    await site.matching.take(need_fact(), *[other(letter) for letter in "023456789b"], offering_fact(lead_time_days=None))
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    page = words_of((await office.get(PROPOSAL)).text)
    assert "Not among the ten best now." in page
    assert "Its lead time is not stated." in page


async def test_a_closed_need_s_proposal_says_that_it_is_over(site: Site) -> None:
    await site.matching.take(need_fact(), offering_fact())
    await site.matching.take(need_fact(status="closed"))
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    assert "The need is no longer open." in words_of((await office.get(PROPOSAL)).text)


async def test_an_officer_sees_the_own_city_s_proposals_only(site: Site) -> None:
    await site.matching.take(need_fact(), PUMPS, offering_fact())
    own = await site.reader(Role.OFFICER, CITY_ID)
    stranger = await site.reader(Role.OFFICER, ELSEWHERE)
    for path in (f"/matching/needs/{NEED_ID}", PROPOSAL, f"/api/matching/v1/shortlists/{NEED_ID}"):
        assert (await own.get(path)).status_code == 200
        assert (await stranger.get(path)).status_code == 404
    assert "Street lights" in (await own.get("/matching")).text
    assert "Street lights" not in (await stranger.get("/matching")).text
    assert [one["need"]["id"] for one in (await stranger.get("/api/matching/v1/shortlists")).json()["items"]] == [PUMPS.id]


async def test_a_company_sees_proposals_of_its_own_offerings_only(site: Site) -> None:
    rival = {"id": ELSEWHERE, "names": {"en": "Rival"}, "country": "JP"}
    theirs, missed = other("b", company=rival, lead_time_days=1), other("c", company=rival, countries_served=["JP"])
    await site.matching.take(need_fact(), offering_fact(), theirs, missed)
    own = await site.reader(Role.COMPANY, COMPANY_ID)
    page = (await own.get(f"/matching/needs/{NEED_ID}")).text
    assert "2. Hibiki Lighting HB-60" in page
    assert "Rival" not in page
    assert "Rival" not in (await own.get("/matching")).text
    assert "Rival" not in (await own.get(PROPOSAL)).text
    assert (await own.get(f"/matching/needs/{NEED_ID}/offerings/{theirs.id}")).status_code == 404
    (listed,) = (await own.get("/api/matching/v1/shortlists")).json()["items"]
    assert [match["offering_id"] for match in listed["matches"]] == [OFFERING_ID]
    nobody = await site.reader(Role.COMPANY, CITY_ID)
    assert (await nobody.get(f"/matching/needs/{NEED_ID}")).status_code == 404
    assert (await nobody.get(f"/api/matching/v1/shortlists/{NEED_ID}")).status_code == 404
    assert proposals_counted((await nobody.get("/matching")).text) == "0"


@pytest.mark.parametrize("path", ["/matching", f"/matching/needs/{NEED_ID}", PROPOSAL, "/api/matching/v1/shortlists"])
async def test_who_has_not_signed_in_is_asked_to(site: Site, path: str) -> None:
    await site.matching.take(need_fact(), offering_fact())
    answer = await site.anyone().get(path)
    assert answer.status_code in (401, 403)
    assert "Street lights" not in answer.text


@pytest.mark.parametrize(
    "path", [f"/matching/needs/{ELSEWHERE}", f"/matching/needs/{NEED_ID}/offerings/{ELSEWHERE}", "/matching/needs/x"]
)
async def test_what_is_not_there_is_not_found(site: Site, path: str) -> None:
    await site.matching.take(need_fact())
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    assert (await office.get(path)).status_code == 404


async def test_machines_read_all_shortlists_page_by_page(site: Site) -> None:
    needs = [need_fact(id=f"{NEED_ID[:-2]}{number:02}") for number in range(5)]
    await site.matching.take(*needs, offering_fact())
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    found, address = [], "/api/matching/v1/shortlists?limit=2"
    for last in (False, False, True):
        answer = (await office.get(address)).json()
        found += answer["items"]
        assert (answer["next"] is None) is last
        address = f"/api/matching/v1/shortlists?limit=2&cursor={answer['next']}"
    assert [one["need"]["id"] for one in found] == [need.id for need in needs]
    assert all([match["score"] for match in one["matches"]] == [94] for one in found)
