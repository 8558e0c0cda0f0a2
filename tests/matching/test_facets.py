"""Each facet by itself: its points, its reason, and its sentence in both languages."""

from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.workload import World
from matching.domain.facets import FACETS, POSSIBLE, WEIGHTS, version_of
from matching.domain.sides import Need, Offering
from matching.domain.words import sentences
from tests.matching.pairs import DIMMING, EFFICACY, NOW, circumstances_of, need, offering, priced

S = "\u00a0"


class Case(NamedTuple):
    facet: str
    reason: str
    points: int
    en: str
    ja: str
    need: dict[str, Any] = {}
    offering: dict[str, Any] = {}


PLAIN_EN, PLAIN_JA = f"USD{S}180 per lamp at 3,600{S}lamps (price tier 2)", "3,600灯の単価は180米ドル（価格の段階2）"
AVERAGE = priced("USD", (1, 200), (1200, 170), basis="incremental")
AVERAGE_EN = f"USD{S}180 per lamp on average for 3,600{S}lamps (price tier 2; each tier prices its own units)"
AVERAGE_JA = "3,600灯の平均単価は180米ドル（価格の段階2まで、段階ごとに計算）"
VND_EN = (
    f"VND{S}4,500,000 per lamp at 3,600{S}lamps (price tier 1), "
    f"about USD{S}180 (USD{S}1 = VND{S}25,000 on 20{S}Nov{S}2026, Example bank)"
)
VND_JA = (
    "3,600灯の単価は4,500,000ベトナムドン（価格の段階1）、"
    "およそ180米ドル（1米ドル＝25,000ベトナムドン、2026年11月20日、出典：Example bank）"
)
IDR_EN, IDR_JA = (
    f"IDR{S}2,700,000 per lamp at 3,600{S}lamps (price tier 1)",
    "3,600灯の単価は2,700,000インドネシアルピア（価格の段階1）",
)
JPY_BUDGET = {"budget": {"amount": 3600 * 29_250, "currency": "JPY"}}


def budget(unit: int) -> dict[str, Any]:
    return {"budget": {"amount": 3600 * unit, "currency": "USD"}}


def vnd(price: int) -> dict[str, Any]:
    return priced("VND", (1, price))


CASES = [
    Case("technology", "same_technology", 20, "Same class: LED street lighting.", "同じ分類「LED街路灯」です。"),
    Case(
        "technology",
        "same_group",
        8,
        "Both are Lighting: the need asks for LED street lighting, this is Tunnel LED lighting.",
        "どちらも「照明」ですが、希望は「LED街路灯」、こちらは「トンネルLED照明」です。",
        offering={"technologies": ["lighting.tunnel_led"]},
    ),
    Case(
        "technology",
        "other_group",
        0,
        "Another field than LED street lighting.",
        "「LED街路灯」とは別の分野です。",
        offering={"technologies": ["office.it"], "unit": "unit"},
    ),
    Case("country", "served", 15, "Delivers to Vietnam.", "ベトナムに納入しています。"),
    Case(
        "country",
        "of_interest",
        8,
        "Vietnam is a country of interest; it is not among those served yet.",
        "ベトナムを関心国に挙げています。納入先にはまだ入っていません。",
        offering={"countries_served": ["JP"], "countries_of_interest": ["VN"]},
    ),
    Case(
        "country",
        "not_reached",
        0,
        "Vietnam is neither served nor of interest.",
        "ベトナムは納入先にも関心国にもありません。",
        offering={"countries_served": ["JP"]},
    ),
    Case(
        "quantity",
        "within_orders",
        10,
        f"Its orders of 200 to 30,000 include 3,600{S}lamps.",
        "3,600灯は注文の範囲（200–30,000）に入ります。",
    ),
    Case(
        "quantity",
        "above_minimum",
        9,
        f"Its smallest order of 200 is reached with 3,600{S}lamps; a largest is not stated.",
        "3,600灯は最小注文200に届きます。最大注文の記載はありません。",
        offering={"maximum_order": None},
    ),
    Case(
        "quantity",
        "below_maximum",
        9,
        f"Its largest order of 30,000 is not exceeded by 3,600{S}lamps; a smallest is not stated.",
        "3,600灯は最大注文30,000を超えません。最小注文の記載はありません。",
        offering={"minimum_order": None},
    ),
    Case(
        "quantity",
        "no_limits",
        7,
        "The sizes of orders it takes are not stated.",
        "注文できる数量の範囲の記載がありません。",
        offering={"minimum_order": None, "maximum_order": None},
    ),
    Case(
        "quantity",
        "too_few",
        5,
        f"Its smallest order is 4,000{S}lamps: 400 more than the 3,600 asked for.",
        "最小注文は4,000灯で、希望の3,600より400多くなります。",
        offering={"minimum_order": 4000},
    ),
    Case(
        "quantity",
        "too_many",
        3,
        f"Its largest order is 1,800{S}lamps: 1,800 fewer than the 3,600 asked for.",
        "最大注文は1,800灯で、希望の3,600より1,800少なくなります。",
        offering={"maximum_order": 1800},
    ),
    Case(
        "price",
        "below_budget",
        16,
        f"{PLAIN_EN}; the budget is USD{S}195 per lamp, so 7% below.",
        f"{PLAIN_JA}。予算単価195米ドルより7%低くなります。",
    ),
    Case(
        "price",
        "below_budget_average",
        16,
        f"{AVERAGE_EN}; the budget is USD{S}195 per lamp, so 7% below.",
        f"{AVERAGE_JA}。予算単価195米ドルより7%低くなります。",
        offering=AVERAGE,
    ),
    Case(
        "price",
        "below_budget_converted",
        16,
        f"{VND_EN}; the budget is USD{S}195 per lamp, so 7% below.",
        f"{VND_JA}。予算単価195米ドルより7%低くなります。",
        offering=vnd(4_500_000),
    ),
    Case(
        "price",
        "below_budget_average_converted",
        16,
        f"VND{S}4,500,000 per lamp on average for 3,600{S}lamps (price tier 2; each tier prices its own units), "
        f"about JPY{S}27,000 "
        f"(USD{S}1 = VND{S}25,000 on 20{S}Nov{S}2026, Example bank, USD{S}1 = JPY{S}150 on 20{S}Nov{S}2026, Example bank); "
        f"the budget is JPY{S}29,250 per lamp, so 7% below.",
        "3,600灯の平均単価は4,500,000ベトナムドン（価格の段階2まで、段階ごとに計算）、およそ27,000円（1米ドル＝25,000ベトナムドン、2026年11月20日、"
        "出典：Example bank、1米ドル＝150円、2026年11月20日、出典：Example bank）。予算単価29,250円より7%低くなります。",
        JPY_BUDGET,
        priced("VND", (1, 5_000_000), (1200, 4_250_000), basis="incremental"),
    ),
    Case(
        "price",
        "on_budget",
        15,
        f"{PLAIN_EN}; just within the budget of USD{S}180 per lamp.",
        f"{PLAIN_JA}。予算単価180米ドルにちょうど収まります。",
        budget(180),
    ),
    Case(
        "price",
        "on_budget_average",
        15,
        f"{AVERAGE_EN}; just within the budget of USD{S}181 per lamp.",
        f"{AVERAGE_JA}。予算単価181米ドルにちょうど収まります。",
        budget(181),
        AVERAGE,
    ),
    Case(
        "price",
        "on_budget_converted",
        15,
        f"{VND_EN}; just within the budget of USD{S}180 per lamp.",
        f"{VND_JA}。予算単価180米ドルにちょうど収まります。",
        budget(180),
        vnd(4_500_000),
    ),
    Case(
        "price",
        "above_budget",
        7,
        f"{PLAIN_EN}; the budget is USD{S}164 per lamp, so 9% above.",
        f"{PLAIN_JA}。予算単価164米ドルより9%高くなります。",
        budget(164),
    ),
    Case(
        "price",
        "above_budget_average",
        0,
        f"{AVERAGE_EN}; the budget is USD{S}100 per lamp, so 80% above.",
        f"{AVERAGE_JA}。予算単価100米ドルより80%高くなります。",
        budget(100),
        AVERAGE,
    ),
    Case(
        "price",
        "above_budget_converted",
        14,
        f"{VND_EN}; the budget is USD{S}179 per lamp, so less than 1% above.",
        f"{VND_JA}。予算単価179米ドルより1%未満高くなります。",
        budget(179),
        vnd(4_500_000),
    ),
    Case(
        "price",
        "far_above_budget",
        0,
        f"{PLAIN_EN}; more than twice the budget of USD{S}89 per lamp.",
        f"{PLAIN_JA}。予算単価89米ドルの2倍を超えます。",
        budget(89),
    ),
    Case(
        "price",
        "far_above_budget",
        0,
        f"{PLAIN_EN}; more than twice the budget of USD{S}0 per lamp.",
        f"{PLAIN_JA}。予算単価0米ドルの2倍を超えます。",
        budget(0),
    ),
    Case(
        "price",
        "no_budget",
        10,
        f"{PLAIN_EN}; the need states no budget to compare it with.",
        f"{PLAIN_JA}。ニーズに予算の記載がないため、比べていません。",
        {"budget": None},
    ),
    Case(
        "price",
        "no_budget_average",
        10,
        f"{AVERAGE_EN}; the need states no budget to compare it with.",
        f"{AVERAGE_JA}。ニーズに予算の記載がないため、比べていません。",
        {"budget": None},
        AVERAGE,
    ),
    Case(
        "price",
        "no_rate",
        0,
        f"THB{S}6,000 per lamp at 3,600{S}lamps (price tier 1); "
        f"not compared with the budget in USD: no exchange rate for THB is known.",
        "3,600灯の単価は6,000タイバーツ（価格の段階1）。THBの為替レートがないため、USDの予算とは比べていません。",
        offering=priced("THB", (1, 6000)),
    ),
    Case(
        "price",
        "old_rate",
        0,
        f"{IDR_EN}; not compared with the budget in USD: the newest rate for IDR is of 19{S}Oct{S}2026, over 35 days old.",
        f"{IDR_JA}。IDRの最新の為替レートは2026年10月19日のもので35日を過ぎているため、USDの予算とは比べていません。",
        offering=priced("IDR", (1, 2_700_000)),
    ),
    Case("price", "no_price", 5, "No price is stated.", "価格の記載がありません。", offering={"prices": None}),
    Case("price", "no_price", 5, "No price is stated.", "価格の記載がありません。", {"budget": None}, {"prices": None}),
    Case(
        "price",
        "below_first_tier",
        5,
        f"Its prices begin at 5,000{S}lamps; for 3,600{S}lamps none is stated.",
        "価格の記載は5,000灯からで、3,600灯の価格はわかりません。",
        offering=priced("USD", (5000, 100)),
    ),
    Case(
        "price",
        "total_too_large",
        0,
        "Not compared: quantity times price is too large to be meant.",
        "数量と単価の積が大きすぎるため、比べていません。",
        {"quantity": 10**12},
        priced("USD", (1, 10**7)),
    ),
    Case(
        "lead_time",
        "in_time",
        8,
        f"120{S}days; 141{S}days remain until 14{S}Apr{S}2027: 21 to spare.",
        "120日で納入。期限（2027年4月14日）まで141日あり、21日の余裕があります。",
    ),
    Case(
        "lead_time",
        "in_time",
        9,
        f"100{S}days; 141{S}days remain until 14{S}Apr{S}2027: 41 to spare.",
        "100日で納入。期限（2027年4月14日）まで141日あり、41日の余裕があります。",
        offering={"lead_time_days": 100},
    ),
    Case(
        "lead_time",
        "in_time",
        10,
        f"60{S}days; 141{S}days remain until 14{S}Apr{S}2027: 81 to spare.",
        "60日で納入。期限（2027年4月14日）まで141日あり、81日の余裕があります。",
        offering={"lead_time_days": 60},
    ),
    Case(
        "lead_time",
        "late",
        1,
        f"170{S}days; 141{S}days remain until 14{S}Apr{S}2027: 29 too many.",
        "納入に170日かかり、期限（2027年4月14日、残り141日）を29日過ぎます。",
        offering={"lead_time_days": 170},
    ),
    Case(
        "lead_time",
        "lead_time_not_stated",
        4,
        "Its lead time is not stated.",
        "納期の記載がありません。",
        offering={"lead_time_days": None},
    ),
    Case(
        "specification",
        "all_met",
        12,
        f"All requirements met: efficacy 160{S}lm/W (asked: at least 150{S}lm/W); dimming ＤＡＬＩ (asked: DALI).",
        f"希望にすべて合います。efficacy 160{S}lm/W（希望は150{S}lm/W以上）、dimming ＤＡＬＩ（希望はDALI）。",
    ),
    Case(
        "specification",
        "nothing_asked",
        12,
        "The need asks for no particular specification.",
        "仕様についての希望はありません。",
        {"requirements": []},
    ),
    Case(
        "specification",
        "some_met",
        6,
        "Requirements met: 1 of 2. Not met: asked for dimming: DALI, stated 0-10 V.",
        "2項目のうち1項目が合います。dimming：DALIの希望に対し0-10 Vです。",
        offering={
            "attributes": [
                {"name": "efficacy", "value": 150, "unit": "lm/W"},
                {"name": "dimming", "value": "0-10 V"},
            ]
        },
    ),
    Case(
        "specification",
        "some_met",
        0,
        f"Requirements met: 0 of 2. Not met: asked for efficacy: at least 150{S}lm/W, stated 120{S}lm/W; "
        "asked for dimming: DALI, not stated.",
        f"2項目のうち0項目が合います。efficacy：150{S}lm/W以上の希望に対し120{S}lm/W、dimming：DALIの希望に対し記載なしです。",
        offering={"attributes": [{"name": "efficacy", "value": 120, "unit": "lm/W"}]},
    ),
    Case(
        "standards",
        "all_held",
        8,
        "States all that are welcome: IEC 60598 and TCVN 7722.",
        "希望のIEC 60598、TCVN 7722がすべて記載されています。",
    ),
    Case(
        "standards",
        "some_held",
        4,
        "States IEC 60598; TCVN 7722 not stated.",
        "IEC 60598は記載あり、TCVN 7722は記載がありません。",
        offering={"certificates": []},
    ),
    Case(
        "standards",
        "none_held",
        0,
        "Not stated: IEC 60598 and TCVN 7722.",
        "IEC 60598、TCVN 7722の記載がありません。",
        offering={"standards": [], "certificates": []},
    ),
    Case(
        "standards",
        "no_standard_asked",
        8,
        "The need names no standard or certificate.",
        "規格・証明についての希望はありません。",
        {"standards": []},
    ),
    Case("language", "shared", 5, "Works in Vietnamese.", "ベトナム語で対応します。"),
    Case(
        "language",
        "none_shared",
        0,
        "Works in Japanese and English; the city works in Vietnamese.",
        "対応言語は日本語、英語で、都市の言語（ベトナム語）は含まれません。",
        offering={"languages": ["ja", "en"]},
    ),
    Case(
        "language",
        "languages_not_stated",
        2,
        "Its languages are not stated.",
        "対応言語の記載がありません。",
        offering={"languages": []},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.facet}: {case.reason} ({case.points})")
def test_a_facet_earns_its_points_and_says_why(case: Case) -> None:
    facet = next(one for one in FACETS if one.name == case.facet)
    earned = facet.earn(need(**case.need), offering(**case.offering), NOW)
    assert (earned.reason.code, earned.points) == (case.reason, case.points)
    assert sentences(earned.reason, earned.values) == {"en": case.en, "ja": case.ja}


def test_every_kind_of_reason_has_a_case() -> None:
    shown = {(case.facet, case.reason.removesuffix("_converted").removesuffix("_average")) for case in CASES}
    declared = {
        (facet.name, reason.code.removesuffix("_converted").removesuffix("_average"))
        for facet in FACETS
        for reason in facet.reasons
    }
    assert shown == declared


def test_the_facets_make_a_hundred_points_together() -> None:
    assert POSSIBLE == 100
    assert [(facet.name, facet.possible) for facet in FACETS] == [
        ("technology", 20),
        ("country", 15),
        ("quantity", 10),
        ("price", 20),
        ("lead_time", 10),
        ("specification", 12),
        ("standards", 8),
        ("language", 5),
    ]


def test_other_points_are_another_version() -> None:
    first, *rest = FACETS
    reason, *others = first.reasons
    assert version_of(FACETS) == WEIGHTS
    assert version_of([replace(first, steps=((1, 2),)), *rest]) != WEIGHTS
    assert version_of([replace(first, reasons=(reason._replace(points=19), *others)), *rest]) != WEIGHTS


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_points_are_whole_and_never_more_than_declared(seed: int) -> None:
    world = World(seed=seed, technologies=4, countries=3)
    circumstances = circumstances_of(world)
    needs = [Need.of(world.need()) for _ in range(4)]
    offerings = [Offering.of(world.offering()) for _ in range(4)]
    for one in needs:
        for other in offerings:
            for facet in FACETS:
                earned = facet.earn(one, other, circumstances)
                assert type(earned.points) is int
                assert earned.reason in facet.reasons
                assert 0 <= earned.points <= earned.reason.points <= facet.possible
                assert all(sentences(earned.reason, earned.values).values())


def test_a_requirement_of_a_thousand_values_makes_a_short_sentence() -> None:
    long = {"attribute": "colour", "op": "in", "value": [f"{'x' * 190}{number}" for number in range(1000)]}
    facet = next(one for one in FACETS if one.name == "specification")
    earned = facet.earn(need(requirements=[long, EFFICACY, DIMMING]), offering(), NOW)
    assert all(len(sentence) <= 600 for sentence in sentences(earned.reason, earned.values).values())


def test_a_rate_of_thirty_five_days_is_still_used() -> None:
    facet = next(one for one in FACETS if one.name == "price")
    rupiah = offering(**priced("IDR", (1, 2_700_000)))
    assert facet.earn(need(), rupiah, NOW).reason.code == "old_rate"
    assert facet.earn(need(), rupiah, replace(NOW, today=date(2026, 11, 23))).reason.code == "below_budget_converted"
