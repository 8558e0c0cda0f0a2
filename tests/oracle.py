"""What every shortlist has to be, found the long way round: each need against each offering, by the rules alone.

It reads only what the services announced (their outboxes), so it agrees with the stored lists only if nothing was lost on the
way, done twice or done out of order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from common.contracts.catalog import ExchangeRatePublished, OfferingListed
from common.contracts.matching import ShortlistChanged
from common.contracts.needs import NeedPosted
from common.contracts.values import Fact
from common.exact_json import load
from matching.domain.circumstances import Circumstances, Rate
from matching.domain.shortlist import LENGTH, judge
from matching.domain.sides import Need, Offering
from tests.chain import rows

F = TypeVar("F", bound=Fact)
Line = tuple[str, int, tuple[int, ...]]
"""An offering's id, its score, and what each facet earned."""


@dataclass
class Announced:
    """The newest version of every need, offering, rate and shortlist."""

    needs: Mapping[str, NeedPosted]
    offerings: Mapping[str, OfferingListed]
    rates: Mapping[str, ExchangeRatePublished]
    shortlists: Mapping[str, ShortlistChanged]


async def announced(dsn: str) -> Announced:
    """What the services announced last of each key."""
    return Announced(
        {f.subject: f for f in await newest(dsn, "needs", NeedPosted)},
        {f.subject: f for f in await newest(dsn, "catalog", OfferingListed)},
        {f.subject: f for f in await newest(dsn, "catalog", ExchangeRatePublished)},
        {f.subject: f for f in await newest(dsn, "matching", ShortlistChanged)},
    )


async def newest(dsn: str, service: str, kind: type[F]) -> list[F]:
    """The newest fact of each key that a service appended to its outbox."""
    sql = "select distinct on (key) body from outbox where type = $1 order by key, sequence desc"
    return [load(kind, row["body"]) for row in await rows(dsn, service, sql, kind.type)]


def differences(seen: Announced) -> list[str]:
    """Every need whose announced shortlist is not the oracle's, in words; empty when all is right."""
    offerings = [Offering.of(fact) for fact in seen.offerings.values()]
    rates = {r.currency: Rate(r.currency, r.per_usd, r.as_of, r.source) for r in seen.rates.values()}
    found = []
    for id_, fact in seen.needs.items():
        stored = seen.shortlists.get(id_)
        if stored is None:
            found.append(f"{id_}: no shortlist")
            continue
        right = shortlist_of(fact, offerings, rates, stored.as_of)
        is_ = [(m.offering_id, m.score, tuple(facet.earned for facet in m.facets)) for m in stored.matches]
        if is_ != right:
            found.append(f"{id_}: is {is_}, should be {right}")
    return found


def shortlist_of(fact: NeedPosted, offerings: Iterable[Offering], rates: Mapping[str, Rate], at: datetime) -> list[Line]:
    """The ten best of all offerings, by score, then id."""
    need = Need.of(fact)
    today = at.astimezone(ZoneInfo(fact.municipality.timezone)).date()
    judged = (judge(need, offering, Circumstances(today, rates)) for offering in offerings)
    best = sorted((one for one in judged if one), key=lambda one: one.rank)[:LENGTH]
    return [(one.offering.id, one.rank.score, tuple(earned.points for earned in one.earned)) for one in best]
