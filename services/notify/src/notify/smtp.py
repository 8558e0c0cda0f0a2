"""Handing mails to a mail server, and what its answers mean for us: taken, later, or never."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import parseaddr

import aiosmtplib

from notify.settings import NotifySettings


@dataclass(frozen=True, slots=True)
class Taken:
    """The mail server has accepted responsibility for the mail."""

    answer: str


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: the server is busy, asks us to wait (4xx), or cannot be reached."""

    answer: str


@dataclass(frozen=True, slots=True)
class Never:
    """The server refuses this mail for good (5xx)."""

    answer: str


Outcome = Taken | Later | Never


class MailServer:
    """One connection, used for the mails of one round."""

    def __init__(self, client: aiosmtplib.SMTP, mail_from: str) -> None:
        self._client = client
        self._sender = parseaddr(mail_from)[1]

    async def send(self, message: bytes, address: str) -> Outcome:
        """Hand over one mail for one recipient."""
        try:
            _, answer = await self._client.sendmail(self._sender, [address], message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _judged(error.recipients[0].code, error.recipients[0].message)
        except aiosmtplib.SMTPResponseException as error:
            return _judged(error.code, error.message)
        except (aiosmtplib.SMTPException, OSError) as error:
            return Later(_named(error))
        return Taken(answer)


@contextlib.asynccontextmanager
async def connected(settings: NotifySettings) -> AsyncIterator[MailServer | Later]:
    """A connection to the configured mail server, or why there is none. Every wait has its time-out."""
    client = aiosmtplib.SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        timeout=settings.smtp_timeout,
        use_tls=settings.smtp_tls,
        # Where offered; but never a password in the clear.
        start_tls=True if settings.smtp_user and not settings.smtp_tls else None,
        username=settings.smtp_user,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
    )
    try:
        await client.connect()
    except (aiosmtplib.SMTPException, OSError) as error:
        # Also where the sign-in is refused: that is our setting, not this mail, and it can be mended.
        client.close()
        yield Later(_named(error))
        return
    try:
        yield MailServer(client, settings.mail_from)
    finally:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=5)
        client.close()


def _judged(code: int, answer: str) -> Outcome:
    said = f"{code} {answer}"
    return Never(said) if 500 <= code < 600 else Later(said)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
