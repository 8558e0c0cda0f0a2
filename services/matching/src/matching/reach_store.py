"""SQL of what a company would reach: its offerings, and the open needs of their fields with the lists that stand for them."""

from collections.abc import Collection
from typing import NamedTuple

from common.contracts.matching import NeedSummary
from common.exact_json import from_json, load
from common.transaction import Transaction
from common.vocabulary import technologies
from matching.domain.reach import OpenNeed
from matching.domain.shortlist import Rank
from matching.domain.sides import Offering, need_from, offering_from
from matching.page_store import ShownOffering


async def offerings_of(tx: Transaction, company: str) -> list[ShownOffering]:
    """The listed offerings of a company."""
    rows = await tx.fetch(
        "select judged, names, company from offering where company ->> 'id' = $1 and fields <> '{}' order by id", company
    )
    return [ShownOffering(offering_from(judged), from_json(names), from_json(by)) for judged, names, by in rows]


async def lists_something(tx: Transaction, company: str) -> bool:
    """Whether a company has a listed offering."""
    return await tx.fetchval("select exists (select 1 from offering where company ->> 'id' = $1 and fields <> '{}')", company)


class NeedRead(NamedTuple):
    """An open need as the rules look at it; `summary` is its JSON, read only of those that are shown."""

    open_need: OpenNeed
    summary: str

    def summarised(self) -> NeedSummary:
        return load(NeedSummary, self.summary)


async def open_needs(tx: Transaction, offerings: Collection[Offering]) -> list[NeedRead]:
    """The open needs of the fields (group and unit) of these offerings, whatever their country."""
    fields = {(group, offering.unit) for offering in offerings for group in offering.groups}
    rows = await tx.fetch(
        """select judged, today, scores, offering_ids, summary from need
        cross join lateral (
            select array_agg(score) as scores, array_agg(offering_id) as offering_ids from match where need_id = need.id
        ) as listed
        where open and technology = any($1::text[]) order by id""",
        [one.code for one in technologies().values() if (one.group, one.unit) in fields],
    )
    return [
        NeedRead(OpenNeed(need_from(judged), today, tuple(map(Rank.of, scores or (), ids or ()))), summary)
        for judged, today, scores, ids, summary in rows
    ]
