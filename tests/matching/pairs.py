"""A city's need and a company's offering that fit in everything, to be changed by a test in what it is about."""

from datetime import date
from decimal import Decimal
from typing import Any

from bench.workload import World
from common.contracts.catalog import OfferingListed
from common.contracts.needs import NeedPosted
from matching.domain.circumstances import Circumstances, Rate
from matching.domain.sides import Need, Offering

TODAY = date(2026, 11, 24)
NEED_ID = "0a3c7d4e-0000-4000-8000-000000000001"
OFFERING_ID = "0a3c7d4e-0000-4000-8000-0000000000a1"
CITY_ID = "0a3c7d4e-0000-4000-8000-00000000c001"
COMPANY_ID = "0a3c7d4e-0000-4000-8000-00000000f001"

RATES = {
    "VND": Rate("VND", Decimal(25_000), date(2026, 11, 20), "Example bank"),
    "JPY": Rate("JPY", Decimal(150), date(2026, 11, 20), "Example bank"),
    "IDR": Rate("IDR", Decimal(15_000), date(2026, 10, 19), "Example bank"),
}
NOW = Circumstances(TODAY, RATES)

EFFICACY = {"attribute": "efficacy", "op": ">=", "value": 150, "unit": "lm/W"}
DIMMING = {"attribute": "dimming", "op": "=", "value": "DALI"}


def need_fact(**changes: Any) -> NeedPosted:
    """3,600 street lights for Hai Phong at USD 195 each, within 141 days."""
    city = {
        "id": CITY_ID,
        "names": {"en": "Hai Phong", "ja": "ハイフォン市"},
        "country": "VN",
        "timezone": "Asia/Ho_Chi_Minh",
        "languages": ["vi"],
        **changes.pop("city", {}),
    }
    return NeedPosted.model_validate(
        {
            "id": NEED_ID,
            "title": {"en": "Street lights", "ja": "街路灯"},
            "technology": "lighting.street_led",
            "quantity": 3600,
            "unit": "lamp",
            "budget": {"amount": 702_000, "currency": "USD"},
            "deadline": "2027-04-14",
            "requirements": [EFFICACY, DIMMING],
            "standards": ["IEC 60598", "TCVN 7722"],
            "municipality": city,
            **changes,
        }
    )


def offering_fact(**changes: Any) -> OfferingListed:
    """HB-60 of Hibiki Lighting (example): USD 180 from 1,000 lamps on, 120 days."""
    return OfferingListed.model_validate(
        {
            "id": OFFERING_ID,
            "names": {"en": "HB-60", "ja": "HB-60"},
            "technologies": ["lighting.street_led"],
            "unit": "lamp",
            "attributes": [
                {"name": "Efficacy", "value": 160, "unit": "lm/W"},
                {"name": "dimming", "value": "ＤＡＬＩ"},
            ],
            "countries_served": ["VN"],
            "countries_of_interest": ["ID"],
            "prices": {
                "currency": "USD",
                "tiers": [
                    {"quantity": 100, "unit_price": 200},
                    {"quantity": 1000, "unit_price": 180},
                    {"quantity": 5000, "unit_price": 160},
                ],
            },
            "minimum_order": 200,
            "maximum_order": 30_000,
            "lead_time_days": 120,
            "standards": ["iec 60598"],
            "certificates": ["TCVN 7722"],
            "languages": ["vi", "en"],
            "example": True,
            "company": {
                "id": COMPANY_ID,
                "names": {"en": "Hibiki Lighting", "ja": "ひびき照明"},
                "country": "JP",
                "example": True,
            },
            **changes,
        }
    )


def need(**changes: Any) -> Need:
    return Need.of(need_fact(**changes))


def offering(**changes: Any) -> Offering:
    return Offering.of(offering_fact(**changes))


def priced(currency: str, *tiers: tuple[int | str, int | str], basis: str = "all_units") -> dict[str, Any]:
    """Price tiers: pairs of quantity and unit price."""
    steps = [{"quantity": Decimal(quantity), "unit_price": Decimal(price)} for quantity, price in tiers]
    return {"prices": {"currency": currency, "basis": basis, "tiers": steps}}


def circumstances_of(world: World) -> Circumstances:
    """The world's day and its exchange rates."""
    rates = {one.currency: Rate(one.currency, one.per_usd, one.as_of, one.source) for one in world.rates()}
    return Circumstances(world.today, rates)
