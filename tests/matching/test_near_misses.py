"""What nearly fits, the smallest change that would do, and who can make it."""

from typing import Any

import pytest

from bench.workload import World
from matching.domain.blocking import what_blocks
from matching.domain.changes import Said
from matching.domain.gates import passes
from matching.domain.near_misses import near_miss, near_misses
from matching.domain.shortlist import judge
from matching.domain.sides import Need, Offering
from matching.domain.words import say
from tests.matching.pairs import DIMMING, EFFICACY, NOW, circumstances_of, need, offering

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
        f"efficacy：150{S}lm/W以上の条件に対し、記載は120{S}lm/Wです。",
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
        f"It states “efficacy” as 200{S}lm, which is not in the unit asked for (lm/W).",
        f"The company states efficacy: at least 150{S}lm/W would do",
        f"「efficacy」の記載は200{S}lmで、希望の単位（lm/W）ではありません。",
        f"会社がefficacyを記載する（150{S}lm/W以上なら合います）",
    ),
    (
        "the nearest of several values",
        {"requirements": [MUST]},
        {"attributes": [{"name": "efficacy", "value": value, "unit": "lm/W"} for value in (90, 140, 120)]},
        "city",
        f"Asked for efficacy: at least 150{S}lm/W; stated 140{S}lm/W.",
        f"Ask for 140{S}lm/W instead of 150{S}lm/W",
        f"efficacy：150{S}lm/W以上の条件に対し、記載は140{S}lm/Wです。",
        f"条件を150{S}lm/Wから140{S}lm/Wに変える",
    ),
    (
        "both ends of one attribute that is not stated",
        {"requirements": [{**MUST, "value": 100}, {**MUST, "op": "<=", "value": 200}]},
        {"attributes": []},
        "company",
        "It does not state “efficacy”.",
        f"The company states efficacy: at least 100{S}lm/W and at most 200{S}lm/W would do",
        "「efficacy」の記載がありません。",
        f"会社がefficacyを記載する（100{S}lm/W以上かつ200{S}lm/W以下なら合います）",
    ),
    (
        "another text",
        {"requirements": [{**DIMMING, "mandatory": True}]},
        {"attributes": [{"name": "dimming", "value": "0-10 V"}]},
        "city",
        "Asked for dimming: DALI; stated 0-10 V.",
        "Accept 0-10 V for dimming too",
        "dimming：DALIの条件に対し、記載は0-10 Vです。",
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
        f"Order 4,400{S}lamps more, together with others",
        "最小注文は8,000灯です。",
        "あと4,400灯をほかの自治体と合わせて注文する",
    ),
    (
        "too many",
        {},
        {"maximum_order": 500},
        "city",
        f"Its largest order is 500{S}lamps.",
        f"Order 500{S}lamps here, and the rest elsewhere",
        "最大注文は500灯です。",
        "500灯をここに、残りを別に注文する",
    ),
]


def english(said: Said) -> str:
    return say(said.reason.en, said.values, "en")


def japanese(said: Said) -> str:
    return say(said.reason.ja, said.values, "ja")


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
    (only,) = miss.changes
    assert only.who == who
    assert (english(only.obstacle), english(only.what)) == (obstacle, change)
    assert (japanese(only.obstacle), japanese(only.what)) == (obstacle_ja, change_ja)
    after = judge(miss.mended.need, miss.mended.offering, NOW)
    assert after is not None and after.rank.score == miss.score_after
    before = judge(need(**of_need), offering(**of_offering), NOW)
    assert before is None or before.rank.score < miss.score_after


def test_what_fits_well_is_no_near_miss() -> None:
    assert near_miss(need(), offering(), NOW) is None
    assert near_miss(need(), offering(lead_time_days=142), NOW) is None  # one day late costs little


def test_two_failed_gates_name_a_change_each_and_the_score_after_both() -> None:
    both = offering(countries_served=["JP"], attributes=[{"name": "efficacy", "value": 120, "unit": "lm/W"}])
    miss = near_miss(need(requirements=[MUST]), both, NOW)
    assert miss is not None
    assert [(english(one.what), one.who) for one in miss.changes] == [
        ("The company adds Vietnam to its countries of interest", "company"),
        (f"Ask for 120{S}lm/W instead of 150{S}lm/W", "city"),
    ]
    after = judge(miss.mended.need, miss.mended.offering, NOW)
    assert after is not None and after.rank.score == miss.score_after


def test_what_is_late_and_sold_only_in_larger_orders_names_both_changes() -> None:
    miss = near_miss(need(), offering(lead_time_days=170, minimum_order=8000), NOW)
    assert miss is not None
    assert [english(one.what) for one in miss.changes] == [
        f"Order 4,400{S}lamps more, together with others",
        f"Move delivery to 13{S}May{S}2027",
    ]


def test_whoever_orders_more_keeps_the_budget_for_one_unit() -> None:
    miss = near_miss(need(), offering(minimum_order=8000), NOW)
    assert miss is not None
    assert (miss.mended.need.budget, miss.mended.need.unit_budget) == (8000 * 195, 195)


def test_three_failed_gates_are_no_near_miss() -> None:
    three = {"countries_served": ["JP"], "attributes": []}
    mandatory = [MUST, {**DIMMING, "mandatory": True}]
    assert near_miss(need(requirements=mandatory), offering(**three), NOW) is None


def test_limits_that_no_value_meets_are_no_near_miss() -> None:
    impossible = [{**MUST, "value": 200}, {**MUST, "op": "<=", "value": 100}]
    assert near_miss(need(requirements=impossible), offering(attributes=[]), NOW) is None
    nothing = {"attribute": "dimming", "op": "in", "value": [], "mandatory": True}
    assert near_miss(need(requirements=[nothing]), offering(attributes=[]), NOW) is None
    blocked = what_blocks(need(requirements=[nothing]), [offering()], NOW)
    assert "“dimming: no value accepted”: 1 of 1" in say(blocked.reason.en, blocked.values, "en")
    assert "「dimming：認める値なし」" in say(blocked.reason.ja, blocked.values, "ja")


@pytest.mark.parametrize("lost", [{"status": "closed"}, {"deadline": "2026-11-23"}])
def test_a_need_that_is_over_has_no_near_misses(lost: dict[str, Any]) -> None:
    assert near_miss(need(**lost), offering(), NOW) is None


def test_fewer_changes_come_first_and_then_the_best_after_them() -> None:
    two = offering(id="0", countries_served=["JP"], attributes=[])
    far = offering(id="b", countries_served=["JP"], lead_time_days=None)
    near = offering(id="c", countries_served=["JP"])
    same = offering(id="a", countries_served=["JP"])
    everything = [two, far, near, same, offering()]
    asked = need(requirements=[{**DIMMING, "mandatory": True}])
    assert [miss.offering.id for miss in near_misses(asked, everything, NOW, 9)] == ["a", "c", "b", "0"]
    assert [miss.offering.id for miss in near_misses(asked, everything, NOW, 3)] == ["a", "c", "b"]
    assert near_misses(asked, everything, NOW, 0) == []


@pytest.mark.parametrize("seed", range(6))
def test_leaving_out_early_leaves_out_nothing_that_belongs(seed: int) -> None:
    world = World(seed=seed, technologies=2, countries=4)
    now = circumstances_of(world)
    offerings = [Offering.of(world.offering()) for _ in range(150)]
    for asked in [Need.of(world.need()) for _ in range(12)]:
        every = [miss for one in offerings if (miss := near_miss(asked, one, now))]
        assert near_misses(asked, offerings, now, 5) == sorted(every, key=lambda miss: miss.nearness)[:5]
        for miss in every:
            assert passes(miss.mended.need, miss.mended.offering, now)
            assert 1 <= len(miss.changes) <= 2


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
            [{"technologies": ["water.pumps"], "unit": "unit"}, {"status": "withdrawn"}],
            "No company offers anything in this field and unit yet.",
            "この分野と単位で登録された技術・製品はまだありません。",
        ),
        (
            {},
            [{"countries_served": ["JP"]}, {"countries_served": ["TH"]}],
            "Offerings of this field that do not name Vietnam among their countries: 2 of 2.",
            "この分野の2件のうち2件は、納入先・関心国にベトナムを挙げていません。",
        ),
        (
            {"requirements": [MUST]},
            [{"attributes": []}, {"attributes": [], "countries_served": ["JP"]}, {"countries_served": ["JP"], "attributes": []}],
            f"Offerings of this field that do not meet or do not state “efficacy: at least 150{S}lm/W”: 3 of 3.",
            f"この分野の3件のうち3件は、「efficacy：150{S}lm/W以上」を満たすという記載がありません。",
        ),
        ({"status": "closed"}, [{}], "The need is no longer open.", "このニーズは受付を終えています。"),
        ({"deadline": "2026-11-23"}, [{}], "The deadline has passed.", "期限を過ぎています。"),
        ({}, [{}], "Nothing blocks it.", "妨げているものはありません。"),
    ],
)
def test_a_need_without_proposals_says_what_blocks_it_most(
    of_need: dict[str, Any], of_offerings: list[dict[str, Any]], en: str, ja: str
) -> None:
    blocking = what_blocks(need(**of_need), [offering(**one) for one in of_offerings], NOW)
    assert (english(blocking), japanese(blocking)) == (en, ja)


def test_every_change_makes_the_pair_pass() -> None:
    for _, of_need, of_offering, *_rest in CASES:
        miss = near_miss(need(**of_need), offering(**of_offering), NOW)
        assert miss is not None and passes(miss.mended.need, miss.mended.offering, NOW)
