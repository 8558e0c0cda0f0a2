"""What nearly fits, the smallest change that would do, and who can make it."""

from typing import Any

import pytest

from matching.domain.gates import passes
from matching.domain.near_misses import near_miss, near_misses, what_blocks
from matching.domain.shortlist import judge
from matching.domain.words import say
from tests.matching.pairs import DIMMING, EFFICACY, NOW, need, offering

S = "\u00a0"
MUST = {**EFFICACY, "mandatory": True}

CASES: list[tuple[str, dict[str, Any], dict[str, Any], str, str, str, str, str]] = [
    (
        "country",
        {},
        {"countries_served": ["JP"]},
        "company",
        "Vietnam is not among its countries.",
        "The company adds Vietnam to its countries of interest",
        "ベトナムが納入先にも関心国にもありません。",
        "会社が関心国にベトナムを加える",
    ),
    (
        "a number that is too small",
        {"requirements": [MUST]},
        {"attributes": [{"name": "efficacy", "value": 120, "unit": "lm/W"}]},
        "city",
        f"Asked for efficacy: at least 150{S}lm/W; stated 120{S}lm/W.",
        f"Ask for 120{S}lm/W instead of 150{S}lm/W",
        f"efficacy：150{S}lm/W以上の条件に対し、120{S}lm/Wです。",
        f"条件を150{S}lm/Wから120{S}lm/Wに変える",
    ),
    (
        "not stated",
        {"requirements": [MUST]},
        {"attributes": []},
        "company",
        "It does not state “efficacy”.",
        f"The company states efficacy: at least 150{S}lm/W would do",
        "「efficacy」の記載がありません。",
        f"会社がefficacyを記載する（150{S}lm/W以上なら合います）",
    ),
    (
        "stated in another unit",
        {"requirements": [MUST]},
        {"attributes": [{"name": "efficacy", "value": 200, "unit": "lm"}]},
        "company",
        "It does not state “efficacy”.",
        f"The company states efficacy: at least 150{S}lm/W would do",
        "「efficacy」の記載がありません。",
        f"会社がefficacyを記載する（150{S}lm/W以上なら合います）",
    ),
    (
        "another text",
        {"requirements": [{**DIMMING, "mandatory": True}]},
        {"attributes": [{"name": "dimming", "value": "0-10 V"}]},
        "city",
        "Asked for dimming: DALI; stated 0-10 V.",
        "Accept 0-10 V for dimming too",
        "dimming：DALIの条件に対し、0-10 Vです。",
        "dimmingに0-10 Vも認める",
    ),
    (
        "late",
        {},
        {"lead_time_days": 170},
        "city",
        f"Needs 170{S}days: 29 too many.",
        f"Move delivery to 13{S}May{S}2027",
        "納入に170日かかり、期限を29日過ぎます。",
        "納期を2027年5月13日に延ばす",
    ),
    (
        "too few",
        {},
        {"minimum_order": 8000},
        "city",
        f"Its smallest order is 8,000{S}lamps.",
        f"Order 4,400{S}lamps more together",
        "最小注文は8,000灯です。",
        "あと4,400灯を合わせて注文する",
    ),
    (
        "too many",
        {},
        {"maximum_order": 500},
        "city",
        f"Its largest order is 500{S}lamps.",
        f"Order 500{S}lamps of it, and the rest elsewhere",
        "最大注文は500灯です。",
        "500灯をここに、残りを別に注文する",
    ),
]


@pytest.mark.parametrize(("_", "of_need", "of_offering", "who", "obstacle", "change", "obstacle_ja", "change_ja"), CASES)
def test_the_smallest_change_is_named_and_would_do(
    _: str,
    of_need: dict[str, Any],
    of_offering: dict[str, Any],
    who: str,
    obstacle: str,
    change: str,
    obstacle_ja: str,
    change_ja: str,
) -> None:
    miss = near_miss(need(**of_need), offering(**of_offering), NOW)
    assert miss is not None
    assert miss.change.who == who
    assert say(miss.obstacle.en, miss.values, "en") == obstacle
    assert say(miss.change.what.en, miss.change.values, "en") == change
    assert say(miss.obstacle.ja, miss.values, "ja") == obstacle_ja
    assert say(miss.change.what.ja, miss.change.values, "ja") == change_ja
    after = judge(miss.change.need, miss.change.offering, NOW)
    assert after is not None and after.rank.score == miss.score_after
    before = judge(need(**of_need), offering(**of_offering), NOW)
    assert before is None or before.rank.score < miss.score_after


def test_what_fits_well_is_no_near_miss() -> None:
    assert near_miss(need(), offering(), NOW) is None
    assert near_miss(need(), offering(lead_time_days=142), NOW) is None  # one day late costs little


def test_two_failed_gates_are_no_near_miss() -> None:
    both = {"countries_served": ["JP"], "attributes": []}
    assert near_miss(need(requirements=[MUST]), offering(**both), NOW) is None


@pytest.mark.parametrize("lost", [{"status": "closed"}, {"deadline": "2026-11-23"}])
def test_a_need_that_is_over_has_no_near_misses(lost: dict[str, Any]) -> None:
    assert near_miss(need(**lost), offering(), NOW) is None


def test_the_best_after_the_change_come_first() -> None:
    far = offering(id="b", countries_served=["JP"], lead_time_days=None)
    near = offering(id="c", countries_served=["JP"])
    same = offering(id="a", countries_served=["JP"])
    assert [miss.offering.id for miss in near_misses(need(), [far, near, same, offering()], NOW, 3)] == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("of_need", "of_offerings", "en", "ja"),
    [
        (
            {},
            [],
            "No company offers anything in this field and unit yet.",
            "この分野と単位で登録された技術・製品はまだありません。",
        ),
        (
            {},
            [{"countries_served": ["JP"]}, {"countries_served": ["TH"]}],
            "2 of 2 offerings of this field do not name Vietnam among their countries.",
            "この分野の2件のうち2件は、納入先・関心国にベトナムを挙げていません。",
        ),
        (
            {"requirements": [MUST]},
            [{"attributes": []}, {"attributes": [], "countries_served": ["JP"]}, {"countries_served": ["JP"], "attributes": []}],
            f"3 of 3 offerings of this field do not meet or state “efficacy: at least 150{S}lm/W”.",
            f"この分野の3件のうち3件は、「efficacy：150{S}lm/W以上」を満たすという記載がありません。",
        ),
        ({"status": "closed"}, [{}], "The need is no longer open.", "このニーズは受付を終えています。"),
        ({"deadline": "2026-11-23"}, [{}], "The deadline has passed.", "期限を過ぎています。"),
    ],
)
def test_a_need_without_proposals_says_what_blocks_it_most(
    of_need: dict[str, Any], of_offerings: list[dict[str, Any]], en: str, ja: str
) -> None:
    blocking = what_blocks(need(**of_need), [offering(**one) for one in of_offerings], NOW)
    assert say(blocking.reason.en, blocking.values, "en") == en
    assert say(blocking.reason.ja, blocking.values, "ja") == ja


def test_every_change_makes_the_pair_pass() -> None:
    for _, of_need, of_offering, *_rest in CASES:
        miss = near_miss(need(**of_need), offering(**of_offering), NOW)
        assert miss is not None and passes(miss.change.need, miss.change.offering, NOW)
