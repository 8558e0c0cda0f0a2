"""Events in: what notify keeps of others, and whom it tells when a shortlist has changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.contracts.catalog import CompanyListed
from common.contracts.matching import NeedSummary, ShortlistChanged
from common.contracts.needs import MunicipalityListed
from common.contracts.notify import NotificationIssued
from common.contracts.values import Fact
from common.messaging.consumer import Arrived, Handler
from common.messaging.message import Event
from common.transaction import Transaction
from notify import mail_store, store
from notify.domain.answer import answer_by
from notify.domain.ration import notification_id, ration
from notify.domain.routing import Occasion, Told, whom_to_tell, why
from notify.offices import SECRETARIAT, offices

ISSUED_IN_A_REPLAY = {
    "en": "It came up when earlier events were handled again, so it stands in the inbox only.",
    "ja": "過去のイベントを処理し直したときに生じたため、受信箱だけに届いています。",
}
"""Nothing leaves the house because of a replay."""


async def keep_municipalities(arrived: Sequence[Arrived[MunicipalityListed]], tx: Transaction) -> None:
    """Contacts to write to, and where the city lies on the map."""
    await store.keep_municipalities(tx, [a.data for a in arrived])


async def keep_companies(arrived: Sequence[Arrived[CompanyListed]], tx: Transaction) -> None:
    """Contacts to write to."""
    await store.keep_companies(tx, [a.data for a in arrived])


async def notify_of_matches(arrived: Sequence[Arrived[ShortlistChanged]], tx: Transaction) -> None:
    """Keep each need's newest list; tell those whom the rules name of each match that they have not been told of.

    Of several lists of one need only the newest counts: a match that came and went in between was never worth a mail."""
    newest = {a.data.need.id: a for a in arrived}
    await store.keep_shortlists(tx, [a.data for a in newest.values()], [a.event.body for a in newest.values()])
    told_before = await store.earlier(tx, list(newest))
    new: list[New] = []
    noted: list[tuple[str, str, str, UUID]] = []
    for need_id, latest in newest.items():
        shares = ration(need_id, to_be_told(latest.data), told_before[need_id], tx.now)
        for told in shares.notified:
            new.append(New(issued(latest.data.need, told, tx.now), told, first_with(told, need_id, arrived)))
        noted += [(need_id, told.recipient.id, told.match.offering_id, in_note) for told, in_note in shares.noted]
    if not new and not noted:
        return
    await store.issue(tx, [n.issued for n in new], [n.told.match for n in new])
    await store.note(tx, noted, of_its_own=False)
    mails = [(n.issued, tx.trace_of(n.cause)) for n in new]
    if tx.replaying:
        await mail_store.leave_unmailed(tx, mails, reason=ISSUED_IN_A_REPLAY)
    else:
        await mail_store.plan_mails(tx, mails)
    for n in new:
        tx.emit(announcement(n.issued), cause=n.cause)


HANDLERS: Mapping[type[Fact], Handler] = {
    MunicipalityListed: keep_municipalities,
    CompanyListed: keep_companies,
    ShortlistChanged: notify_of_matches,
}


@dataclass(frozen=True, slots=True)
class New:
    """A notification to be issued, and the event that led to it."""

    issued: store.Issued
    told: Told
    cause: Event


def to_be_told(shortlist: ShortlistChanged) -> list[Told]:
    """Everybody to be told of an open need's matches, the best match first."""
    if shortlist.need.status != "open":
        return []
    occasions = (Occasion(shortlist.need, match, offices(), SECRETARIAT) for match in shortlist.matches)
    return [told for occasion in occasions for told in whom_to_tell(occasion)]


def issued(need: NeedSummary, told: Told, now: datetime) -> store.Issued:
    """The notification for one who is told."""
    recipient = told.recipient
    return store.Issued(
        id=notification_id(recipient.id, need.id, told.match.offering_id),
        recipient_id=recipient.id,
        recipient_kind=recipient.kind,
        need_id=need.id,
        offering_id=told.match.offering_id,
        rule=told.rule.name,
        why=why(told, need),
        issued_at=now,
        answer_by=answer_by(now, recipient.timezone, need.deadline),
    )


def first_with(told: Told, need_id: str, arrived: Sequence[Arrived[ShortlistChanged]]) -> Event:
    """The first event of the batch that brought this match: the one that the mail's trace goes back to."""
    return next(
        a.event
        for a in arrived
        if a.data.need.id == need_id and any(m.offering_id == told.match.offering_id for m in a.data.matches)
    )


def announcement(issued: store.Issued) -> NotificationIssued:
    """What others learn of it; no address is in it."""
    return NotificationIssued(
        id=str(issued.id),
        recipient_id=issued.recipient_id,
        recipient_kind=issued.recipient_kind,
        need_id=issued.need_id,
        offering_id=issued.offering_id,
        rule=issued.rule,
        why=issued.why,
        issued_at=issued.issued_at,
    )
