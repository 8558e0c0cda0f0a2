"""A seeded world of municipalities, needs, companies and offerings, and a stream of changes to it, as contract objects.

Technologies and countries are skewed as real demand is: a few are wanted everywhere, most seldom. The same seed makes the
same world. Facts are for tests that hand them to handlers; `need_submission` and `offering_submission` are what a partner
would send for them.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from common.contracts.catalog import ExchangeRatePublished, OfferingListed, OfferingSubmitted, Supplier
from common.contracts.needs import Buyer, MunicipalitySubmitted, NeedPosted, NeedSubmitted
from common.vocabulary import country_name, technologies


class Country(NamedTuple):
    code: str
    currency: str
    per_usd: str
    language: str
    timezone: str


COUNTRIES = [
    Country(*row.split())
    for row in """JP JPY 150 ja Asia/Tokyo
VN VND 25500 vi Asia/Ho_Chi_Minh
IN INR 84.5 hi Asia/Kolkata
ID IDR 15900 id Asia/Jakarta
PH PHP 58.2 fil Asia/Manila
TH THB 34.6 th Asia/Bangkok
MY MYR 4.45 ms Asia/Kuala_Lumpur
CN CNY 7.24 zh Asia/Shanghai
KR KRW 1395 ko Asia/Seoul
BD BDT 119.5 bn Asia/Dhaka
LK LKR 291 si Asia/Colombo
NP NPR 135 ne Asia/Kathmandu
KH KHR 4050 km Asia/Phnom_Penh
MM MMK 2100 my Asia/Yangon
PK PKR 278 ur Asia/Karachi
SG SGD 1.34 en Asia/Singapore
TW TWD 32.5 zh Asia/Taipei
MN MNT 3400 mn Asia/Ulaanbaatar
LA LAK 21900 lo Asia/Vientiane
AU AUD 1.54 en Australia/Sydney""".splitlines()
]

# What needs ask and offerings state: name, unit, usual value, spread. Every technology has three of them.
ATTRIBUTES = [
    ("efficacy", "lm/W", 140, 0.15),
    ("life", "h", 60_000, 0.2),
    ("efficiency", "percent", 90, 0.06),
    ("power", "W", 80, 0.3),
    ("noise", "dB", 55, 0.1),
    ("warranty", "year", 6, 0.35),
]
CONTROLS = ["DALI", "0-10 V", "Zhaga", "none"]
STANDARDS = ["IEC 60598", "IEC 62722", "ISO 9001", "ISO 14001", "ISO 50001", "JIS C 8105", "CE", "RoHS"]


@dataclass
class World:
    """Everything that exists at the moment; `need`, `offering` and `change` add to it or alter it."""

    seed: int = 7
    today: date = date(2026, 11, 24)
    technologies: int = 70
    """So many of the taxonomy's leaves are in use; few make lists long."""
    countries: int = len(COUNTRIES)
    needs: dict[str, NeedPosted] = field(default_factory=dict)
    offerings: dict[str, OfferingListed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        leaves = [code for code, technology in technologies().items() if technology.unit]
        random.Random(0).shuffle(leaves)
        self._technologies = leaves[: self.technologies]
        self._technology_weights = _zipf(len(self._technologies), 0.8)
        self._countries = COUNTRIES[: self.countries]
        self._country_weights = _zipf(len(self._countries), 0.7)
        self._municipalities = [self._municipality(number) for number in range(60)]
        self._companies = [self._company(number) for number in range(400)]
        self._made = 0

    def rates(self) -> list[ExchangeRatePublished]:
        """An exchange rate of each currency, a few days old."""
        day = self.today - timedelta(days=3)
        return [
            ExchangeRatePublished(currency=one.currency, per_usd=Decimal(one.per_usd), as_of=day, source="Example bank")
            for one in self._countries
        ]

    def municipalities(self) -> Iterator[tuple[str, MunicipalitySubmitted]]:
        """What a partner sends for the municipalities, by subject."""
        for one in self._municipalities:
            yield (
                one.id,
                MunicipalitySubmitted(names=one.names, country=one.country, timezone=one.timezone, languages=one.languages),
            )

    # Making ----------------------------------------------------------------------------------------------------------

    def need(self) -> NeedPosted:
        """One more open need."""
        number = self._number()
        technology = self._technology()
        quantity = self._quantity(technology)
        made = NeedPosted.model_validate(
            {
                "id": _id("need", number),
                "municipality": self._random.choice(self._municipalities),
                "title": {"en": f"Need {number}", "ja": f"ニーズ{number}"},
                "technology": technology,
                "unit": technologies()[technology].unit,
                "quantity": quantity,
                **self._budget(technology, quantity),
                "deadline": self.today + timedelta(days=self._random.randint(30, 500)),
                "requirements": self._requirements(technology),
                "standards": self._random.sample(STANDARDS, self._random.choice([0, 0, 1, 2])),
                "joint_purchase": self._random.random() < 0.3,
            }
        )
        self.needs[made.id] = made
        return made

    def offering(self) -> OfferingListed:
        """One more listed offering."""
        number = self._number()
        technology = self._technology()
        company = self._random.choice(self._companies)
        quantity = self._quantity(technology)
        minimum = max(1, quantity // self._random.choice([5, 20, 100]))
        made = OfferingListed.model_validate(
            {
                "id": _id("offering", number),
                "company": company,
                "names": {"en": f"Offering {number}", "ja": f"製品{number}"},
                "technologies": self._technologies_beside(technology),
                "unit": technologies()[technology].unit,
                "attributes": self._attributes(technology),
                **self._reach(company.country),
                "prices": self._prices(technology, company.country, minimum),
                "minimum_order": minimum if self._random.random() < 0.7 else None,
                "maximum_order": minimum * 1000 if self._random.random() < 0.5 else None,
                "lead_time_days": self._lead_time(),
                "standards": self._random.sample(STANDARDS, self._random.randint(0, 3)),
                "certificates": self._random.sample(STANDARDS, self._random.randint(0, 1)),
                "languages": ["en", self._language_of(company.country)],
            }
        )
        self.offerings[made.id] = made
        return made

    # Changing --------------------------------------------------------------------------------------------------------

    def change(self) -> NeedPosted | OfferingListed:
        """The next event of the stream: 70 % changed offerings, 25 % new needs, 5 % withdrawn offerings."""
        throw = self._random.random()
        if throw < 0.25 or not self.offerings:
            return self.need()
        offering = self._random.choice(list(self.offerings.values()))
        return self.withdraw(offering) if throw < 0.30 else self.change_offering(offering)

    def change_offering(self, offering: OfferingListed) -> OfferingListed:
        """Prices and texts change most; then lead times, countries and what is stated of the product."""
        throw = self._random.random()
        if throw < 0.4:
            changes: dict[str, Any] = {"prices": self._moved(offering)}
        elif throw < 0.7:
            changes = {"text": {"en": f"Text {self._random.randrange(10**6)}"}}
        elif throw < 0.85:
            changes = {"lead_time_days": self._lead_time()}
        elif throw < 0.93:
            changes = self._reach(offering.company.country)
        else:
            changes = {"attributes": self._attributes(offering.technologies[0])}
        changed = OfferingListed.model_validate({**dict(offering), **changes})
        self.offerings[changed.id] = changed
        return changed

    def withdraw(self, offering: OfferingListed) -> OfferingListed:
        """The offering is not to be had any more; it leaves the world."""
        del self.offerings[offering.id]
        return offering.model_copy(update={"status": "withdrawn"})

    def close(self, need: NeedPosted) -> NeedPosted:
        """The need is met or given up; it leaves the world."""
        del self.needs[need.id]
        return need.model_copy(update={"status": self._random.choice(["closed", "withdrawn"])})

    def change_need(self, need: NeedPosted) -> NeedPosted:
        """The city asks for another quantity, sometimes for another technology."""
        technology = self._technology() if self._random.random() < 0.2 else need.technology
        quantity = self._quantity(technology)
        changes = {"technology": technology, "unit": technologies()[technology].unit, "quantity": quantity}
        changed = NeedPosted.model_validate({**dict(need), **changes, **self._budget(technology, quantity)})
        self.needs[changed.id] = changed
        return changed

    # Parts -----------------------------------------------------------------------------------------------------------

    def _number(self) -> int:
        self._made += 1
        return self._made

    def _municipality(self, number: int) -> Buyer:
        country = self._country()
        name = f"City {number} ({country_name(country.code, 'en')})"
        languages = [country.language] + (["en"] if self._random.random() < 0.4 and country.language != "en" else [])
        return Buyer(
            id=_id("municipality", number),
            names={"en": name, "ja": f"{country_name(country.code, 'ja')}の市{number}"},
            country=country.code,
            timezone=country.timezone,
            languages=languages,
        )

    def _company(self, number: int) -> Supplier:
        return Supplier(
            id=_id("company", number),
            names={"en": f"Company {number}", "ja": f"会社{number}"},
            country=self._country().code,
            example=True,
        )

    def _country(self) -> Country:
        return self._random.choices(self._countries, cum_weights=self._country_weights)[0]

    def _technology(self) -> str:
        return self._random.choices(self._technologies, cum_weights=self._technology_weights)[0]

    def _technologies_beside(self, technology: str) -> list[str]:
        known = technologies()
        beside = [
            code
            for code in self._technologies
            if code != technology and known[code].group == known[technology].group and known[code].unit == known[technology].unit
        ]
        return [technology, *self._random.sample(beside, min(len(beside), self._random.choice([0, 0, 0, 1])))]

    def _quantity(self, technology: str) -> int:
        middle = 3 + 5 * _fraction(technology, "quantity")
        return max(1, round(math.exp(self._random.gauss(middle, 1.0))))

    def _usual_price(self, technology: str) -> float:
        """US dollars for one unit."""
        return math.exp(3 + 6 * _fraction(technology, "price"))

    def _budget(self, technology: str, quantity: int) -> dict[str, Any]:
        if self._random.random() < 0.15:
            return {"budget": None}
        country = self._country() if self._random.random() < 0.5 else None
        per_usd = float(country.per_usd) if country else 1.0
        amount = self._usual_price(technology) * quantity * per_usd * math.exp(self._random.gauss(0, 0.2))
        return {"budget": {"amount": max(1, round(amount)), "currency": country.currency if country else "USD"}}

    def _prices(self, technology: str, country: str, first: int) -> dict[str, Any] | None:
        if self._random.random() < 0.12:
            return None
        home = next(one for one in COUNTRIES if one.code == country)
        in_dollars = self._random.random() < 0.5
        price = self._usual_price(technology) * (1.0 if in_dollars else float(home.per_usd))
        price *= math.exp(self._random.gauss(0, 0.25))
        tiers = []
        quantity = 1 if self._random.random() < 0.5 else first
        for _ in range(self._random.randint(1, 5)):
            tiers.append({"quantity": quantity, "unit_price": max(Decimal("0.01"), round(Decimal(price), 2))})
            quantity *= self._random.randint(2, 6)
            price *= self._random.uniform(0.86, 0.97)
        basis = "incremental" if self._random.random() < 0.15 else "all_units"
        return {"currency": "USD" if in_dollars else home.currency, "basis": basis, "tiers": tiers}

    def _moved(self, offering: OfferingListed) -> dict[str, Any] | None:
        if offering.prices is None:
            return self._prices(offering.technologies[0], offering.company.country, 1)
        factor = Decimal(str(round(self._random.uniform(0.93, 1.08), 3)))
        tiers = [
            {"quantity": tier.quantity, "unit_price": max(Decimal("0.01"), round(tier.unit_price * factor, 2))}
            for tier in offering.prices.tiers
        ]
        return {"currency": offering.prices.currency, "basis": offering.prices.basis, "tiers": tiers}

    def _reach(self, home: str) -> dict[str, Any]:
        many = self._random.random() < 0.15
        served = {self._country().code for _ in range(self._random.randint(8, 16) if many else self._random.randint(1, 4))}
        interest = {self._country().code for _ in range(self._random.randint(0, 4))} - served
        return {"countries_served": sorted(served | {home}), "countries_of_interest": sorted(interest - {home})}

    def _lead_time(self) -> int | None:
        return None if self._random.random() < 0.15 else self._random.randint(10, 240)

    def _own_attributes(self, technology: str) -> list[tuple[str, str, int, float]]:
        return random.Random(technology).sample(ATTRIBUTES, 3)

    def _requirements(self, technology: str) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []
        for name, unit, usual, spread in self._own_attributes(technology):
            if self._random.random() < 0.4:
                value = round(usual * (1 + self._random.gauss(-0.5, 0.5) * spread))
                must = self._random.random() < 0.5
                asked.append({"attribute": name, "op": ">=", "value": value, "unit": unit, "mandatory": must})
        if self._random.random() < 0.15:
            asked.append({"attribute": "control", "op": "in", "value": self._random.sample(CONTROLS, 2), "mandatory": False})
        return asked

    def _attributes(self, technology: str) -> list[dict[str, Any]]:
        stated: list[dict[str, Any]] = [
            {"name": name, "value": max(1, round(usual * (1 + self._random.gauss(0, 1) * spread))), "unit": unit}
            for name, unit, usual, spread in self._own_attributes(technology)
            if self._random.random() < 0.75
        ]
        if self._random.random() < 0.5:
            stated.append({"name": "control", "value": self._random.choice(CONTROLS)})
        return stated

    def _language_of(self, country: str) -> str:
        return next(one.language for one in COUNTRIES if one.code == country)


def need_submission(fact: NeedPosted) -> NeedSubmitted:
    """What a partner sends for this need, under the subject `fact.id`."""
    fields = {name: value for name, value in dict(fact).items() if name in NeedSubmitted.model_fields}
    return NeedSubmitted.model_validate({**fields, "municipality": fact.municipality.id})


def offering_submission(fact: OfferingListed) -> OfferingSubmitted:
    """What a partner sends for this offering, under the subject `fact.id`."""
    fields = {name: value for name, value in dict(fact).items() if name in OfferingSubmitted.model_fields}
    return OfferingSubmitted.model_validate({**fields, "company": fact.company.id})


def _id(kind: str, number: int) -> str:
    """A UUID, as our aggregates have."""
    return str(uuid5(NAMESPACE_URL, f"{kind}/{number}"))


def _zipf(size: int, steepness: float) -> list[float]:
    return list(accumulate(1 / rank**steepness for rank in range(1, size + 1)))


def _fraction(technology: str, what: str) -> float:
    """Between 0 and 1, always the same for a technology."""
    return random.Random(f"{technology}/{what}").random()
