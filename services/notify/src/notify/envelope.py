"""A letter becomes an Internet message: one recipient, headers that nobody can add to, an id that stays the same."""

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from uuid import UUID

from common.errors import Rejected
from notify.domain.letter import Letter

_LINE_ENDS_AND_NUL = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\0"
_ONE_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}")


def message_id(delivery_id: UUID, mail_from: str) -> str:
    """`<delivery@domain>`: a mail server that has taken it once can tell that it comes again."""
    return f"<{delivery_id}@{_parts(parseaddr(mail_from)[1])[1]}>"


def enclose(
    letter: Letter,
    *,
    delivery_id: UUID,
    recipient: tuple[str, str],
    mail_from: str,
    reply_to: tuple[str, str],
    composed_at: datetime,
    unsubscribe: str | None = None,
    language: str,
    eight_bit: bool = False,
) -> bytes:
    """The whole message as it goes over the wire. `recipient` and `reply_to` are name and address.

    `eight_bit` leaves the text readable in the raw message; without it any mail server can pass it on.
    Raises `Rejected` where a header would hold a line break or NUL, or an address would not be exactly one."""
    message = EmailMessage(policy=SMTP if eight_bit else SMTP.clone(cte_type="7bit"))
    message["From"] = _mailbox(*parseaddr(mail_from))
    message["To"] = _mailbox(*recipient)
    message["Reply-To"] = _mailbox(*reply_to)
    message["Subject"] = one_line(letter.subject)
    message["Date"] = format_datetime(composed_at)
    message["Message-ID"] = message_id(delivery_id, mail_from)
    message["Auto-Submitted"] = "auto-generated"
    if unsubscribe:
        message["List-Unsubscribe"] = f"<mailto:{'@'.join(_parts(unsubscribe))}>"
    message.set_content(letter.text, charset="utf-8", cte="8bit" if eight_bit else None)
    message["Content-Language"] = language  # set_content clears the Content-* headers that it finds
    return bytes(message)


def one_line(value: str) -> str:
    """The value, if it can stand in a header; else `Rejected`, because what follows a line break would be a header of its own."""
    if any(c in value for c in _LINE_ENDS_AND_NUL):
        raise Rejected(
            "line-break-in-header",
            {
                "en": f"A header may not hold a line break or NUL: {value!r}. Please mend the name or title.",
                "ja": f"ヘッダーに改行や NUL を含めることはできません: {value!r}。名称または件名を直してください。",
            },
        )
    return value


def _mailbox(name: str, address: str) -> Address:
    username, domain = _parts(address)
    return Address(display_name=one_line(name), username=username, domain=domain)


def _parts(address: str) -> tuple[str, str]:
    if not _ONE_ADDRESS.fullmatch(address):
        raise Rejected(
            "not-one-address",
            {
                "en": f"{address!r} is not one mail address. Please mend the contact.",
                "ja": f"{address!r} は1件のメールアドレスではありません。連絡先を直してください。",
            },
        )
    username, _, domain = address.rpartition("@")
    return username, domain
