"""The two sides of a match, as far as the rules look at them: a need and an offering.

They are built once from an event, kept as JSON beside the columns that SQL filters by, and read back by the thousand; so
they are small, and every text that is compared is already in its plain form.
"""

import unicodedata
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

from common import vocabulary
from common.contracts import catalog, needs, values


def plain(text: str) -> str:
    """The form in which texts are compared: letters of one width and one case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True, slots=True)
class Stated:
    """A stated value: a number, or (where `number` is None) a text with the plain form in which it is compared."""

    number: Decimal | None = None
    text: str = ""
    plain: str = ""

    @classmethod
    def of(cls, value: Decimal | str) -> "Stated":
        return cls(number=value) if isinstance(value, Decimal) else cls(text=value, plain=plain(value))


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a need asks of one attribute. `key` and `unit_key` are the plain forms of `name` and `unit`."""

    key: str
    name: str
    unit_key: str
    unit: str
    op: Literal["=", ">=", "<=", "in"]
    values: tuple[Stated, ...]
    mandatory: bool

    @classmethod
    def of(cls, asked: needs.Requirement) -> "Requirement":
        wanted = asked.value if isinstance(asked.value, list) else [asked.value]
        unit = asked.unit or ""
        return cls(
            plain(asked.attribute),
            asked.attribute,
            plain(unit),
            unit,
            asked.op,
            tuple(Stated.of(value) for value in wanted),
            asked.mandatory,
        )


@dataclass(frozen=True, slots=True)
class Attribute:
    """What an offering states of itself."""

    key: str
    name: str
    unit_key: str
    unit: str
    value: Stated

    @classmethod
    def of(cls, stated: values.Attribute) -> "Attribute":
        unit = stated.unit or ""
        return cls(plain(stated.name), stated.name, plain(unit), unit, Stated.of(stated.value))


@dataclass(frozen=True, slots=True)
class Named:
    """A standard or certificate: as it was written, and in its plain form."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Prices:
    """Price tiers: from `quantities[i]` on, one unit costs `unit_prices[i]`."""

    currency: str
    basis: Literal["all_units", "incremental"]
    quantities: tuple[Decimal, ...]
    unit_prices: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """What a municipality wants to buy. `budget` is for the whole quantity, in `currency`; the deadline is its last day."""

    id: str
    technology: str
    unit: str
    country: str
    quantity: Decimal
    budget: Decimal | None
    currency: str
    deadline: date
    languages: tuple[str, ...]
    requirements: tuple[Requirement, ...]
    standards: tuple[Named, ...]
    open: bool

    @property
    def group(self) -> str:
        return vocabulary.technologies()[self.technology].group

    @property
    def unit_budget(self) -> Decimal | None:
        """The budget for one unit, to 28 digits."""
        return None if self.budget is None else self.budget / self.quantity

    @classmethod
    def of(cls, fact: needs.NeedPosted) -> "Need":
        return cls(
            id=fact.id,
            technology=fact.technology,
            unit=fact.unit,
            country=fact.municipality.country,
            quantity=fact.quantity,
            budget=fact.budget.amount if fact.budget else None,
            currency=fact.budget.currency if fact.budget else "",
            deadline=fact.deadline,
            languages=_first_parts(fact.municipality.languages),
            requirements=tuple(Requirement.of(asked) for asked in fact.requirements),
            standards=tuple({plain(name): Named(name, plain(name)) for name in fact.standards}.values()),
            open=fact.status == "open",
        )


@dataclass(frozen=True, slots=True)
class Offering:
    """A product or service that a company offers; `standards` holds its certificates too."""

    id: str
    technologies: tuple[str, ...]
    unit: str
    serves: frozenset[str]
    interested_in: frozenset[str]
    prices: Prices | None
    minimum_order: Decimal | None
    maximum_order: Decimal | None
    lead_time_days: int | None
    attributes: tuple[Attribute, ...]
    standards: frozenset[str]
    languages: tuple[str, ...]
    listed: bool

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(vocabulary.technologies()[code].group for code in self.technologies)

    @property
    def reach(self) -> frozenset[str]:
        """The countries in which it may be proposed."""
        return self.serves | self.interested_in

    @classmethod
    def of(cls, fact: catalog.OfferingListed) -> "Offering":
        prices = fact.prices
        return cls(
            id=fact.id,
            technologies=tuple(fact.technologies),
            unit=fact.unit,
            serves=frozenset(fact.countries_served),
            interested_in=frozenset(fact.countries_of_interest),
            prices=prices
            and Prices(
                prices.currency,
                prices.basis,
                tuple(tier.quantity for tier in prices.tiers),
                tuple(tier.unit_price for tier in prices.tiers),
            ),
            minimum_order=fact.minimum_order,
            maximum_order=fact.maximum_order,
            lead_time_days=fact.lead_time_days,
            attributes=tuple(Attribute.of(stated) for stated in fact.attributes),
            standards=frozenset(plain(name) for name in (*fact.standards, *fact.certificates)),
            languages=_first_parts(fact.languages),
            listed=fact.status == "listed",
        )


def _first_parts(tags: list[str]) -> tuple[str, ...]:
    """`zh-Hant` and `zh` are one language for our purpose; the order stays, repeats go."""
    return tuple(dict.fromkeys(tag.split("-")[0] for tag in tags))


# As both are kept ------------------------------------------------------------------------------------------------------

need_from = msgspec.json.Decoder(Need).decode
offering_from = msgspec.json.Decoder(Offering).decode


def as_json(side: Need | Offering) -> str:
    """What `need_from` and `offering_from` read."""
    return msgspec.json.encode(side, order="deterministic").decode()
