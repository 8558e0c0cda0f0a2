"""The sender: composes what is planned, hands what is due to the mail server (or the folder), and writes down what came of it.

Nothing is held open while the mail server is waited for: a mail is claimed in one transaction and settled in another. If we die
in between, the lease runs out and it is sent again with the same Message-ID.
"""

import asyncio

from opentelemetry.trace import SpanKind, StatusCode

from common.service import Service
from common.telemetry import ERROR_TYPE, MESSAGING_MESSAGE_ID
from notify import mail_store
from notify.compose import compose_planned
from notify.domain.delivery import LEASE, next_wait
from notify.folder import write_mail
from notify.mail_store import ToSend
from notify.settings import NotifySettings
from notify.smtp import Later, MailServer, Never, Outcome, Taken, connected

AT_ONCE = 50
SPAN = "send mail"


class Sender:
    """`step` is run again and again by the service; several processes share the work."""

    def __init__(self, service: Service, settings: NotifySettings) -> None:
        self._service = service
        self._settings = settings
        self._mails = service.telemetry.metrics.mails

    async def step(self) -> bool:
        """Compose and send what there is; True if there may be more."""
        async with self._service.database.transaction() as tx:
            more = await compose_planned(tx, self._settings, self._service.telemetry.log)
        async with self._service.database.transaction() as tx:
            claimed = await mail_store.claim(tx, limit=AT_ONCE)
        if claimed:
            await (self._send_all(claimed) if self._settings.smtp_host else self._write_all(claimed))
        return more or len(claimed) == AT_ONCE

    async def _send_all(self, mails: list[ToSend]) -> None:
        clock = asyncio.get_running_loop().time
        leave_off = clock() + LEASE.total_seconds() / 2
        async with connected(self._settings) as server:
            for mail in mails:
                if clock() > leave_off:  # a slow server: the rest is claimed again when the lease has ended
                    break
                outcome = await self._send(server, mail)
                await self._settle(mail, outcome)

    async def _send(self, server: MailServer | Later, mail: ToSend) -> Outcome:
        with self._service.telemetry.span(
            SPAN, parent=mail.traceparent, kind=SpanKind.CLIENT, attributes={MESSAGING_MESSAGE_ID: str(mail.id)}
        ) as span:
            outcome = server if isinstance(server, Later) else await server.send(mail.message, mail.address)
            if not isinstance(outcome, Taken):
                span.set_attribute(ERROR_TYPE, outcome.answer.split(maxsplit=1)[0])
                span.set_status(StatusCode.ERROR)
            return outcome

    async def _write_all(self, mails: list[ToSend]) -> None:
        written: list[tuple[ToSend, str]] = []
        for mail in mails:
            with self._service.telemetry.span(
                SPAN, parent=mail.traceparent, kind=SpanKind.CLIENT, attributes={MESSAGING_MESSAGE_ID: str(mail.id)}
            ):
                path = await asyncio.to_thread(write_mail, self._settings.mail_folder, mail.id, mail.message)
            written.append((mail, path.name))
        # Together: should we die before, the same files are written once more.
        async with self._service.database.transaction() as tx:
            for mail, name in written:
                await mail_store.settle(tx, mail.id, "in_folder", answer=name)
        self._mails.labels("in_folder").inc(len(written))

    async def _settle(self, mail: ToSend, outcome: Outcome) -> None:
        async with self._service.database.transaction() as tx:
            match outcome:
                case Taken(answer):
                    came_to = "sent"
                    await mail_store.settle(tx, mail.id, "sent", answer=answer)
                case Never(answer):
                    came_to = "failed"
                    await mail_store.settle(tx, mail.id, "failed", reason=refused(answer), answer=answer)
                case Later(answer):
                    wait = next_wait(mail.attempts)
                    came_to = "failed" if wait is None else "put_off"
                    if wait is None:
                        await mail_store.settle(tx, mail.id, "failed", reason=given_up(answer, mail.attempts), answer=answer)
                    else:
                        await mail_store.postpone(tx, mail.id, tx.now + wait, reason=not_now(answer), answer=answer)
        self._mails.labels(came_to).inc()


def refused(answer: str) -> dict[str, str]:
    return {
        "en": f"The mail server refused it for good: {answer}. Please check the address.",
        "ja": f"メールサーバーが受け付けませんでした: {answer}。宛先を確認してください。",
    }


def given_up(answer: str, attempts: int) -> dict[str, str]:
    return {
        "en": f"Given up after {attempts} tries. The last answer was: {answer}.",
        "ja": f"{attempts}回試しましたが届きませんでした。最後の応答: {answer}。",
    }


def not_now(answer: str) -> dict[str, str]:
    return {
        "en": f"The mail server could not take it yet: {answer}. It will be tried again.",
        "ja": f"メールサーバーがまだ受け付けていません: {answer}。あとで送り直します。",
    }
