"""Keeps the stored shortlists exact: by searching a need's list, or by fitting changed offerings into lists that stand."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from common.transaction import Transaction
from matching import list_store, store
from matching.domain.circumstances import Circumstances, Rates, day_at
from matching.domain.explanation import explained
from matching.domain.gates import is_expired
from matching.domain.places import Step, places, steps
from matching.domain.shortlist import (
    LENGTH,
    Judged,
    Rank,
    Standing,
    after_changes,
    best_of,
    judge,
    score_to_beat,
    standing_of,
)
from matching.domain.sides import Need, Offering


@dataclass(frozen=True, slots=True)
class NewList:
    """What has to be kept of a need's best. `judged` has those on its list whose explanation may be another than before."""

    need: Need
    standing: Standing
    judged: dict[str, Judged] = field(default_factory=dict)


async def search(tx: Transaction, needs: Iterable[tuple[Need, Circumstances]]) -> list[NewList]:
    """The list of each need from all offerings that may be proposed; closed and expired needs have an empty one."""
    read: dict[Step, list[Offering]] = {}
    found = []
    for need, circumstances in needs:
        best: list[Judged] = []
        if need.open and not is_expired(need, circumstances):
            for step in steps(need):
                if score_to_beat(best) > step.most:
                    break  # nothing that is still to be looked at could be kept
                if step not in read:
                    read[step] = await store.offerings_in(tx, step.field, step.without)
                best = best_of(need, read[step], circumstances, best)
                await asyncio.sleep(0)
        found.append(NewList(need, standing_of(best), {one.offering.id: one for one in best[:LENGTH]}))
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

    A list is searched only where so many fell or left that nobody is in line any more.
    """
    if not offerings:
        return {}
    changes = await _changes(tx, offerings, rates)
    standing = await list_store.standings(tx, changes)
    fitted: dict[str, Standing] = {}
    for need_id, change in changes.items():
        after = after_changes(standing[need_id], change.ranks)
        if after is not None:
            fitted[need_id] = after
    promoted = await _judge_promoted(tx, changes, standing, fitted, rates)
    lists = []
    for need_id, after in fitted.items():
        change = changes[need_id]
        known = {**promoted.get(need_id, {}), **change.judged}
        judged = {rank.offering_id: known[rank.offering_id] for rank in after.listed if rank.offering_id in known}
        # Exchange rates that came in since may rank one in line differently: then only a search is exact.
        if all(one is not None and one.rank in after.listed for one in judged.values()):
            lists.append(NewList(change.need, after, {id_: one for id_, one in judged.items() if one is not None}))
    done = {one.need.id for one in lists}
    to_search = [need_id for need_id in changes if need_id not in done]
    if to_search:
        lists += [one.found for one in await search_anew(tx, to_search, rates)]
    await put(tx, lists, standing)
    return {need_id: next(reversed(change.judged)) for need_id, change in changes.items()}


@dataclass(frozen=True, slots=True)
class _Change:
    """The offerings that changed for one need, judged; None for one that leaves or ranks below the floor.

    `today` is the day for which the list that stands was judged."""

    need: Need
    today: date
    judged: dict[str, Judged | None] = field(default_factory=dict)

    @property
    def ranks(self) -> dict[str, Rank | None]:
        return {offering_id: judged and judged.rank for offering_id, judged in self.judged.items()}


async def _changes(tx: Transaction, offerings: Sequence[Offering], rates: Rates) -> dict[str, _Change]:
    """Judge the offerings against every need by which they are kept or may come to be kept."""
    kept = await list_store.needs_keeping(tx, [offering.id for offering in offerings])
    reached = await list_store.needs_in_places(
        tx, [(number, place) for number, offering in enumerate(offerings) for place in places(offering)]
    )
    is_kept = {(one.number, one.need.id) for one in kept}
    changes: dict[str, _Change] = {}
    pairs = {(one.number, one.need.id): one for one in (*reached, *kept)}
    for (number, need_id), one in sorted(pairs.items(), key=lambda item: item[0]):
        offering = offerings[number]
        judged = judge(one.need, offering, Circumstances(one.today, rates), at_least=one.entry_score)
        if judged is not None or (number, need_id) in is_kept:
            changes.setdefault(need_id, _Change(one.need, one.today)).judged[offering.id] = judged
    return changes


async def _judge_promoted(
    tx: Transaction,
    changes: Mapping[str, _Change],
    standing: Mapping[str, Standing],
    fitted: Mapping[str, Standing],
    rates: Rates,
) -> dict[str, dict[str, Judged | None]]:
    """Those that were in line and get onto a list, which is why they have to be explained: by need and offering."""
    promoted: dict[str, list[str]] = {}
    for need_id, after in fitted.items():
        known = {rank.offering_id for rank in standing[need_id].listed} | changes[need_id].judged.keys()
        new = [rank.offering_id for rank in after.listed if rank.offering_id not in known]
        if new:
            promoted[need_id] = new
    rows = await store.offerings(tx, {id_ for ids in promoted.values() for id_ in ids}) if promoted else {}
    return {
        need_id: {
            id_: judge(changes[need_id].need, rows[id_].offering, Circumstances(changes[need_id].today, rates)) for id_ in ids
        }
        for need_id, ids in promoted.items()
    }


async def put(tx: Transaction, lists: Sequence[NewList], before: Mapping[str, Standing] | None = None) -> None:
    """Keep these in place of what was kept `before` (if it was read already)."""
    if not lists:
        return
    if before is None:
        before = await list_store.standings(tx, [one.need.id for one in lists])
    labels = await store.labels(tx, {offering_id for one in lists for offering_id in one.judged})
    off_list, on_list, out_of_line, in_line = [], [], [], []
    for one in lists:
        need_id, old, new = one.need.id, before[one.need.id], one.standing
        stay = {rank.offering_id for rank in new.listed}
        off_list += [(need_id, rank.offering_id) for rank in old.listed if rank.offering_id not in stay]
        on_list += [_row(one.need, judged, labels[offering_id]) for offering_id, judged in one.judged.items()]
        waited, wait = set(old.ranks[LENGTH:]), set(new.ranks[LENGTH:])
        out_of_line += [(need_id, rank.offering_id) for rank in waited - wait]
        in_line += [(need_id, rank.offering_id, rank.score) for rank in wait - waited]
    await list_store.save_matches(tx, off_list, on_list)
    await list_store.save_line(tx, out_of_line, in_line)
    await list_store.save_floors(tx, {one.need.id: one.standing.floor for one in lists})


def _row(need: Need, judged: Judged, label: store.Label) -> list_store.MatchRow:
    match = explained(need, judged, label.names, label.company)
    return list_store.MatchRow(need.id, judged.offering.id, label.company_id, judged.rank.score, match.said, match.fingerprint)
