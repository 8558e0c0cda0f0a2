"""What matching does when something arrives: needs, offerings and exchange rates each bring shortlists up to date.

A need and an offering that arrive together, even at two processes, meet: `take_locks` runs before any handler of a batch, so
whoever comes second reads what the first has committed.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from common import due
from common.contracts.catalog import ExchangeRatePublished, OfferingListed
from common.contracts.needs import NeedPosted
from common.due import Duty, DutyHandler
from common.exact_json import dump, to_json
from common.messaging.consumer import Arrived, Handler
from common.messaging.message import Event
from common.transaction import Transaction
from common.vocabulary import technologies
from matching import announcing, listing, memory_store, store
from matching.domain.circumstances import Circumstances, Rate, day_at, next_day_begins
from matching.domain.explanation import need_summary
from matching.domain.gates import is_expired
from matching.domain.sides import Need, Offering
from matching.domain.words import shortened
from matching.memory import Memory, NewList

JUDGE_AGAIN = "judge_again"
SOURCE_LENGTH = 200


async def take_locks(arrived: Sequence[Arrived[Any]], tx: Transaction, memory: Memory) -> None:
    """Have the technology groups that these events touch to ourselves, under old and new versions, before anything is read."""
    needs = [one.data for one in arrived if isinstance(one.data, NeedPosted)]
    offerings = [one.data for one in arrived if isinstance(one.data, OfferingListed)]
    known = technologies()
    groups = {known[need.technology].group for need in needs}
    groups |= {known[code].group for offering in offerings for code in offering.technologies}
    if any(isinstance(one.data, ExchangeRatePublished) for one in arrived):
        groups |= {technology.group for technology in known.values()}
    homes = await memory_store.homes(tx, "need", [need.id for need in needs]) if needs else {}
    homes |= await memory_store.homes(tx, "offering", [offering.id for offering in offerings]) if offerings else {}
    await memory.hold(tx, groups.union(*homes.values()))


async def propose_for_needs(arrived: Sequence[Arrived[NeedPosted]], tx: Transaction, memory: Memory) -> None:
    """Search the list of each new or changed need; it is announced at once, also when it is empty. Closed needs have none."""
    newest = {one.data.id: one for one in arrived}
    rows = {need_id: _need_row(one, tx) for need_id, one in newest.items()}
    await store.save_needs(tx, list(rows.values()))
    await listing.take_in(tx, memory.held(tx), needs=[(row.need, row.today) for row in rows.values()])
    await _see_to_the_next_day(tx, rows, newest)
    await announcing.announce_changes(tx, {need_id: one.event for need_id, one in newest.items()})


def _need_row(one: Arrived[NeedPosted], tx: Transaction) -> store.NeedRow:
    fact = one.data
    need = Need.of(fact)
    today = day_at(tx.now, fact.municipality.timezone)
    still_open = need.open and not is_expired(need, Circumstances(today, {}))
    return store.NeedRow(
        need, fact.municipality.id, still_open, dump(need_summary(fact)).decode(), tx.trace_of(one.event), tx.now, today
    )


async def _see_to_the_next_day(tx: Transaction, rows: dict[str, store.NeedRow], newest: dict[str, Arrived[NeedPosted]]) -> None:
    """Days to the deadline count, and one day it has passed: every open need is judged again when its day is over."""
    wait = sorted(need_id for need_id, row in rows.items() if row.open)
    zones = {need_id: newest[need_id].data.municipality.timezone for need_id in wait}
    await due.schedule_all(tx, wait, JUDGE_AGAIN, [next_day_begins(tx.now, zones[need_id]) for need_id in wait])
    for need_id in sorted(set(rows) - set(wait)):
        await due.cancel(tx, need_id, JUDGE_AGAIN)


async def propose_for_offerings(arrived: Sequence[Arrived[OfferingListed]], tx: Transaction, memory: Memory) -> None:
    """Bring the list of every need that a new, changed or withdrawn offering touches up to date; announce those that changed."""
    newest = {one.data.id: one for one in arrived}
    rows = [_offering_row(one, tx) for one in newest.values()]
    before = await store.offerings(tx, newest)
    await store.save_offerings(tx, rows)
    changed = [row.offering for row in rows if not row.says_the_same_as(before.get(row.offering.id))]
    if changed:
        lists = await listing.take_in(tx, memory.held(tx), offerings=changed)
        last = newest[changed[-1].id].event
        causes = {one.need_id: _cause(one, newest) or last for one in lists}
        await announcing.announce_changes(tx, causes)


def _cause(one: NewList, newest: Mapping[str, Arrived[OfferingListed]]) -> Event | None:
    """The last event that brought one of these offerings onto the list; None where some only fell or left."""
    events = [arrived.event for id_, arrived in newest.items() if id_ in one.renewed]
    return events[-1] if events else None


def _offering_row(one: Arrived[OfferingListed], tx: Transaction) -> store.OfferingRow:
    fact = one.data
    names, company = to_json(fact.names).decode(), dump(fact.company).decode()
    return store.OfferingRow(Offering.of(fact), names, company, tx.trace_of(one.event))


async def take_exchange_rates(arrived: Sequence[Arrived[ExchangeRatePublished]], tx: Transaction, memory: Memory) -> None:
    """Keep the newest rates, and have every list judged again that may compare prices through them, one after the other."""
    newest = {
        one.data.currency: Rate(one.data.currency, one.data.per_usd, one.data.as_of, shortened(one.data.source, SOURCE_LENGTH))
        for one in arrived
    }
    changed = await store.save_rates(tx, list(newest.values()))
    if changed:
        need_ids = await store.needs_comparing(tx, changed)
        await due.schedule_all(tx, need_ids, JUDGE_AGAIN, [tx.now] * len(need_ids))


async def judge_again(duty: Duty, tx: Transaction, memory: Memory) -> None:
    """A day has passed at the need's municipality, or exchange rates changed: search its list anew."""
    homes = await memory_store.homes(tx, "need", [duty.key])
    hold = await memory.hold(tx, homes.get(duty.key, ()))
    if await memory_store.homes(tx, "need", [duty.key]) != homes:
        return  # it changed its group while we waited: its list was searched with that, and the next day planned
    one = (await store.needs_to_judge(tx, [duty.key]))[duty.key]
    today = day_at(tx.now, one.timezone)
    still_open = one.need.open and not is_expired(one.need, Circumstances(today, {}))
    await store.set_as_of(tx, tx.now, {duty.key: (today, still_open)})
    await listing.take_in(tx, hold, needs=[(one.need, today)])
    if still_open:
        await due.schedule(tx, duty.key, JUDGE_AGAIN, next_day_begins(tx.now, one.timezone))
    await announcing.announce_changes(tx, {duty.key: None})


HANDLERS: dict[Any, Any] = {
    NeedPosted: propose_for_needs,
    OfferingListed: propose_for_offerings,
    ExchangeRatePublished: take_exchange_rates,
}
"""What takes which events; each handler takes the process's memory, too."""


def handlers(memory: Memory) -> dict[Any, Handler]:
    """What the consumer calls."""
    return {kind: partial(handler, memory=memory) for kind, handler in HANDLERS.items()}


def duties(memory: Memory) -> dict[str, DutyHandler]:
    """What is done when its time has come."""
    return {JUDGE_AGAIN: partial(judge_again, memory=memory)}
