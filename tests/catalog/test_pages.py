"""What somebody reads of companies, offerings and exchange rates, in pages and as JSON."""

import re

import pytest

from tests.catalog.test_submissions import rate
from tests.partner import Partner
from tests.partner_events import company, offering

NOWHERE = f"{'0' * 8}-0000-0000-0000-{'0' * 12}"


def count_of_offerings(html: str) -> str:
    found = re.search(r'data-count="offerings">([\d,]+)<', html)
    assert found
    return found.group(1)


@pytest.mark.parametrize(("language", "words"), [("en", "No offerings yet."), ("ja", "技術・製品はまだありません。")])
async def test_the_list_says_why_it_is_empty(partner: Partner, language: str, words: str) -> None:
    page = await partner.page("/catalog", language)
    assert page.status_code == 200
    assert words in page.text
    assert count_of_offerings(page.text) == "0"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Akari Road 60", "Akari Works", "Japan", "USD\u00a0420 to USD\u00a0360", "90\u00a0days", ">example<"]),
        ("ja", ["あかりロード60", "あかり製作所", "日本", "420米ドルから360米ドル", "90日", ">例<"]),
    ],
)
async def test_the_list_shows_an_offering_in_the_reader_s_language(partner: Partner, language: str, words: list[str]) -> None:
    await partner.accepted(company(), offering())
    page = await partner.page("/catalog", language)
    assert [word for word in words if word not in page.text] == []
    assert count_of_offerings(page.text) == "1"


async def test_filters_narrow_by_technology_and_by_the_country_of_delivery(partner: Partner) -> None:
    pump = {
        "names": {"en": "A pump"}, "technologies": ["water.pumps"], "unit": "unit", "countries_served": ["JP", "VN"],
        "prices": None, "attributes": [],
    }  # fmt: skip
    await partner.accepted(company(), offering("lamp"), offering("pump", **pump))
    for query, titles in (
        ("technology=water", ["A pump"]),
        ("country=TH", ["Akari Road 60"]),
        ("country=VN", ["A pump", "Akari Road 60"]),
        ("country=VN&technology=lighting.street_led&status=listed", ["Akari Road 60"]),
        ("status=withdrawn", []),
    ):
        page = (await partner.page(f"/catalog?{query}")).text
        assert sorted(re.findall(r"<h3><a[^>]*>([^<]*)</a>", page)) == titles, query
        assert count_of_offerings(page) == "2"


async def test_a_status_that_means_nothing_finds_nothing(partner: Partner) -> None:
    assert (await partner.page("/catalog?status=nonesuch")).status_code == 200


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_an_offering_s_page_shows_prices_by_quantity_with_a_chart(partner: Partner, language: str) -> None:
    _, answer = await partner.accepted(
        company(), offering(source="https://prices.example/led", certificates=["IEC 60598"], standards=["TCVN 7722"])
    )
    page = (await partner.page(f"/catalog/{answer['aggregate_id']}", language)).text
    for words in ("150&nbsp;lm/W", "IEC 60598", "TCVN 7722", "https://prices.example/led", '<svg class="chart"'):
        assert words in page
    rows = ["1,000–2,999\u00a0lamps", "3,000\u00a0lamps or more"] if language == "en" else ["1,000–2,999灯", "3,000灯以上"]
    assert [row for row in rows if row not in page] == []


async def test_one_price_is_a_table_without_a_chart_and_no_price_says_how_to_get_one(partner: Partner) -> None:
    one = {"currency": "JPY", "tiers": [{"quantity": 1, "unit_price": 28_000}]}
    _, single, none = await partner.accepted(company(), offering("one", prices=one), offering("none", prices=None))
    page = (await partner.page(f"/catalog/{single['aggregate_id']}")).text
    assert "JPY\u00a028,000" in page
    assert '<svg class="chart"' not in page
    assert "Ask the company for a quotation." in (await partner.page(f"/catalog/{none['aggregate_id']}")).text


async def test_a_withdrawn_offering_says_so(partner: Partner) -> None:
    _, answer = await partner.accepted(company(), offering(status="withdrawn"))
    assert "This offering was withdrawn." in (await partner.page(f"/catalog/{answer['aggregate_id']}")).text
    assert "withdrawn" in (await partner.page("/catalog")).text


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_a_green_page_shows_what_the_company_offers_and_that_it_is_invented(partner: Partner, language: str) -> None:
    answer, _ = await partner.accepted(company(), offering())
    page = (await partner.page(f"/catalog/companies/{answer['aggregate_id']}", language)).text
    expected = ["This company does not exist.", "Export desk"] if language == "en" else ["この企業は実在しません。", "輸出窓口"]
    assert [words for words in expected if words not in page] == []
    assert "export@akari.example" not in page


@pytest.mark.parametrize("address", ["/catalog/%00", f"/catalog/{NOWHERE}", f"/catalog/companies/{NOWHERE}"])
async def test_what_is_not_there_is_a_page_that_says_so(partner: Partner, address: str) -> None:
    page = await partner.page(address)
    assert page.status_code == 404
    assert "<html" in page.text


async def test_machines_read_offerings_exactly_and_go_on_with_the_cursor(partner: Partner) -> None:
    await partner.accepted(company(), *(offering(f"o{n}", minimum_order="0.25") for n in range(5)))
    seen: list[str] = []
    more = ""
    while more is not None:
        response = await partner.page(f"/api/catalog/v1/offerings?limit=2&country=ID&cursor={more}")
        assert '"minimum_order":0.25,' in response.text
        seen += [item["id"] for item in response.json()["items"]]
        more = response.json()["next"]
    assert len(seen) == len(set(seen)) == 5
    assert (await partner.page(f"/api/catalog/v1/offerings/{seen[0]}")).json()["id"] == seen[0]


async def test_machines_read_companies_without_addresses_and_the_newest_rates(partner: Partner) -> None:
    await partner.accepted(company(), rate(25_000, days_ago=2), rate(25_400), rate(150, currency="JPY"))
    (item,) = (await partner.page("/api/catalog/v1/companies")).json()["items"]
    assert [set(contact) for contact in item["contacts"]] == [{"function", "languages"}]
    rates = (await partner.page("/api/catalog/v1/exchange-rates")).json()["items"]
    assert [(r["currency"], r["per_usd"]) for r in rates] == [("JPY", 150), ("VND", 25_400)]
