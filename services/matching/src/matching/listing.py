"""Keeps the stored shortlists exact: by searching a need's list, or by fitting changed offerings into lists that stand."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from common.transaction import Transaction
from matching import store
from matching.domain.circumstances import Circumstances, Rates, day_at
from matching.domain.explanation import explained
from matching.domain.gates import is_expired
from matching.domain.places import Step, places, steps
from matching.domain.shortlist import Judged, Rank, after_changes, entry_score, judge, shortlist
from matching.domain.sides import Need, Offering


@dataclass(frozen=True, slots=True)
class NewList:
    """What a need's list has to be. `judged` has those of its offerings whose explanation may be another than before."""

    need: Need
    ranks: list[Rank]
    judged: dict[str, Judged] = field(default_factory=dict)


async def search(tx: Transaction, needs: Iterable[tuple[Need, Circumstances]]) -> list[NewList]:
    """The list of each need from all offerings that may be proposed; closed and expired needs have an empty one."""
    read: dict[Step, list[Offering]] = {}
    found = []
    for need, circumstances in needs:
        best: list[Judged] = []
        if need.open and not is_expired(need, circumstances):
            for step in steps(need):
                if best and entry_score([one.rank for one in best]) > step.most:
                    break  # nothing that is still to be looked at can get onto the list
                if step not in read:
                    read[step] = await store.offerings_in(tx, step.field, step.without)
                best = shortlist(need, read[step], circumstances, best)
                await asyncio.sleep(0)
        found.append(NewList(need, [one.rank for one in best], {one.offering.id: one for one in best}))
    return found


class Searched(NamedTuple):
    """A kept need whose list was searched anew, as of now: whether it is still open, and its time zone."""

    found: NewList
    open: bool
    timezone: str


async def search_anew(tx: Transaction, need_ids: Collection[str], rates: Rates) -> list[Searched]:
    """Search the lists of needs that are kept already, as of now; `put` has to follow."""
    zones, days, asked = {}, {}, []
    for need, timezone in await store.needs_to_search(tx, need_ids):
        circumstances = Circumstances(day_at(tx.now, timezone), rates)
        zones[need.id] = timezone
        days[need.id] = (circumstances.today, need.open and not is_expired(need, circumstances))
        asked.append((need, circumstances))
    await store.set_as_of(tx, tx.now, days)
    return [Searched(one, days[one.need.id][1], zones[one.need.id]) for one in await search(tx, asked)]


async def take_in(tx: Transaction, offerings: Sequence[Offering], rates: Rates) -> dict[str, str]:
    """Fit offerings that changed into every list that they touch. Returns the needs touched, each with the last that did.

    An offering that stood on a full list and fell may have to give way to one that is on no list: only then it is searched.
    """
    if not offerings:
        return {}
    changes = await _changes(tx, offerings, rates)
    standing = await store.ranks(tx, changes)
    lists, to_search = [], []
    for need_id, change in changes.items():
        after = after_changes(standing.get(need_id, ()), change.ranks)
        if after is None:
            to_search.append(need_id)
        else:
            on_list = {rank.offering_id for rank in after}
            judged = {id_: one for id_, one in change.judged.items() if one is not None and id_ in on_list}
            lists.append(NewList(change.need, after, judged))
    if to_search:
        for one in await search_anew(tx, to_search, rates):
            need_id = one.found.need.id
            lists.append(_only_what_is_new(one.found, changes[need_id], standing[need_id], day_at(tx.now, one.timezone)))
    await put(tx, lists, standing)
    return {need_id: next(reversed(change.judged)) for need_id, change in changes.items()}


@dataclass(frozen=True, slots=True)
class _Change:
    """The offerings that changed for one need, judged; None for one that leaves the list or ranks below it.

    `today` is the day for which the list that stands was judged."""

    need: Need
    today: date
    judged: dict[str, Judged | None] = field(default_factory=dict)

    @property
    def ranks(self) -> dict[str, Rank | None]:
        return {offering_id: judged and judged.rank for offering_id, judged in self.judged.items()}


async def _changes(tx: Transaction, offerings: Sequence[Offering], rates: Rates) -> dict[str, _Change]:
    """Judge the offerings against every need whose list they may reach or stand on."""
    listed = await store.needs_listing(tx, [offering.id for offering in offerings])
    reached = await store.needs_in_places(
        tx, [(number, place) for number, offering in enumerate(offerings) for place in places(offering)]
    )
    on_list = {(one.number, one.need.id) for one in listed}
    changes: dict[str, _Change] = {}
    pairs = {(one.number, one.need.id): one for one in (*reached, *listed)}
    for (number, need_id), one in sorted(pairs.items(), key=lambda item: item[0]):
        offering = offerings[number]
        judged = judge(one.need, offering, Circumstances(one.today, rates), at_least=one.entry_score)
        if judged is not None or (number, need_id) in on_list:
            changes.setdefault(need_id, _Change(one.need, one.today)).judged[offering.id] = judged
    return changes


def _only_what_is_new(found: NewList, change: _Change, standing: Sequence[Rank], today: date) -> NewList:
    """A list searched anew on the day of the one before: what stood there and did not change is explained already."""
    if today != change.today:
        return found
    stood = set(standing)
    judged = {id_: one for id_, one in found.judged.items() if one.rank not in stood or id_ in change.judged}
    return NewList(found.need, found.ranks, judged)


async def put(tx: Transaction, lists: Sequence[NewList], standing: Mapping[str, Sequence[Rank]] | None = None) -> None:
    """Keep these lists in place of those before (`standing`, if they were read already)."""
    if not lists:
        return
    if standing is None:
        standing = await store.ranks(tx, [one.need.id for one in lists])
    labels = await store.labels(tx, {offering_id for one in lists for offering_id in one.judged})
    gone, come = [], []
    for one in lists:
        need_id, stay = one.need.id, {rank.offering_id for rank in one.ranks}
        gone += [(need_id, rank.offering_id) for rank in standing.get(need_id, ()) if rank.offering_id not in stay]
        come += [_row(one.need, judged, labels[offering_id]) for offering_id, judged in one.judged.items()]
    await store.save_matches(tx, gone, come)
    await store.set_entry_scores(tx, {one.need.id: entry_score(one.ranks) for one in lists})


def _row(need: Need, judged: Judged, label: store.Label) -> store.MatchRow:
    match = explained(need, judged, label.names, label.company)
    return store.MatchRow(need.id, judged.offering.id, label.company_id, judged.rank.score, match.said, match.fingerprint)
