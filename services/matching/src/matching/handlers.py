"""What a technology group does when something of it arrives, or a day is over: it brings its needs' shortlists up to date.

A need and an offering of a group meet, whichever comes first: `take_locks` runs before any handler of a batch, so whoever comes
second knows what the first has committed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

from common import due
from common.contracts.matching import NeedRouted, OfferingRouted
from common.contracts.needs import NeedPosted
from common.due import Duty, DutyHandler
from common.messaging.consumer import Arrived, Handler
from common.messaging.message import Event
from common.transaction import Transaction
from matching import announcing, listing, memory_store, store
from matching.domain.circumstances import Circumstances, day_at, next_day_begins
from matching.domain.gates import is_expired
from matching.domain.sides import Need, Offering
from matching.memory import Memory, NewList, News

JUDGE_AGAIN = "judge_again"
GROUP = "matching-groups"
"""The consumer group that works on technology groups."""


async def take_locks(arrived: Sequence[Arrived[Any]], tx: Transaction, memory: Memory) -> None:
    """Have the technology groups that these events belong to to ourselves, before anything is read."""
    await memory.hold(tx, {one.data.group for one in arrived})


async def propose_for_needs(arrived: Sequence[Arrived[NeedRouted]], tx: Transaction, memory: Memory) -> None:
    """Search the list of each new or changed need; it is announced at once, also when it is empty. Closed needs have none."""
    newest = {one.event.key: one for one in arrived}
    here = {key: _day_of(one.data.group, one.data.need, tx) for key, one in newest.items() if one.data.need is not None}
    await store.set_as_of(tx, tx.now, here.values())
    await listing.take_in(tx, memory.held(tx), _news_of_needs(newest, here))
    await _see_to_the_next_day(tx, newest, here)
    await announcing.announce_changes(tx, {newest[key].data.id: newest[key].event for key in here})


def _day_of(group: str, fact: NeedPosted, tx: Transaction) -> store.Day:
    today = day_at(tx.now, fact.municipality.timezone)
    return store.Day(group, fact.id, today, _is_open(Need.of(fact), today))


def _is_open(need: Need, today: date) -> bool:
    return need.open and not is_expired(need, Circumstances(today, {}))


def _news_of_needs(newest: Mapping[str, Arrived[NeedRouted]], days: Mapping[str, store.Day]) -> dict[str, News]:
    news: dict[str, News] = defaultdict(News)
    for key, one in newest.items():
        fact, day = one.data.need, days.get(key)
        news[one.data.group].needs[one.data.id] = (Need.of(fact), day.today) if fact and day and day.open else None
    return news


async def _see_to_the_next_day(tx: Transaction, newest: Mapping[str, Arrived[NeedRouted]], days: Mapping[str, store.Day]) -> None:
    """Days to the deadline count, and one day it has passed: every open need is judged again when its day is over."""
    zones = {key: one.data.need.municipality.timezone for key, one in newest.items() if one.data.need is not None}
    wait = sorted(key for key, day in days.items() if day.open)
    await due.schedule_all(tx, wait, JUDGE_AGAIN, [next_day_begins(tx.now, zones[key]) for key in wait])
    for key in sorted(newest.keys() - set(wait)):
        await due.cancel(tx, key, JUDGE_AGAIN)


async def propose_for_offerings(arrived: Sequence[Arrived[OfferingRouted]], tx: Transaction, memory: Memory) -> None:
    """Bring the list of every need that a new, changed or withdrawn offering touches up to date; announce those that changed."""
    newest = {one.event.key: one for one in arrived}
    news: dict[str, News] = defaultdict(News)
    for one in newest.values():
        fact = one.data.offering
        news[one.data.group].offerings[one.data.id] = None if fact is None else Offering.of(fact)
    lists = await listing.take_in(tx, memory.held(tx), news)
    last = {one.data.group: one.event for one in newest.values()}
    await announcing.announce_changes(tx, {one.need_id: _cause(one, newest) or last[one.group] for one in lists})


def _cause(one: NewList, newest: Mapping[str, Arrived[OfferingRouted]]) -> Event | None:
    """The last event that brought one of these offerings onto the list; None where some only fell or left."""
    events = [arrived.event for arrived in newest.values() if arrived.data.group == one.group and arrived.data.id in one.renewed]
    return events[-1] if events else None


async def judge_again(duty: Duty, tx: Transaction, memory: Memory) -> None:
    """A day has passed at the need's municipality, or exchange rates changed: search its list anew."""
    group, need_id = duty.key.split("/", 1)
    hold = await memory.hold(tx, [group])
    known = await memory_store.needs(tx, [(group, need_id)])
    if not known:
        return  # it closed or left the group while we waited
    ((need, _),) = known.values()
    zone = (await store.timezones(tx, [need_id]))[need_id]
    today = day_at(tx.now, zone)
    still_open = _is_open(need, today)
    await store.set_as_of(tx, tx.now, [store.Day(group, need_id, today, still_open)])
    await listing.take_in(tx, hold, {group: News(needs={need_id: (need, today) if still_open else None})})
    if still_open:
        await due.schedule(tx, duty.key, JUDGE_AGAIN, next_day_begins(tx.now, zone))
    await announcing.announce_changes(tx, {need_id: None})


def duty_key(group: str, need_id: str) -> str:
    """The key of a need's duty, which whoever works on its group does."""
    return f"{group}/{need_id}"


HANDLERS: dict[Any, Any] = {NeedRouted: propose_for_needs, OfferingRouted: propose_for_offerings}
"""What takes which events; each handler takes the process's memory, too."""


def handlers(memory: Memory) -> dict[Any, Handler]:
    """What the consumer calls."""
    return {kind: partial(handler, memory=memory) for kind, handler in HANDLERS.items()}


def duties(memory: Memory) -> dict[str, DutyHandler]:
    """What is done when its time has come."""
    return {JUDGE_AGAIN: partial(judge_again, memory=memory)}
