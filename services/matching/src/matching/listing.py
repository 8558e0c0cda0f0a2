"""Keeps the stored shortlists as the engine finds them, each place with its explanation by the plain rules."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from common.transaction import Transaction
from matching import list_store, memory_store, store
from matching.domain.circumstances import Circumstances, Rates
from matching.domain.explanation import explained
from matching.domain.shortlist import Judged, Rank, judge
from matching.domain.sides import Need
from matching.memory import Hold, NewList, News
from matching.memory_store import Place

EXPLAINED_AT_ONCE = 50
"""Each takes some 0.1 ms; in between, others on the event loop get their turn."""


class EngineDisagrees(RuntimeError):
    """The engine counts other points than the rules: what it found cannot be announced."""


async def take_in(tx: Transaction, hold: Hold, news: Mapping[str, News]) -> list[NewList]:
    """This is new in these groups. Brings every list that it touches up to date and returns those that changed; needs that are
    not open have an empty list from now on. What a need's list is, its own group says alone."""
    rates = await store.rates(tx)
    lists = await hold.take_in(rates, news)
    anew = {(group, need_id) for group, here in news.items() for need_id in here.needs}
    listless = anew - {(one.group, one.need_id) for one in lists}
    lists += [NewList(group, need_id, []) for group, need_id in sorted(listless)]
    belonging = await store.needs_belonging(tx, [(one.group, one.need_id) for one in lists])
    lists = [one for one in lists if (one.group, one.need_id) in belonging]
    doubtful = await _put(tx, lists, anew, rates)
    if doubtful:  # rates changed since these were judged, and another duty has not come to them yet
        lists = [one for one in lists if (one.group, one.need_id) not in doubtful]
        found: list[NewList] = []
        for group in sorted({group for group, _ in doubtful}):
            found += await hold.search_anew(group, [need for place, need in doubtful.items() if place[0] == group])
        if await _put(tx, found, doubtful.keys(), rates):
            raise EngineDisagrees(f"needs {', '.join(sorted(need_id for _, need_id in doubtful))}")
        lists += found
    return lists


class _Explained(NamedTuple):
    """A place on a list that has to be explained."""

    need: Place
    offering: Place
    rank: Rank


async def _put(
    tx: Transaction, lists: Sequence[NewList], anew: Collection[Place], rates: Rates
) -> Mapping[Place, tuple[Need, date]]:
    """Keep these lists; all places of needs in `anew` are explained anew. Returns the needs whose places the rules score
    otherwise; their lists stay as they were."""
    before = await list_store.scores(tx, [one.need_id for one in lists])
    places = [
        _Explained((one.group, one.need_id), (one.group, rank.offering_id), rank)
        for one in lists
        for rank in one.listed
        if (one.group, one.need_id) in anew
        or rank.offering_id in one.renewed
        or before[one.need_id].get(rank.offering_id) != rank.score
    ]
    needs = await memory_store.needs(tx, {place.need for place in places})
    offered = await memory_store.offerings(tx, {place.offering for place in places})
    labels = await store.labels(tx, {place.rank.offering_id for place in places})
    doubtful: dict[Place, tuple[Need, date]] = {}
    rows: list[list_store.MatchRow] = []
    for number, place in enumerate(places):
        if number % EXPLAINED_AT_ONCE == 0:
            await asyncio.sleep(0)
        need, today = needs[place.need]
        judged = judge(need, offered[place.offering], Circumstances(today, rates))
        if judged is None or judged.rank != place.rank:
            doubtful[place.need] = needs[place.need]
        else:
            rows.append(_row(need, judged, labels[judged.offering.id]))
    unsure = {need_id for _, need_id in doubtful}
    stay = {(one.need_id, rank.offering_id) for one in lists for rank in one.listed}
    gone = [(id_, offering) for id_, scores in before.items() for offering in scores if (id_, offering) not in stay]
    await list_store.save_matches(
        tx, [pair for pair in gone if pair[0] not in unsure], [row for row in rows if row.need_id not in unsure]
    )
    return doubtful


def _row(need: Need, judged: Judged, label: store.Label) -> list_store.MatchRow:
    match = explained(need, judged, label.names, label.company)
    return list_store.MatchRow(need.id, judged.offering.id, label.company_id, judged.rank.score, match.said, match.fingerprint)
