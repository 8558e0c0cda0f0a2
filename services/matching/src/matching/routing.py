"""Hands what arrives on to the technology groups that it concerns, so that one process at a time works on a group.

What pages show of needs and offerings is kept here, at once; their lists follow when the group has come to them
(`matching.handlers`). Decision 0096.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from common import due
from common.contracts.catalog import ExchangeRatePublished, OfferingListed
from common.contracts.matching import NeedRouted, OfferingRouted
from common.contracts.needs import NeedPosted
from common.contracts.registry import TOPICS
from common.contracts.values import Fact
from common.exact_json import dump, to_json
from common.messaging.consumer import Arrived, Handler
from common.messaging.message import Event
from common.transaction import Transaction
from matching import store
from matching.domain.circumstances import Circumstances, Rate, day_at
from matching.domain.explanation import need_summary
from matching.domain.gates import is_expired
from matching.domain.sides import Need, Offering
from matching.domain.words import shortened
from matching.handlers import JUDGE_AGAIN, duty_key

GROUPS = TOPICS[NeedRouted.topic].first_parts
"""The technology groups."""
SOURCE_LENGTH = 200


async def take_locks(arrived: Sequence[Arrived[Any]], tx: Transaction) -> None:
    """Before exchange rates change, have all groups to ourselves: whoever judges by the rates of before has committed then, and
    what was judged by them is judged again."""
    if any(isinstance(one.data, ExchangeRatePublished) for one in arrived):
        await store.lock_groups(tx, GROUPS)


async def route_needs(arrived: Sequence[Arrived[NeedPosted]], tx: Transaction) -> None:
    """Each new or changed need goes to its group, and word of it to the group that it was in."""
    newest = {one.data.id: one for one in arrived}
    rows = [_need_row(one, tx) for one in newest.values()]
    before = await store.groups_of_needs(tx, newest)
    await store.save_needs(tx, rows)
    for row in rows:
        one = newest[row.need.id]
        former = before.get(row.need.id, row.need.group)
        if former != row.need.group:
            _hand_on(tx, NeedRouted, former, row.need.id, {"need": None}, one.event)
        _hand_on(tx, NeedRouted, row.need.group, row.need.id, {"need": Raw(dump(one.data))}, one.event)


def _need_row(one: Arrived[NeedPosted], tx: Transaction) -> store.NeedRow:
    fact = one.data
    need = Need.of(fact)
    today = day_at(tx.now, fact.municipality.timezone)
    still_open = need.open and not is_expired(need, Circumstances(today, {}))
    return store.NeedRow(
        need, fact.municipality.id, still_open, dump(need_summary(fact)).decode(), tx.trace_of(one.event), tx.now, today
    )


async def route_offerings(arrived: Sequence[Arrived[OfferingListed]], tx: Transaction) -> None:
    """Each offering for which a list may look different goes to all its groups, and word of it to those that it left."""
    newest = {one.data.id: one for one in arrived}
    rows = [_offering_row(one, tx) for one in newest.values()]
    before = await store.offerings(tx, newest)
    await store.save_offerings(tx, rows)
    for row in rows:
        offering, known = row.offering, before.get(row.offering.id)
        if row.says_the_same_as(known):
            continue
        one = newest[offering.id]
        for group in sorted(known.offering.groups - offering.groups) if known else ():
            _hand_on(tx, OfferingRouted, group, offering.id, {"offering": None}, one.event)
        for group in sorted(offering.groups):
            _hand_on(tx, OfferingRouted, group, offering.id, {"offering": Raw(dump(one.data))}, one.event)


def _offering_row(one: Arrived[OfferingListed], tx: Transaction) -> store.OfferingRow:
    fact = one.data
    names, company = to_json(fact.names).decode(), dump(fact.company).decode()
    return store.OfferingRow(Offering.of(fact), names, company, tx.trace_of(one.event))


def _hand_on(tx: Transaction, kind: type[Fact], group: str, id_: str, what: Mapping[str, Any], cause: Event) -> None:
    """With the time of the event itself, so that what is measured from it holds this way, too."""
    body = to_json({"group": group, "id": id_, **what})
    tx.emit_json(kind, f"{group}/{id_}", body, cause=cause, time=cause.time)


async def take_exchange_rates(arrived: Sequence[Arrived[ExchangeRatePublished]], tx: Transaction) -> None:
    """Keep the newest rates, and have every list judged again that may compare prices through them, one after the other."""
    newest = {
        one.data.currency: Rate(one.data.currency, one.data.per_usd, one.data.as_of, shortened(one.data.source, SOURCE_LENGTH))
        for one in arrived
    }
    changed = await store.save_rates(tx, list(newest.values()))
    if changed:
        keys = [duty_key(group, need_id) for group, need_id in await store.needs_comparing(tx, changed)]
        await due.schedule_all(tx, keys, JUDGE_AGAIN, [tx.now] * len(keys))


HANDLERS: Mapping[type[Fact], Handler] = {
    NeedPosted: route_needs,
    OfferingListed: route_offerings,
    ExchangeRatePublished: take_exchange_rates,
}
