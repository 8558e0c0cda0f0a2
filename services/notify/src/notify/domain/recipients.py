"""Who can be told: trade offices, the network secretariat, the city that posted, the company that offers.

A recipient is an organisation; its id is the organisation's id, so that its people find what it was told in their inbox.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from babel.core import get_global

from common.contracts.values import Contact

Kind = Literal["office", "secretariat", "municipality", "company"]
Language = Literal["ja", "en"]


@dataclass(frozen=True, slots=True)
class Recipient:
    """An organisation that is told: in which of our languages, in which time zone, and where mail reaches it (None: nowhere).

    `example` marks an invented organisation; `desk` names the function behind the address."""

    id: str
    kind: Kind
    names: Mapping[str, str]
    language: Language
    timezone: str
    address: str | None = None
    desk: Mapping[str, str] = field(default_factory=dict)
    example: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Offices:
    """The trade offices by id, in a fixed order, and what each serves: a country (`TH`) or a part of one (`VN-north`).

    They stay as they are, so what was looked up once is remembered: it is asked for every match of every list."""

    recipients: Mapping[str, Recipient]
    serves: Mapping[str, tuple[str, ...]]

    def by_id(self, office_id: str | None) -> Recipient | None:
        return self.recipients.get(office_id) if office_id else None

    @lru_cache(maxsize=1024)  # noqa: B019  the offices live as long as the process
    def serving(self, country: str) -> Recipient | None:
        """The office that serves the whole country."""
        return next((self.recipients[i] for i, areas in self.serves.items() if country in areas), None)

    @lru_cache(maxsize=1024)  # noqa: B019  the offices live as long as the process
    def sharing(self, country: str) -> Recipient | None:
        """The first listed of the offices that share a country, each with its part of it."""
        part = f"{country}-"
        found = (i for i, areas in self.serves.items() if any(area.startswith(part) for area in areas))
        return next((self.recipients[i] for i in found), None)

    @lru_cache(maxsize=1024)  # noqa: B019  the offices live as long as the process
    def zone_of(self, country: str) -> str:
        """The time zone to write to a company of that country in: its office's, else the country's only one, else UTC."""
        office = self.serving(country) or self.sharing(country)
        if office:
            return office.timezone
        zones = get_global("territory_zones").get(country, [])
        return str(zones[0]) if len(zones) == 1 else "UTC"


def language_for(languages: Sequence[str]) -> Language:
    """The first of a recipient's languages in which Musubi speaks; English where it speaks none of them."""
    for language in languages:
        if language in ("ja", "en"):
            return "ja" if language == "ja" else "en"
    return "en"


def company_names(names: Mapping[str, str], *, example: bool) -> Mapping[str, str]:
    """A company's names, each with the word that marks an invented one."""
    mark = {"ja": "（例）"}
    return {language: name + mark.get(language, " (example)") for language, name in names.items()} if example else names


def desk_for(contacts: Sequence[Contact], language: str) -> Contact | None:
    """The function to write to: the first that reads the language, else the first."""
    return next((c for c in contacts if language in c.languages), next(iter(contacts), None))


def reached_by(
    kind: Kind,
    organisation_id: str,
    names: Mapping[str, str],
    languages: Sequence[str],
    timezone: str,
    contacts: Sequence[Contact],
    *,
    example: bool = False,
) -> Recipient:
    """A city or a company as a recipient, reached at the desk that suits its language."""
    language = language_for(languages)
    contact = desk_for(contacts, language)
    return Recipient(
        id=organisation_id,
        kind=kind,
        names=names,
        language=language,
        timezone=timezone,
        address=contact.email if contact else None,
        desk=contact.function if contact else {},
        example=example,
    )
