"""Which technology a text speaks of: by letters alone, as everybody has it."""

import json
import random
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.suggesting import count, needs
from common.vocabulary import technologies
from matching.suggesting.confidence import COUNTED, Band, band
from matching.suggesting.letters import LONGEST, Read, folded, read
from matching.suggesting.near import Near
from matching.suggesting.suggester import Suggester, Suggestion
from matching.suggesting.taxonomy import all_names, own_names

SUGGESTER = Suggester(all_names())
DATA = Path(__file__).parents[3] / "shared" / "data"
WORDS = st.sampled_from([name for names in own_names().values() for name in names])
ANYTHING = st.text(alphabet=st.characters(exclude_categories=()), max_size=80)


def suggested(text: str) -> list[Suggestion]:
    return SUGGESTER.suggest(text)


def first(text: str) -> str:
    return suggested(text)[0].code


@pytest.mark.parametrize(
    ("text", "technology"),
    [
        ("空調", "building.hvac"),
        ("エアコン", "building.hvac"),
        ("HVAC", "building.hvac"),
        ("庁舎の老朽化したエアコンを省エネ型へ", "building.hvac"),
        ("商店街の街灯をLEDに取り替えたい", "lighting.street_led"),
        ("We want to replace our street lights", "lighting.street_led"),
        ("体育館の水銀灯に代わる高天井照明", "lighting.indoor_led"),
        ("battery buses for the city's routes", "transport.electric_bus"),
        ("小中学校の屋根に太陽光パネル", "energy.solar_pv"),
        ("ごみ収集車を電気に", "transport.refuse_truck"),
        ("water leaking from old pipes", "water.leak"),
        ("窓", "building.windows"),
    ],
)
def test_a_technology_is_found_by_the_words_that_people_use(text: str, technology: str) -> None:
    assert first(text) == technology


def test_a_word_for_a_whole_group_points_at_all_of_it_and_at_none_for_sure() -> None:
    found = suggested("照明")
    assert {one.code.split(".")[0] for one in found[:5]} == {"lighting"}
    assert all(one.confidence.band is not Band.LIKELY for one in found)


@given(WORDS)
def test_every_name_and_alias_leads_to_what_it_names(word: str) -> None:
    named = {code for code, names in own_names().items() if word in names}
    assert named & {one.code for one in suggested(word)[:3]}


def test_a_code_of_the_procurement_vocabulary_is_a_name() -> None:
    assert first("Lot 1, 34928530-2") == "lighting.street_led"
    assert {"building.retrofit_esco", "building.bems", "industry.fems"} == {one.code for one in suggested("71314200-4")[:3]}


@given(st.text(max_size=60) | WORDS)
def test_full_and_half_width_letters_are_the_same(text: str) -> None:
    wide = "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)
    assert suggested(wide) == suggested(text) == suggested(unicodedata.normalize("NFKC", text))


@pytest.mark.parametrize(
    "same", [("ＬＥＤ防犯灯", "led防犯灯"), ("ｴｱｺﾝ", "エアコン"), ("インバータ", "インバーター"), ("CAFÉ fan", "cafe fan")]
)
def test_what_people_write_in_two_ways_is_read_as_one(same: tuple[str, str]) -> None:
    assert suggested(same[0]) == suggested(same[1])


@given(st.lists(WORDS, min_size=2, max_size=5))
def test_the_order_of_words_does_not_matter(words: list[str]) -> None:
    assert suggested(" / ".join(words)) == suggested(" / ".join(reversed(words)))


@given(ANYTHING)
def test_whatever_is_typed_suggestions_are_ordered_explained_and_add_up(text: str) -> None:
    found = suggested(text)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len({one.code for one in found}) == len(found) <= 10
    assert sum(one.share for one in found) <= 1
    for one in found:
        assert one.score > 0
        assert one.confidence.band is band(one.share)
        assert all(0.3 <= word.share <= 1 for word in one.words)
        assert {word.word for word in one.words} <= set(all_names()[one.code])


@pytest.mark.parametrize("text", ["", "   \n", "!?。、", "the of and", "\0", "\ud800", "🚲", "การขนส่ง", "ネコ"])
def test_a_text_that_names_nothing_gets_nothing_that_is_likely(text: str) -> None:
    assert all(one.confidence.band is Band.WEAK for one in suggested(text))


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "'; drop table need; --", "{{ 7 * 7 }}", "../../etc/passwd", "%s%n\x00"]
)
def test_hostile_text_is_only_text(text: str) -> None:
    assert [one for one in suggested(text) if one.confidence.band is Band.LIKELY] == []
    assert first(text + " 街灯") == "lighting.street_led"


def test_a_text_of_ten_thousand_letters_is_read_quickly_and_a_longer_one_up_to_there() -> None:
    vocabulary = [name for names in all_names().values() for name in names]
    text = " ".join(random.Random(1).choices(vocabulary, k=2000))[:LONGEST]
    begun = time.process_time()
    found = suggested(text)
    assert time.process_time() - begun < 1
    assert len(found) == 10
    assert suggested(text + "街灯" * 1000) == found


def test_letters_of_two_scripts_side_by_side_are_read_each_in_its_way() -> None:
    assert read("PPA方式") == Read(frozenset({"方式"}), frozenset("方式"), frozenset({"ppa"}))
    assert suggested("LED街路灯") == suggested("LED 街路灯") == suggested("街路灯LED")


def test_folding_keeps_what_makes_a_letter_another_letter() -> None:
    assert folded("がガｶﾞ") == "がガガ"
    assert folded("Đèn ĐƯỜNG") == folded("đèn đường")
    assert folded("ßX") == "ssx"


def test_meaning_leads_where_no_word_is_shared_and_words_still_count() -> None:
    near = {code: Near(0.75 + 0.01 * (n % 10), names[0]) for n, (code, names) in enumerate(own_names().items())}
    near["water.leak"] = Near(0.9, "漏水")
    found = SUGGESTER.suggest("ぬれた道", near)
    assert (found[0].code, found[0].near) == ("water.leak", "漏水")
    assert SUGGESTER.suggest("街灯と道路照明とLED防犯灯", near)[0].code == "lighting.street_led"
    assert SUGGESTER.suggest("", near) == []


def test_no_alias_names_two_technologies() -> None:
    named: dict[str, str] = {}
    for one in technologies().values():
        for alias in (*one.names.values(), *one.aliases):
            assert named.setdefault(folded(alias), one.code) == one.code, alias


@pytest.mark.skipif(not (DATA / "real_needs.json").exists(), reason="the published needs are not beside this checkout")
def test_the_confidence_that_is_told_is_what_is_counted_on_published_needs() -> None:
    assert count(SUGGESTER, None, needs(DATA)) == COUNTED[False]
    assert json.loads((DATA / "real_needs.json").read_text())["count"] >= len(needs(DATA))
