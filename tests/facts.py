"""Facts as their producers announce them, for tests that put them on Kafka themselves."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from common.clock import rfc3339
from common.contracts.catalog import OfferingListed, Prices, Supplier, Tier
from common.contracts.needs import Buyer, NeedPosted
from common.contracts.values import Fact, Money
from common.exact_json import dump
from common.messaging.message import Event
from common.vocabulary import technologies


def need_posted(id_: str, *, technology: str = "lighting.street_led", country: str = "VN", quantity: int = 1000) -> NeedPosted:
    """An open need of some city of that country, due in 300 days."""
    return NeedPosted(
        id=id_,
        title={"en": f"Need {id_}", "ja": f"ニーズ {id_}"},
        municipality=Buyer(
            id=f"city-{country}", names={"en": f"City in {country}"}, country=country, timezone="UTC", languages=["en"]
        ),
        technology=technology,
        quantity=Decimal(quantity),
        unit=technologies()[technology].unit,
        budget=Money(amount=Decimal(quantity * 400), currency="USD"),
        deadline=datetime.now(UTC).date() + timedelta(days=300),
    )


def offering_listed(id_: str, *, technology: str = "lighting.street_led", country: str = "VN") -> OfferingListed:
    """An offering served in that country, with two price tiers."""
    return OfferingListed(
        id=id_,
        names={"en": f"Offering {id_} (example)", "ja": f"製品 {id_}（例）"},
        technologies=[technology],
        unit=technologies()[technology].unit,
        countries_served=[country],
        prices=Prices(
            currency="USD",
            tiers=[
                Tier(quantity=Decimal(1), unit_price=Decimal(390)),
                Tier(quantity=Decimal(500), unit_price=Decimal(350)),
            ],
        ),
        lead_time_days=60,
        languages=["en"],
        example=True,
        company=Supplier(id="example-company", names={"en": "Example company"}, country="JP", example=True),
    )


def event_of(fact: Fact, sequence: int = 1, *, trace: bytes = b"") -> Event:
    """The event by which a producer announces this fact."""
    now = rfc3339(datetime.now(UTC))
    producer = fact.topic.partition(".")[0]
    return Event(fact.topic, fact.subject, sequence, str(uuid4()), fact.type, f"/services/{producer}", now, dump(fact), trace)
