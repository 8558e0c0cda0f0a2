"""What happens when a partner's submission arrives at the catalog service."""

from collections.abc import Mapping

from catalog import domain, store
from common.contracts.catalog import (
    CompanyListed,
    CompanySubmitted,
    ExchangeRateSubmitted,
    OfferingSubmitted,
)
from common.faults import fault
from common.partners.intake import Effect, NotYet, Received, Recorder
from common.transaction import Transaction


async def record_company(received: Received[CompanySubmitted], tx: Transaction) -> Effect:
    """Lists the company; its offerings carry it, so they are announced again where they would read differently."""
    before = await store.company(tx, received.aggregate_id)
    after = domain.listed_company(received.data, received.aggregate_id)
    if after == before:
        return "unchanged"
    await store.save_company(tx, after, received.organisation, received.subject)
    tx.emit(after)
    if before and domain.supplier(before) != domain.supplier(after):
        await _announce_offerings_again(tx, after)
    return "updated" if before else "created"


async def record_offering(received: Received[OfferingSubmitted], tx: Transaction) -> Effect:
    """Lists, changes or withdraws the offering."""
    company = await store.company(tx, received.aggregate_id_of("company", received.data.company))
    if company is None:
        subject, kind = received.data.company, CompanySubmitted.type
        raise NotYet(fault("/data/company", "unknown_company", value=subject, type=kind))
    before = await store.offering(tx, received.aggregate_id)
    after = domain.listed_offering(received.data, received.aggregate_id, company)
    if after == before:
        return "unchanged"
    await store.save_offering(tx, after, received.organisation, received.subject)
    tx.emit(after)
    return "updated" if before else "created"


async def record_exchange_rate(received: Received[ExchangeRateSubmitted], tx: Transaction) -> Effect:
    """Publishes the rate, unless a newer one of its currency is known."""
    before = await store.exchange_rate(tx, received.data.currency)
    after = domain.newest_rate(received.data, received.subject, before, tx.now.date())
    if after == before:
        return "unchanged"
    await store.save_exchange_rate(tx, after)
    tx.emit(after)
    return "updated" if before else "created"


async def _announce_offerings_again(tx: Transaction, company: CompanyListed) -> None:
    for offering in await store.listed_offerings_of(tx, company.id):
        after = domain.of_changed_company(offering, company)
        await store.update_offering(tx, after)
        tx.emit(after)


SUBMISSIONS: Mapping[type, Recorder] = {
    CompanySubmitted: record_company,
    OfferingSubmitted: record_offering,
    ExchangeRateSubmitted: record_exchange_rate,
}
