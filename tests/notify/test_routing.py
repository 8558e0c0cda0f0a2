"""Who is told of a match, rule by rule."""

from common.contracts.catalog import Supplier
from common.contracts.matching import Match, NeedSummary
from notify.domain.routing import RULES, THRESHOLDS, Occasion, Told, whom_to_tell, why
from notify.offices import SECRETARIAT, offices
from tests.notify.matches import HAI_PHONG, HIBIKI, match, need


def told(of: NeedSummary, by: Match | None = None) -> dict[str, Told]:
    """Recipient id -> how it is told."""
    return {t.recipient.id: t for t in whom_to_tell(Occasion(of, by or match(), offices(), SECRETARIAT))}


def test_the_office_that_looks_after_the_city_is_told():
    hai_phong = told(need())["jetro-hanoi"]
    assert hai_phong.rule.name == "office-of-the-city"
    assert why(hai_phong, need())["en"] == "Your office looks after Hai Phong."
    assert why(hai_phong, need())["ja"] == "貴事務所がハイフォン市を担当しているためです。"


def test_without_an_office_of_its_own_the_office_of_the_country_is_told():
    dhaka = need(city=HAI_PHONG.model_copy(update={"country": "BD", "office_id": None}))
    assert told(dhaka)["jetro-dhaka"].rule.name == "office-of-the-country"


def test_an_office_that_serves_several_countries_is_told_for_each():
    kathmandu = need(city=HAI_PHONG.model_copy(update={"country": "NP", "office_id": None}))
    assert told(kathmandu)["jetro-new-delhi"].rule.name == "office-of-the-country"


def test_an_office_id_that_nobody_knows_counts_as_none():
    bangkok = need(city=HAI_PHONG.model_copy(update={"country": "TH", "office_id": "jetro-atlantis"}))
    assert told(bangkok)["jetro-bangkok"].rule.name == "office-of-the-country"


def test_where_offices_share_the_country_the_first_listed_is_told_and_says_so():
    vinh = need(city=HAI_PHONG.model_copy(update={"office_id": None}))
    office = told(vinh)["jetro-hanoi"]
    assert office.rule.name == "first-office-of-a-shared-country"
    assert "listed first of the offices that share Vietnam" in why(office, vinh)["en"]
    assert "jetro-ho-chi-minh" not in told(vinh)


def test_where_no_office_serves_the_country_the_secretariat_is_told():
    helsinki = need(city=HAI_PHONG.model_copy(update={"country": "FI", "office_id": None}))
    assert told(helsinki)["secretariat"].rule.name == "secretariat-where-no-office"
    assert "Finland" in why(told(helsinki)["secretariat"], helsinki)["en"]


def test_the_secretariat_is_told_where_joint_purchase_is_welcome_and_else_not():
    assert told(need(joint_purchase=True))["secretariat"].rule.name == "secretariat-joint-purchase"
    assert "secretariat" not in told(need())


def test_the_city_that_posted_and_the_company_that_offers_are_told():
    assert told(need())["hai-phong"].rule.name == "municipality-that-posted"
    assert told(need())["hibiki"].rule.name == "company-that-offers"


def test_a_recipient_that_two_rules_find_is_told_once_for_the_first():
    helsinki = need(city=HAI_PHONG.model_copy(update={"country": "FI", "office_id": None}), joint_purchase=True)
    both = [t for t in whom_to_tell(Occasion(helsinki, match(), offices(), SECRETARIAT)) if t.recipient.id == "secretariat"]
    assert [t.rule.name for t in both] == ["secretariat-where-no-office"]


def test_each_kind_of_recipient_is_told_from_its_own_score_on():
    for kind, threshold in THRESHOLDS.items():
        of = need(joint_purchase=True)
        assert kind in {t.recipient.kind for t in told(of, match(score=threshold)).values()}
        assert kind not in {t.recipient.kind for t in told(of, match(score=threshold - 1)).values()}


def test_an_office_that_finds_the_score_too_low_is_not_replaced_by_the_secretariat():
    assert set(told(need(), match(score=55))) == {"hai-phong", "hibiki"}


def test_every_rule_says_why_in_both_languages():
    for rule in RULES:
        assert set(rule.why) == {"en", "ja"}, rule.name


def test_a_company_is_written_to_in_the_time_zone_of_its_country():
    seoul = Supplier(id="hanbit", names={"en": "Hanbit (example)"}, country="KR", example=True)
    assert told(need(), match(company=seoul))["hanbit"].recipient.timezone == "Asia/Seoul"
    assert told(need(), match(company=HIBIKI))["hibiki"].recipient.timezone == "Asia/Tokyo"
    assert told(need(), match(company=seoul.model_copy(update={"country": "US"})))["hanbit"].recipient.timezone == "UTC"
