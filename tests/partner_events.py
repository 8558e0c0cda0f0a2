"""What partners send, in the words of the domain: CloudEvents of a city, its need, a company, its offering, a rate.

Everything can be overridden by name; what is not given is a plain, valid value.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

SOURCE = "https://partner.example/feed"
BATCH = "application/cloudevents-batch+json"

CloudEvent = dict[str, Any]


def cloud_event(type_: str, subject: str, data: dict[str, Any], *, time: datetime | None = None) -> CloudEvent:
    """A CloudEvent in structured mode, with a new id."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": SOURCE,
        "type": type_,
        "subject": subject,
        "time": (time or datetime.now(UTC)).isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }


def in_days(days: int) -> str:
    """The date so many days from today, as contracts write it."""
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def city(subject: str = "haiphong", **fields: Any) -> CloudEvent:
    """A city in Viet Nam, looked after by JETRO Hanoi."""
    data = {
        "names": {"en": "Haiphong", "ja": "ハイフォン市"},
        "country": "VN",
        "timezone": "Asia/Ho_Chi_Minh",
        "languages": ["vi", "en"],
        "office_id": "jetro-hanoi",
        "contacts": [
            {"function": {"en": "Energy desk", "ja": "エネルギー窓口"}, "email": "energy@haiphong.example", "languages": ["en"]}
        ],
    }
    return cloud_event("municipality.submitted.v1", subject, data | fields)


def need(subject: str = "street-lighting", municipality: str = "haiphong", **fields: Any) -> CloudEvent:
    """3,600 LED street lamps for 1.4 million dollars, to be delivered within 240 days."""
    data = {
        "municipality": municipality,
        "title": {"en": "LED street lighting for the ring road", "ja": "環状道路のLED街路灯"},
        "technology": "lighting.street_led",
        "quantity": 3600,
        "unit": "lamp",
        "budget": {"amount": 1_400_000, "currency": "USD"},
        "deadline": in_days(240),
        "requirements": [
            {"attribute": "efficacy", "op": ">=", "value": 130, "unit": "lm/W", "mandatory": True},
            {"attribute": "colour temperature", "op": "<=", "value": 4000, "unit": "K"},
        ],
        "joint_purchase": True,
    }
    return cloud_event("need.submitted.v1", subject, data | fields)


def company(subject: str = "akari", **fields: Any) -> CloudEvent:
    """An invented company in Japan."""
    data = {
        "names": {"en": "Akari Works", "ja": "あかり製作所"},
        "country": "JP",
        "languages": ["ja", "en"],
        "contacts": [
            {"function": {"en": "Export desk", "ja": "輸出窓口"}, "email": "export@akari.example", "languages": ["ja", "en"]}
        ],
        "example": True,
    }
    return cloud_event("company.submitted.v1", subject, data | fields)


def offering(subject: str = "road-60", company: str = "akari", **fields: Any) -> CloudEvent:
    """An LED street lamp with three price tiers in dollars, delivered to Viet Nam within 90 days."""
    data = {
        "company": company,
        "names": {"en": "Akari Road 60", "ja": "あかりロード60"},
        "technologies": ["lighting.street_led"],
        "unit": "lamp",
        "attributes": [
            {"name": "efficacy", "value": 150, "unit": "lm/W"},
            {"name": "colour temperature", "value": 4000, "unit": "K"},
        ],
        "countries_served": ["VN", "TH", "ID"],
        "prices": {
            "currency": "USD",
            "tiers": [
                {"quantity": 100, "unit_price": 420},
                {"quantity": 1000, "unit_price": 390},
                {"quantity": 3000, "unit_price": 360},
            ],
        },
        "minimum_order": 100,
        "maximum_order": 20_000,
        "lead_time_days": 90,
        "languages": ["en", "ja"],
        "example": True,
    }
    return cloud_event("offering.submitted.v1", subject, data | fields)
