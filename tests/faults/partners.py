"""What a careful partner sends to the four services in the fault tests: a small world that changes without end.

Every event carries the number of its subject's events in one of its fields. Cheap things (rates, cities and companies that nobody
refers to) make up most; needs and offerings meet in corners of one technology and one country, so that every change makes a few
proposals, notifications and mails.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from common.vocabulary import technologies
from tests import partner_events as partner
from tests.faults.ledger import Sent

Kind = Literal["exchange-rate", "municipality", "company", "need", "offering"]

SERVICES: dict[str, str] = {
    "exchange-rate": "catalog",
    "municipality": "needs",
    "company": "catalog",
    "need": "needs",
    "offering": "catalog",
}
CHEAP_RATES = ("JPY", "INR", "PHP", "MYR", "CNY", "KRW", "BDT", "LKR", "NPR", "KHR", "PKR", "SGD", "TWD", "MNT", "AUD")
"""In none of these does any budget or price stand; so nothing has to be judged again."""
PLACES = (("VN", "Asia/Ho_Chi_Minh"), ("TH", "Asia/Bangkok"), ("ID", "Asia/Jakarta"))
FIELDS = ("lighting.street_led", "transport.electric_bus", "energy.solar_pv", "water.pumps", "office.it", "building.windows")
CHEAP_SUBJECTS = 40
OF_A_CORNER = 3
"""Needs and offerings of each corner."""


class Corner(NamedTuple):
    """Where needs and offerings meet, and nothing from elsewhere does."""

    technology: str
    country: str
    timezone: str

    @property
    def name(self) -> str:
        return f"{self.technology}-{self.country}".replace(".", "-")


CORNERS = [Corner(technology, *place) for technology in FIELDS for place in PLACES]


@dataclass
class World:
    """Makes the events. The same seed makes the same choices; ids and times differ in every run."""

    seed: int
    _numbers: Counter[tuple[str, str]] = field(default_factory=Counter)
    _newest: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(f"world {self.seed}")

    def beginning(self) -> Iterator[list[Sent]]:
        """What others refer to: rates, the cities and companies of all corners. Each batch goes to one service."""
        yield [self.rate("VND"), self.rate("THB"), self.rate("IDR")]
        yield [self.municipality(f"city-{country}", country, zone) for country, zone in PLACES]
        yield [self.company(f"company-{number}") for number in range(OF_A_CORNER)]

    def cheap(self, service: str, amount: int) -> list[Sent]:
        """Changes of things that nobody refers to, all of different subjects."""
        if service == "needs":
            numbers = self.random.sample(range(CHEAP_SUBJECTS), amount)
            return [self.municipality(f"quiet-{number}", "JP", "Asia/Tokyo") for number in numbers]
        rates = min(amount // 3, len(CHEAP_RATES))
        companies = self.random.sample(range(CHEAP_SUBJECTS), amount - rates)
        return [
            *(self.rate(currency) for currency in self.random.sample(CHEAP_RATES, rates)),
            *(self.company(f"quiet-{number}") for number in companies),
        ]

    def dear(self) -> list[Sent]:
        """A change that goes through the whole chain; for one service."""
        corner = self.random.choice(CORNERS)
        number = self.random.randrange(OF_A_CORNER)
        throw = self.random.random()
        if throw < 0.45:
            return [self.need(corner, number)]
        if throw < 0.96:
            return [self.offering(corner, number)]
        if throw < 0.98:
            return [self.municipality(f"city-{corner.country}", corner.country, corner.timezone)]
        return [self.rate(self.random.choice(("VND", "THB", "IDR")))]

    # one event each --------------------------------------------------------------------------------------------------

    def rate(self, currency: str) -> Sent:
        number = self._next("exchange-rate", currency)
        today = datetime.now(UTC).date().isoformat()
        data = {"currency": currency, "per_usd": 100 + number / 1000, "as_of": today, "source": f"rate {number}"}
        return self._sent("exchange-rate", currency, number, data)

    def municipality(self, subject: str, country: str, timezone: str) -> Sent:
        number = self._next("municipality", subject)
        renamed = f" {number}" if self.random.random() < 0.2 else ""
        fields: dict[str, Any] = {"office_id": None} if country == "JP" else {}
        data = partner.city(
            subject, names={"en": f"{subject}{renamed}"}, country=country, timezone=timezone, population=number, **fields
        )["data"]  # fmt: skip
        return self._sent("municipality", subject, number, data)

    def company(self, subject: str) -> Sent:
        number = self._next("company", subject)
        data = partner.company(subject, names={"en": f"Works {subject}"}, website=f"https://{subject}.example/{number}")["data"]
        return self._sent("company", subject, number, data)

    def need(self, corner: Corner, which: int) -> Sent:
        subject = f"need-{corner.name}-{which}"
        number = self._next("need", subject)
        data = partner.need(
            subject, f"city-{corner.country}",
            title={"en": f"Need {which} of {corner.name}, version {number}"}, technology=corner.technology,
            unit=technologies()[corner.technology].unit, quantity=3000 + self.random.randrange(1000),
            status="closed" if self.random.random() < 0.05 else "open", joint_purchase=which == 0,
        )["data"]  # fmt: skip
        return self._sent("need", subject, number, data)

    def offering(self, corner: Corner, which: int) -> Sent:
        subject = f"offering-{corner.name}-{which}"
        number = self._next("offering", subject)
        price = 300 + self.random.randrange(100)
        tiers = [{"quantity": 100, "unit_price": price + 60}, {"quantity": 3000, "unit_price": price}]
        data = partner.offering(
            subject, f"company-{which}",
            names={"en": f"Offering {which} of {corner.name}"}, text={"en": f"Version {number}"},
            technologies=[corner.technology], unit=technologies()[corner.technology].unit, countries_served=[corner.country],
            prices={"currency": "USD", "tiers": tiers}, status="withdrawn" if self.random.random() < 0.05 else "listed",
        )["data"]  # fmt: skip
        return self._sent("offering", subject, number, data)

    def late(self, event: Sent) -> Sent:
        """Another event of the same subject that says it happened before this one: it must have no effect."""
        time = datetime.fromisoformat(event.time) - timedelta(microseconds=1)
        return event._replace(id=self._id(), number=self._next(event.kind, event.subject), time=time.isoformat())

    def other_body(self, event: Sent) -> Sent:
        """The same id with other content: it must be refused."""
        data = json.loads(event.data)
        data["source"] = "somebody else"
        return event._replace(data=json.dumps(data))

    def broken(self, event: Sent) -> Sent:
        """An event of its own whose data breaks its contract: it must be refused."""
        data = json.loads(event.data)
        data[self.random.choice(sorted(data))] = {"not": ["what", "is", "expected"]}
        return event._replace(id=self._id(), subject=f"broken-{self._id()}", data=json.dumps(data))

    def _next(self, kind: str, subject: str) -> int:
        self._numbers[kind, subject] += 1
        return self._numbers[kind, subject]

    def _sent(self, kind: Kind, subject: str, number: int, data: dict[str, Any]) -> Sent:
        before = self._newest.get((kind, subject))
        time = datetime.now(UTC)
        if before and time <= before:
            time = before + timedelta(microseconds=10)
        self._newest[kind, subject] = time
        return Sent(self._id(), SERVICES[kind], kind, subject, number, time.isoformat(), json.dumps(data))

    def _id(self) -> str:
        return str(uuid4())


def cloud_event(event: Sent) -> dict[str, Any]:
    """The event as it goes over the wire."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": partner.SOURCE,
        "type": f"{event.kind}.submitted.v1",
        "subject": event.subject,
        "time": event.time,
        "datacontenttype": "application/json",
        "data": json.loads(event.data),
    }
