"""Planned mails become messages: the recipient's address and language are looked up, the text is written once and kept."""

from datetime import datetime, timedelta
from logging import Logger

import asyncpg

from common import vocabulary
from common.errors import Rejected
from common.transaction import Transaction
from notify import mail_store
from notify.domain.delivery import only_in_the_inbox
from notify.domain.letter import Desk, Notice, inbox_link, letter, proposal_link
from notify.domain.recipients import Recipient, reached_by
from notify.envelope import enclose
from notify.mail_store import ToCompose
from notify.offices import SECRETARIAT, names_of, offices
from notify.settings import NotifySettings

AT_ONCE = 50
LOOK_AGAIN = timedelta(seconds=2)
"""Then after a quarter of the time that it has waited already, so that many that wait do not keep us busy."""
GIVE_UP = timedelta(days=1)
"""Topics overtake each other: a match may arrive before the city or company of which it speaks. It surely has in a day."""

NOT_LISTED_YET = {
    "en": "Waits for the recipient's own entry, which says where mail reaches it.",
    "ja": "届け先の登録情報（連絡先）の到着を待っています。",
}
NEVER_LISTED = {
    "en": "The recipient's own entry never came, so no mail address is known and it stands in the inbox only.",
    "ja": "届け先の登録情報が届かず、メールアドレスが分からないため、受信箱だけに届いています。",
}


async def compose_planned(tx: Transaction, settings: NotifySettings, log: Logger) -> bool:
    """Write the planned mails whose turn it is; True if there may be more."""
    rows = await mail_store.to_compose(tx, limit=AT_ONCE)
    for row in rows:
        try:
            await _compose(tx, mail_store.planned(row), settings)
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            raise  # the transaction is lost, and with it all that was composed here; it is done again
        except Rejected as refused:
            await mail_store.settle(tx, row["id"], "failed", reason=refused.detail)
        except Exception as bug:  # one letter that we cannot write must not hold up all others
            log.exception("a mail could not be written", extra={"delivery": str(row["id"])})
            await mail_store.settle(tx, row["id"], "failed", reason=our_fault(bug))
    return len(rows) == AT_ONCE


async def _compose(tx: Transaction, mail: ToCompose, settings: NotifySettings) -> None:
    recipient = recipient_of(mail)
    if recipient is None:
        waited = tx.now - mail.created_at
        if waited < GIVE_UP:
            await mail_store.postpone(tx, mail.id, tx.now + max(LOOK_AGAIN, waited / 4), reason=NOT_LISTED_YET)
        else:
            await mail_store.settle(tx, mail.id, "inbox_only", reason=NEVER_LISTED)
        return
    inbox_only = only_in_the_inbox(recipient.address, example=recipient.example or mail.match.company.example)
    if inbox_only or recipient.address is None:
        await mail_store.settle(tx, mail.id, "inbox_only", reason=inbox_only)
        return
    subject, message = written(mail, recipient, recipient.address, settings, tx.now)
    await mail_store.composed(tx, mail.id, recipient.address, subject, message)


def our_fault(bug: Exception) -> dict[str, str]:
    """What is said of a mail over whose text we stumbled."""
    return {
        "en": f"It could not be written ({type(bug).__name__}). This is a fault of Musubi; the log has the details.",
        "ja": f"メールを作成できませんでした（{type(bug).__name__}）。Musubi の不具合です。詳細はログにあります。",
    }


def recipient_of(mail: ToCompose) -> Recipient | None:
    """The recipient with address and language; None where its own entry has not arrived yet."""
    match mail.recipient_kind:
        case "office":
            return offices().by_id(mail.recipient_id)
        case "secretariat":
            return SECRETARIAT
        case "municipality":
            city = mail.city
            return city and reached_by("municipality", city.id, city.names, city.languages, city.timezone, city.contacts)
        case "company":
            company = mail.company
            return company and reached_by(
                "company",
                company.id,
                company.names,
                company.languages,
                offices().zone_of(company.country),
                company.contacts,
                example=company.example,
            )


def written(mail: ToCompose, recipient: Recipient, address: str, settings: NotifySettings, now: datetime) -> tuple[str, bytes]:
    """Subject and whole message; raises `Rejected` where a name or title cannot stand in a header."""
    text = letter(
        recipient,
        Notice(mail.need, mail.match, mail.why, mail.issued_at, mail.answer_by, mail.more),
        proposal=proposal_link(settings.public_origin, mail.need.id, mail.match.offering_id),
        inbox=inbox_link(settings.public_origin, str(mail.notification_id)),
        others=[names_of(kind, recipient_id, mail.need, mail.match) for recipient_id, kind in mail.others],
        desk=Desk(SECRETARIAT.names, SECRETARIAT.address or settings.mail_from),
        composed_at=now,
    )
    message = enclose(
        text,
        delivery_id=mail.id,
        recipient=(vocabulary.pick(dict(recipient.names), recipient.language), address),
        mail_from=settings.mail_from,
        reply_to=(vocabulary.pick(dict(SECRETARIAT.names), recipient.language), SECRETARIAT.address or settings.mail_from),
        composed_at=now,
        unsubscribe=settings.mail_unsubscribe,
        language=recipient.language,
        eight_bit=not settings.smtp_host,
    )
    return text.subject, message
