"""Where people and machines meet suggested technologies."""

import re

import pytest

from common.access.permissions import Role
from matching.suggestions import LONGEST_TEXT
from tests.matching.running import Site, words_of

API = "/api/matching/v1/technologies"
PAGE = "/matching/technologies"


async def test_machines_get_codes_names_confidence_and_the_words_that_matched(site: Site) -> None:
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    answer = (await office.get(API, params={"text": "商店街の街灯を取り替えたい", "language": "ja"})).json()
    assert answer["counted_on"] == {"published_needs": 73}
    best = answer["items"][0]
    assert best["technology"] == "lighting.street_led"
    assert best["names"] == {"en": "LED street lighting", "ja": "LED街路灯"}
    assert best["unit"] == "lamp"
    assert {"word": "街灯", "share": 1.0} in best["words"]
    assert best["confidence"]["band"] == "likely"
    n = round(10 * best["confidence"]["right"] / best["confidence"]["of"])
    assert best["confidence"]["said"] == f"同程度の候補は、およそ10件に{n}件が正解でした。"
    english = (await office.get(API, params={"text": "街灯", "language": "en"})).json()
    assert english["items"][0]["confidence"]["said"] == f"About {n} in 10 like this were right."


async def test_a_weak_suggestion_says_that_hardly_any_like_it_was_right(site: Site) -> None:
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    answer = (await office.get(API, params={"text": "調理器具", "language": "en"})).json()
    assert answer["items"]
    assert {one["confidence"]["said"] for one in answer["items"]} == {"Fewer than 1 in 10 like this were right."}


async def test_a_text_of_nothing_gets_nothing_and_too_long_a_one_is_refused_with_its_length(site: Site) -> None:
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    assert (await office.get(API, params={"text": " "})).json()["items"] == []
    assert (await office.get(API, params={"text": "灯" * LONGEST_TEXT})).status_code == 200
    refused = await office.get(API, params={"text": "灯" * (LONGEST_TEXT + 1)})
    assert refused.status_code == 422
    assert str(LONGEST_TEXT) in refused.text
    assert "text" in refused.text


async def test_people_see_suggestions_with_why_in_their_language(site: Site) -> None:
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    asked = {"text": "庁舎のエアコンを省エネ型へ"}
    english = words_of((await office.get(PAGE, params=asked)).text)
    for expected in (
        "High-efficiency air conditioning",
        "In the text: エアコン, 庁舎.",
        "likely About 9 in 10 like this were right.",
    ):
        assert expected in english
    japanese = words_of((await office.get(PAGE, params={**asked, "lang": "ja"})).text)
    for expected in ("高効率空調", "文中の言葉：エアコン、庁舎。", "有力 同程度の候補は、およそ10件に9件が正解でした。"):
        assert expected in japanese


async def test_the_page_without_a_text_is_only_the_form_and_one_without_a_find_says_so(site: Site) -> None:
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    empty = (await office.get(PAGE)).text
    assert 'id="suggestions"' not in empty
    assert re.search(r'<label for="text">What is needed</label>', empty)
    assert "Nothing recognised." in (await office.get(PAGE, params={"text": "?!"})).text


async def test_the_part_alone_can_stand_in_another_page(site: Site) -> None:
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    part = (await office.get(f"{PAGE}/suggestions", params={"text": "heat pump"})).text
    assert "<html" not in part
    assert part.lstrip().startswith('<section class="sec" id="suggestions"')
    assert 'data-technology="building.heat_pump"' in part


async def test_what_was_typed_is_shown_as_text_and_never_as_markup(site: Site) -> None:
    office = await site.reader(Role.OFFICE, "jetro-hanoi")
    page = (await office.get(PAGE, params={"text": "</textarea><script>alert('街灯')</script>"})).text
    assert "<script" not in page
    assert "&lt;/textarea&gt;&lt;script&gt;" in page
    assert "LED street lighting" in page


@pytest.mark.parametrize("address", [API, PAGE, f"{PAGE}/suggestions"])
async def test_who_may_not_see_proposals_is_not_answered(site: Site, address: str) -> None:
    answer = await site.anyone().get(address, params={"text": "街灯"})
    assert answer.status_code in (303, 401, 403)
    assert "lighting.street_led" not in answer.text
