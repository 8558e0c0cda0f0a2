"""Keeps the stored shortlists as the engine finds them, each place with its explanation by the plain rules."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from common.transaction import Transaction
from matching import list_store, store
from matching.domain.circumstances import Circumstances, Rates
from matching.domain.explanation import explained
from matching.domain.shortlist import Judged, Rank, judge
from matching.domain.sides import Need, Offering
from matching.memory import Hold, NewList

EXPLAINED_AT_ONCE = 50
"""Each takes some 0.1 ms; in between, others on the event loop get their turn."""


class EngineDisagrees(RuntimeError):
    """The engine counts other points than the rules: what it found cannot be announced."""


async def take_in(
    tx: Transaction,
    hold: Hold,
    *,
    needs: Sequence[tuple[Need, date]] = (),
    offerings: Sequence[Offering] = (),
) -> list[NewList]:
    """These needs (each with the day for which it is judged) and offerings are new or changed and are kept already. Brings every
    list that they touch up to date and returns those that changed; needs that are not open have an empty list from now on."""
    rates = await store.rates(tx)
    lists = await hold.take_in(rates, needs=needs, offerings=offerings)
    anew = {need.id for need, _ in needs}
    listless = anew - {one.need_id for one in lists}
    lists += [NewList(need_id, []) for need_id in sorted(listless)]
    doubtful = await _put(tx, lists, anew, rates)
    if doubtful:  # rates changed since these were judged, and another duty has not come to them yet
        lists = [one for one in lists if one.need_id not in doubtful]
        found = await hold.search_anew([(one.need, one.today) for one in doubtful.values()])
        if await _put(tx, found, set(doubtful), rates):
            raise EngineDisagrees(f"needs {', '.join(sorted(doubtful))}")
        lists += found
    return lists


class _Place(NamedTuple):
    """A place on a list that has to be explained."""

    need: store.NeedToJudge
    rank: Rank


async def _put(tx: Transaction, lists: Sequence[NewList], anew: Collection[str], rates: Rates) -> Mapping[str, store.NeedToJudge]:
    """Keep these lists; all places of needs in `anew` are explained anew. Returns the needs whose places the rules score
    otherwise; their lists stay as they were."""
    need_ids = [one.need_id for one in lists]
    needs, before = await store.needs_to_judge(tx, need_ids), await list_store.scores(tx, need_ids)
    places = [
        _Place(needs[one.need_id], rank)
        for one in lists
        for rank in one.listed
        if one.need_id in anew or rank.offering_id in one.renewed or before[one.need_id].get(rank.offering_id) != rank.score
    ]
    offered = await store.offerings(tx, {place.rank.offering_id for place in places})
    labels = await store.labels(tx, offered)
    doubtful: dict[str, store.NeedToJudge] = {}
    rows: list[list_store.MatchRow] = []
    for number, place in enumerate(places):
        if number % EXPLAINED_AT_ONCE == 0:
            await asyncio.sleep(0)
        judged = judge(place.need.need, offered[place.rank.offering_id].offering, Circumstances(place.need.today, rates))
        if judged is None or judged.rank != place.rank:
            doubtful[place.need.need.id] = place.need
        else:
            rows.append(_row(place.need.need, judged, labels[judged.offering.id]))
    stay = {(one.need_id, rank.offering_id) for one in lists for rank in one.listed}
    gone = [(id_, offering) for id_, scores in before.items() for offering in scores if (id_, offering) not in stay]
    await list_store.save_matches(
        tx,
        [pair for pair in gone if pair[0] not in doubtful],
        [row for row in rows if row.need_id not in doubtful],
    )
    return doubtful


def _row(need: Need, judged: Judged, label: store.Label) -> list_store.MatchRow:
    match = explained(need, judged, label.names, label.company)
    return list_store.MatchRow(need.id, judged.offering.id, label.company_id, judged.rank.score, match.said, match.fingerprint)
