"""The recipients that are there from the start: JETRO's offices and the network secretariat.

`offices.csv` holds facts compiled in November 2026 from public pages. `confirmed` says how far: `text` (the office stands in a
text that was read), `count` (only the number of offices in that country was read), `memory` (the compiler's knowledge).
Their addresses are not facts: each is a function at an `.example` address, which no mail server in the world accepts.
"""

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from common.contracts.matching import Match, NeedSummary
from notify.domain.recipients import Kind, Offices, Recipient, company_names, language_for

OFFICE_DESK = {"en": "Trade desk", "ja": "貿易担当"}

SECRETARIAT = Recipient(
    id="secretariat",
    kind="secretariat",
    names={"en": "Network secretariat", "ja": "ネットワーク事務局"},
    language="ja",
    timezone="Asia/Tokyo",
    address="desk@musubi.example",
    desk={"en": "Secretariat desk", "ja": "事務局窓口"},
)


@cache
def offices() -> Offices:
    """Every office in the order of the file, with the countries and regions that it serves."""
    text = files("notify").joinpath("offices.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return Offices(
        recipients={
            row["id"]: Recipient(
                id=row["id"],
                kind="office",
                names={"en": row["name_en"], "ja": row["name_ja"]},
                language=language_for(row["languages"].split()),
                timezone=row["timezone"],
                address=f"trade-desk@{row['id']}.example",
                desk=OFFICE_DESK,
            )
            for row in rows
        },
        serves={row["id"]: tuple(row["serves"].split()) for row in rows},
    )


def names_of(kind: Kind, recipient_id: str, need: NeedSummary, match: Match) -> Mapping[str, str]:
    """The names of somebody who is told of this match."""
    if kind == "municipality":
        return need.municipality.names
    if kind == "company":
        return company_names(match.company.names, example=match.company.example)
    office = offices().by_id(recipient_id)
    return office.names if office else SECRETARIAT.names
