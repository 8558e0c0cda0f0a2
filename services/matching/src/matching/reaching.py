"""Which needs a company would reach if…, for whoever may see that company's proposals.

Needs are published, so a company may read of every open need what everybody may: what is wanted, where, by when, for how much.
Shortlists are not: of those it learns no more than whether its own offering would be on one (see decision 81).
"""

import asyncio
from typing import NamedTuple

from common.access.auth import Principal
from common.contracts.matching import NeedSummary
from common.errors import NotFound
from common.service import Service
from common.web.addresses import known_form
from matching import reach_store, store
from matching.domain.reach import Lever, levers
from matching.page_store import Scope, ShownOffering

MOST_CHANGES = 30
MOST_OFFERINGS = 50
"""Of a company at once: each is tried against every open need of its field. Any offering can be asked for by itself."""
MOST_NEEDS = 100
"""Of one change; its counts are of all."""


class Reach(NamedTuple):
    """What would bring a company, or one of its offerings, the most. `listed`: needs on whose shortlist it is already;
    `left_out`: offerings that were not looked at."""

    company_id: str
    offerings: dict[str, ShownOffering]
    only: ShownOffering | None
    open_needs: int
    listed: int
    left_out: int
    levers: list[Lever]
    needs: dict[str, NeedSummary]


async def reach_of(service: Service, reader: Principal, company_id: str, offering_id: str | None = None) -> Reach:
    """Raises `NotFound` for another company's reader, for a city's officer, and where the company lists nothing such."""
    scope = Scope.of(reader)
    if scope.municipality is not None or scope.company not in (None, company_id):
        raise NotFound
    async with service.database.reading() as tx:
        of_company = {one.offering.id: one for one in await reach_store.offerings_of(tx, known_form(company_id))}
        only = of_company.get(known_form(offering_id)) if offering_id else None
        if not of_company or (offering_id and only is None):
            raise NotFound
        every = [one.offering for one in ([only] if only else of_company.values())]
        asked = every[:MOST_OFFERINGS]
        read = await reach_store.open_needs(tx, asked)
        rates = await store.rates(tx)
    open_needs = [one.open_need for one in read]
    # Thousands of pairs: others have their turn meanwhile.
    found = (await asyncio.to_thread(levers, asked, open_needs, rates))[:MOST_CHANGES]
    named = {one.need.id for lever in found for one in lever.best[:MOST_NEEDS]}
    return Reach(
        company_id,
        of_company,
        only,
        len(read),
        sum(1 for one in open_needs if any(one.lists(offering) for offering in asked)),
        len(every) - len(asked),
        found,
        {one.open_need.need.id: one.summarised() for one in read if one.open_need.need.id in named},
    )
