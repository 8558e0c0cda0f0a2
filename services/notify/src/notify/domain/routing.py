"""Who is told of a match and why: the routing rules, as a list that can be read from top to bottom.

Each rule says who (a recipient found from need and match), when (a condition), from which score on (by kind of recipient), and
the sentence that tells the recipient why. A recipient that two rules find is told once, for the first of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from common import vocabulary
from common.contracts.matching import Match, NeedSummary
from notify.domain.recipients import Kind, Offices, Recipient, reached_by

THRESHOLDS: Mapping[Kind, int] = {"office": 60, "secretariat": 60, "municipality": 50, "company": 50}
"""The score (of 100) from which a match is worth telling. City and company hear earlier: it is their own need and product."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """One match of one need, and those who are always there to be told."""

    need: NeedSummary
    match: Match
    offices: Offices
    secretariat: Recipient


@dataclass(frozen=True, slots=True)
class Rule:
    """`unless`: the rule only holds where none of the named rules found anybody."""

    name: str
    kind: Kind
    who: Callable[[Occasion], Recipient | None]
    why: Mapping[str, str]
    when: Callable[[Occasion], bool] = lambda _: True
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody who is to be told of a match, by which rule."""

    recipient: Recipient
    match: Match
    rule: Rule


def _city_office(o: Occasion) -> Recipient | None:
    return o.offices.by_id(o.need.municipality.office_id)


def _country_office(o: Occasion) -> Recipient | None:
    return o.offices.serving(o.need.municipality.country)


def _first_office_of_shared_country(o: Occasion) -> Recipient | None:
    return o.offices.sharing(o.need.municipality.country)


def _secretariat(o: Occasion) -> Recipient:
    return o.secretariat


def _city(o: Occasion) -> Recipient:
    city = o.need.municipality
    return reached_by("municipality", city.id, city.names, city.languages, city.timezone, contacts=[])


def _company(o: Occasion) -> Recipient:
    company = o.match.company
    zone = o.offices.zone_of(company.country)
    return reached_by("company", company.id, company.names, [], zone, contacts=[], example=company.example)


def _buys_together(o: Occasion) -> bool:
    return o.need.joint_purchase


RULES: tuple[Rule, ...] = (
    Rule(
        name="office-of-the-city",
        kind="office",
        who=_city_office,
        why={"en": "Your office looks after {city}.", "ja": "貴事務所が{city}を担当しているためです。"},
    ),
    Rule(
        name="office-of-the-country",
        kind="office",
        who=_country_office,
        unless=("office-of-the-city",),
        why={
            "en": "No office is recorded for {city}, and your office serves {country}.",
            "ja": "{city}の担当事務所が登録されておらず、貴事務所が{country}を担当しているためです。",
        },
    ),
    Rule(
        name="first-office-of-a-shared-country",
        kind="office",
        who=_first_office_of_shared_country,
        unless=("office-of-the-city", "office-of-the-country"),
        why={
            "en": "No office is recorded for {city}, and yours is listed first of the offices that share {country}.",
            "ja": "{city}の担当事務所が登録されておらず、{country}を分担する事務所のうち貴事務所が一覧の最初にあるためです。",
        },
    ),
    Rule(
        name="secretariat-where-no-office",
        kind="secretariat",
        who=_secretariat,
        unless=("office-of-the-city", "office-of-the-country", "first-office-of-a-shared-country"),
        why={
            "en": "No office is recorded for {city} and none serves {country}, so this comes to the secretariat.",
            "ja": "{city}にも{country}にも担当事務所が登録されていないため、事務局にお届けしています。",
        },
    ),
    Rule(
        name="secretariat-joint-purchase",
        kind="secretariat",
        who=_secretariat,
        when=_buys_together,
        why={
            "en": "{city} welcomes buying together with others, and the secretariat runs joint purchases.",
            "ja": "{city}が共同購入を希望しており、共同購入は事務局が担当しているためです。",
        },
    ),
    Rule(
        name="municipality-that-posted",
        kind="municipality",
        who=_city,
        why={"en": "{city} posted this need.", "ja": "{city}がこのニーズを登録したためです。"},
    ),
    Rule(
        name="company-that-offers",
        kind="company",
        who=_company,
        why={
            "en": "{company} offers the product that fits.",
            "ja": "合う製品を{company}が登録しているためです。",
        },
    ),
)


def whom_to_tell(occasion: Occasion, rules: Sequence[Rule] = RULES) -> list[Told]:
    """Everybody who is told of this match, each once, in the order of the rules."""
    found: set[str] = set()
    told: dict[str, Told] = {}
    for rule in rules:
        if found.intersection(rule.unless) or not rule.when(occasion):
            continue
        recipient = rule.who(occasion)
        if recipient is None:
            continue
        found.add(rule.name)
        if occasion.match.score >= THRESHOLDS[rule.kind] and recipient.id not in told:
            told[recipient.id] = Told(recipient, occasion.match, rule)
    return list(told.values())


def why(told: Told, need: NeedSummary) -> dict[str, str]:
    """The sentence that tells the recipient which rule applied, by language."""
    city = need.municipality
    return {
        language: sentence.format(
            city=vocabulary.pick(city.names, language),
            country=vocabulary.country_name(city.country, language),
            company=vocabulary.pick(told.match.company.names, language),
        )
        for language, sentence in told.rule.why.items()
    }
