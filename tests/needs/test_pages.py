"""What somebody reads of needs and municipalities, in pages and as JSON."""

import re
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest

from common.web.addresses import Place, cursor
from tests.partner import Partner
from tests.partner_events import city, in_days, need

UBE = {"names": {"en": "Ube", "ja": "宇部市"}, "country": "JP", "timezone": "Asia/Tokyo", "languages": ["ja"], "office_id": None}
NOWHERE = f"{'0' * 8}-0000-0000-0000-{'0' * 12}"


def count_of_needs(html: str) -> str:
    found = re.search(r'data-count="needs">([\d,]+)<', html)
    assert found
    return found.group(1)


@pytest.mark.parametrize(("language", "words"), [("en", "No needs yet."), ("ja", "ニーズはまだありません。")])
async def test_the_list_says_why_it_is_empty(partner: Partner, language: str, words: str) -> None:
    page = await partner.page("/needs", language)
    assert page.status_code == 200
    assert words in page.text
    assert count_of_needs(page.text) == "0"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["LED street lighting for the ring road", "Haiphong", "Vietnam", "3,600\u00a0lamps", "USD\u00a01,400,000"]),
        ("ja", ["環状道路のLED街路灯", "ハイフォン市", "ベトナム", "3,600灯", "1,400,000米ドル", "あと2"]),
    ],
)
async def test_the_list_shows_a_need_in_the_reader_s_language(partner: Partner, language: str, words: list[str]) -> None:
    await partner.accepted(city(), need())
    page = await partner.page("/needs", language)
    assert [word for word in words if word not in page.text] == []
    assert count_of_needs(page.text) == "1"


async def test_filters_narrow_the_list_and_the_heading_still_counts_all(partner: Partner) -> None:
    pumps = {"technology": "water.pumps", "unit": "unit", "quantity": 4, "title": {"en": "Four pumps"}, "requirements": []}
    await partner.accepted(city(), city("ube", **UBE), need("a"), need("b", "ube", **pumps))
    for query, shown in (
        ("technology=water", "Four pumps"),
        ("technology=lighting.street_led", "LED street lighting for"),
        ("country=JP", "Four pumps"),
        ("country=VN&technology=&status=open", "LED street lighting for"),
    ):
        page = (await partner.page(f"/needs?{query}")).text
        titles = re.findall(r"<h3><a[^>]*>([^<]*)</a>", page)
        assert [title.startswith(shown) for title in titles] == [True], query
        assert count_of_needs(page) == "2"
    nothing = (await partner.page("/needs?country=JP&technology=lighting")).text
    assert "No need passes these filters." in nothing


@pytest.mark.parametrize("query", ["status=nonesuch", "technology=nonesuch", "country=zz&status=nonesuch"])
async def test_a_filter_that_means_nothing_finds_nothing_and_can_be_taken_off(partner: Partner, query: str) -> None:
    await partner.accepted(city(), need())
    response = await partner.page(f"/needs?{query}")
    assert response.status_code == 200
    assert 'value="nonesuch" checked' in response.text


async def test_a_city_beyond_measure_is_shown_all_the_same(partner: Partner) -> None:
    (answer,) = await partner.accepted(city(population=10**39))
    assert (await partner.page(f"/needs/municipalities/{answer['aggregate_id']}")).status_code == 200


async def test_a_filter_in_use_can_be_taken_off_by_a_link(partner: Partner) -> None:
    await partner.accepted(city(), need())
    page = (await partner.page("/needs?country=VN&technology=lighting")).text
    assert 'href="/needs?technology=lighting"' in page
    assert 'href="/needs?country=VN"' in page


async def test_a_long_list_has_pages_and_a_page_beyond_the_end_is_the_last(partner: Partner) -> None:
    await partner.accepted(city(), *(need(f"n{n}", title={"en": f"Need {n}"}) for n in range(23)))
    first, second = (await partner.page("/needs")).text, (await partner.page("/needs?page=2")).text
    titles = [re.findall(r"<h3><a[^>]*>([^<]*)</a>", page) for page in (first, second)]
    assert (len(titles[0]), len(titles[1])) == (20, 3)
    assert len({*titles[0], *titles[1]}) == 23
    assert 'href="/needs?page=2"' in first
    assert (await partner.page("/needs?page=99999")).text.count("<h3>") == second.count("<h3>")


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_a_need_s_page_shows_what_was_submitted_and_leads_to_its_proposals(partner: Partner, language: str) -> None:
    event = need(
        text={"en": "Ring road, both sides.", "ja": "環状道路の両側。"},
        baseline=[{"name": "lamp power", "value": 250, "unit": "W"}],
        standards=["IEC 60598"],
        source="https://tenders.example/4711",
        budget_basis="Lamps without poles",
    )
    _, answer = await partner.accepted(city(), event)
    page = (await partner.page(f"/needs/{answer['aggregate_id']}", language)).text
    for words in ("130&nbsp;lm/W", "250&nbsp;W", "IEC 60598", "https://tenders.example/4711", "Lamps without poles"):
        assert words in page
    assert f'href="/matching/needs/{answer["aggregate_id"]}"' in page
    assert "energy@haiphong.example" not in page
    assert ("mandatory" if language == "en" else "必須") in page


@pytest.mark.parametrize(("status", "words"), [("closed", "This need is closed."), ("withdrawn", "This need was withdrawn.")])
async def test_a_need_that_is_over_says_so(partner: Partner, status: str, words: str) -> None:
    _, answer = await partner.accepted(city(), need(status=status, deadline=in_days(-5)))
    assert words in (await partner.page(f"/needs/{answer['aggregate_id']}")).text


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_a_city_page_shows_its_needs_interests_and_function_to_contact(partner: Partner, language: str) -> None:
    answers = await partner.accepted(
        city(interests=["water.pumps"], population=2_190_000), need(), need("old", status="withdrawn")
    )
    page = (await partner.page(f"/needs/municipalities/{answers[0]['aggregate_id']}", language)).text
    expected = ["2,190,000"] + (["Energy desk", "withdrawn"] if language == "en" else ["エネルギー窓口", "取り下げ"])
    assert [word for word in expected if word not in page] == []
    assert "energy@haiphong.example" not in page


@pytest.mark.parametrize("address", ["/needs/nothing", "/needs/%00", "/needs/municipalities/0000", f"/needs/{NOWHERE}"])
async def test_what_is_not_there_is_a_page_that_says_so(partner: Partner, address: str) -> None:
    page = await partner.page(address)
    assert page.status_code == 404
    assert "<html" in page.text


async def test_texts_that_look_like_markup_are_shown_as_they_are(partner: Partner) -> None:
    _, answer = await partner.accepted(city(), need(title={"en": "<script>alert(1)</script>"}))
    for address in ("/needs", f"/needs/{answer['aggregate_id']}"):
        page = (await partner.page(address)).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


async def test_machines_read_needs_exactly_and_go_on_with_the_cursor(partner: Partner) -> None:
    await partner.accepted(city(), *(need(f"n{n}", quantity="0.1") for n in range(5)))
    seen: list[str] = []
    more = ""
    while more is not None:
        response = await partner.page(f"/api/needs/v1/needs?limit=2&technology=lighting&cursor={more}")
        assert '"quantity":0.1,' in response.text
        seen += [item["id"] for item in response.json()["items"]]
        more = response.json()["next"]
    assert len(seen) == len(set(seen)) == 5
    one = await partner.page(f"/api/needs/v1/needs/{seen[0]}")
    assert one.json()["id"] == seen[0]


async def test_machines_read_municipalities_without_addresses(partner: Partner) -> None:
    await partner.accepted(city())
    response = await partner.page("/api/needs/v1/municipalities?country=VN")
    (item,) = response.json()["items"]
    assert item["contacts"] == [{"function": {"en": "Energy desk", "ja": "エネルギー窓口"}, "languages": ["en"]}]


@pytest.mark.parametrize(
    "text",
    [
        "x", "%00", "AAAA", "é",
        # the year 1 on a clock that is ahead of UTC, which UTC cannot say
        cursor(Place(datetime.min.replace(tzinfo=timezone(timedelta(hours=9))), str(UUID(int=0)))),
    ],
)  # fmt: skip
async def test_a_cursor_that_is_not_ours_is_refused_in_words(partner: Partner, text: str) -> None:
    response = await partner.page(f"/api/needs/v1/needs?cursor={text}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["code"] == "cursor_not_readable"
