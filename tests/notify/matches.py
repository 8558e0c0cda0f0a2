"""Needs, matches and shortlists in words of the domain, for notify's tests."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from common.contracts.catalog import CompanyListed, Supplier
from common.contracts.matching import FacetScore, Match, NeedSummary, PriceAtQuantity, ShortlistChanged
from common.contracts.needs import Buyer, MunicipalityListed
from common.contracts.values import Contact, Money, Position

TUESDAY = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
"""10:00 in Hanoi, 12:00 in Tokyo."""

HAI_PHONG = Buyer(
    id="hai-phong",
    names={"en": "Hai Phong", "ja": "ハイフォン市"},
    country="VN",
    timezone="Asia/Ho_Chi_Minh",
    languages=["vi", "en"],
    office_id="jetro-hanoi",
)
KITAKYUSHU = Buyer(
    id="kitakyushu",
    names={"en": "Kitakyushu", "ja": "北九州市"},
    country="JP",
    timezone="Asia/Tokyo",
    languages=["ja"],
    office_id="jetro-kitakyushu",
)
HIBIKI = Supplier(id="hibiki", names={"en": "Hibiki Lighting Co., Ltd.", "ja": "ひびき照明株式会社"}, country="JP", example=True)


def need(
    id: str = "need-1",  # noqa: A002  as the contract calls it
    *,
    city: Buyer = HAI_PHONG,
    title: dict[str, str] | None = None,
    joint_purchase: bool = False,
    status: Literal["open", "closed", "withdrawn"] = "open",
    deadline: date = date(2027, 4, 14),
) -> NeedSummary:
    """3,600 LED street lights, budget USD 702,000 (195 a lamp)."""
    return NeedSummary(
        id=id,
        title=title or {"en": "3,600 LED street lights", "ja": "LED街路灯3,600灯"},
        municipality=city,
        technology="lighting.street_led",
        quantity=Decimal(3600),
        unit="lamp",
        budget=Money(amount=Decimal(702_000), currency="USD"),
        deadline=deadline,
        status=status,
        joint_purchase=joint_purchase,
    )


def match(offering_id: str = "hb-60", score: int = 88, *, company: Supplier = HIBIKI, **changed: Any) -> Match:
    """USD 180 a lamp in the third of four tiers, 120 days; dimming is not what the city asked for."""
    fields: dict[str, Any] = {
        "price": PriceAtQuantity(
            unit_price=Money(amount=Decimal(180), currency="USD"),
            total=Money(amount=Decimal(648_000), currency="USD"),
            tier=3,
            tiers=4,
            basis="all_units",
        ),
        "lead_time_days": 120,
        "facets": [
            FacetScore(
                facet="technology",
                earned=30,
                possible=30,
                reason="same",
                words={"en": "Same class, LED street lighting.", "ja": "同じ分類「LED街路灯」です。"},
            ),
            FacetScore(
                facet="requirements",
                earned=4,
                possible=10,
                reason="dimming",
                words={"en": "Dimming is 0-10 V; DALI was asked for.", "ja": "調光は0–10 V です（希望は DALI）。"},
            ),
        ],
    }
    return Match(offering_id=offering_id, offering={"en": "HB-60"}, company=company, score=score, **fields | changed)


def shortlist(of: NeedSummary, *matches: Match) -> ShortlistChanged:
    """The list as matching announces it: best first."""
    best_first = sorted(matches, key=lambda m: (-m.score, m.offering_id))
    return ShortlistChanged(need=of, matches=best_first, as_of=TUESDAY, weights="1")


def city_page(city: Buyer = HAI_PHONG, *, email: str | None = "lighting@hai-phong.example") -> MunicipalityListed:
    """The city's own entry, with a desk to write to unless `email` is None."""
    desk = {"en": "Public Lighting Division", "ja": "公共照明課"}
    return MunicipalityListed(
        **city.model_dump(exclude={"id"}),
        id=city.id,
        contacts=[Contact(function=desk, email=email, languages=city.languages)] if email else [],
        position=Position(latitude=20.86, longitude=106.68),
    )


def company_page(company: Supplier = HIBIKI, *, email: str | None = "sales@hibiki.example") -> CompanyListed:
    """The company's own entry, with a desk to write to unless `email` is None."""
    desk = {"en": "Overseas sales", "ja": "海外営業部"}
    return CompanyListed(
        **company.model_dump(exclude={"id"}),
        id=company.id,
        languages=["ja", "en"],
        contacts=[Contact(function=desk, email=email, languages=["ja"])] if email else [],
    )
