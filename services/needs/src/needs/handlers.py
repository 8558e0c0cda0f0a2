"""What happens when something arrives at the needs service: a partner's submission, or the end of a need's last day."""

from collections.abc import Mapping

from common import due
from common.contracts.needs import MunicipalityListed, MunicipalitySubmitted, NeedPosted, NeedSubmitted
from common.due import Duty, DutyHandler
from common.faults import fault
from common.partners.intake import Effect, NotYet, Received, Recorder
from common.transaction import Transaction
from needs import domain, store

CLOSE_NEED = "close-need"


async def record_municipality(received: Received[MunicipalitySubmitted], tx: Transaction) -> Effect:
    """Lists the municipality; its open needs carry it, so they are announced again where they would read differently."""
    before = await store.municipality(tx, received.aggregate_id)
    after = domain.listed(received.data, received.aggregate_id)
    if after == before:
        return "unchanged"
    await store.save_municipality(tx, after, received.organisation, received.subject)
    tx.emit(after)
    if before and domain.buyer(before) != domain.buyer(after):
        await _announce_open_needs_again(tx, after)
    return "updated" if before else "created"


async def record_need(received: Received[NeedSubmitted], tx: Transaction) -> Effect:
    """Posts, changes, closes or withdraws the need, and sees to it that an open one closes at the end of its last day."""
    municipality_id = received.aggregate_id_of("municipality", received.data.municipality)
    municipality = await store.municipality(tx, municipality_id)
    if municipality is None:
        subject, kind = received.data.municipality, MunicipalitySubmitted.type
        raise NotYet(fault("/data/municipality", "unknown_municipality", value=subject, type=kind))
    before = await store.lock_need(tx, received.aggregate_id)
    after = domain.posted(received.data, received.aggregate_id, municipality, before, tx.now)
    if after == before:
        return "unchanged"
    await store.save_need(tx, after, received.organisation, received.subject)
    await _schedule_closing(tx, after)
    tx.emit(after)
    return "updated" if before else "created"


async def close_need(duty: Duty, tx: Transaction) -> None:
    """Closes a need whose last day is over, unless its day was moved or it is no longer open."""
    need = await store.lock_need(tx, duty.key)
    if need is None or need.status != "open":
        return
    if domain.closes_at(need.deadline, need.municipality.timezone) > tx.now:
        return  # it was moved, and scheduled again, while this duty was on its way
    after = domain.closed(need)
    await store.update_need(tx, after)
    tx.emit(after)


async def _announce_open_needs_again(tx: Transaction, municipality: MunicipalityListed) -> None:
    for need in await store.open_needs_of(tx, municipality.id):
        after = domain.at_new_address(need, municipality)
        await store.update_need(tx, after)
        await _schedule_closing(tx, after)
        tx.emit(after)


async def _schedule_closing(tx: Transaction, need: NeedPosted) -> None:
    if need.status == "open":
        await due.schedule(tx, need.id, CLOSE_NEED, domain.closes_at(need.deadline, need.municipality.timezone))
    else:
        await due.cancel(tx, need.id, CLOSE_NEED)


SUBMISSIONS: Mapping[type, Recorder] = {
    MunicipalitySubmitted: record_municipality,
    NeedSubmitted: record_need,
}

DUTIES: Mapping[str, DutyHandler] = {CLOSE_NEED: close_need}
