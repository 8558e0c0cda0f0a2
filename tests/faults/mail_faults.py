"""A mail server with bad days: asks to wait, refuses for good, falls silent, or takes a mail and hangs up without a word."""

import asyncio
from collections import Counter
from email import message_from_bytes, policy
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from tests.mailbox import Mailbox

BUSY = "421 4.3.2 Service shutting down"
LATER = "451 4.3.0 Try again later"
REFUSED = "550 5.1.1 No such mailbox"
HANG = "hang"
DROP_AFTER_DATA = "drop after DATA"
KINDS = (BUSY, LATER, REFUSED, HANG, DROP_AFTER_DATA)
HANG_SECONDS = 8.0


class MoodyMailbox(Mailbox):
    """`mood` is one of `KINDS`, or empty; it holds until it is changed. `taken` counts (Message-ID, recipient) of every mail that
    arrived whole, also of those whose sender was not told; `refused_for_good` names those answered with 550."""

    def __init__(self, port: int) -> None:
        super().__init__(port=port)
        self.mood = ""
        self.met: Counter[str] = Counter()
        self.taken: Counter[tuple[str, str]] = Counter()
        self.refused_for_good: set[str] = set()

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd calls it so
        mood = self.mood
        if not mood:
            self._note(envelope)
            return await super().handle_DATA(server, session, envelope)
        self.met[mood] += 1
        if mood == HANG:
            await asyncio.sleep(HANG_SECONDS)
            return LATER
        if mood == DROP_AFTER_DATA:
            self._note(envelope)
            await super().handle_DATA(server, session, envelope)
            cast(asyncio.Transport, server.transport).abort()
            return ""
        if mood == REFUSED:
            self.refused_for_good.add(_id_of(envelope))
        return mood

    def _note(self, envelope: Any) -> None:
        self.taken.update((_id_of(envelope), recipient) for recipient in envelope.rcpt_tos)


def _id_of(envelope: Any) -> str:
    return str(message_from_bytes(envelope.content, policy=policy.default)["Message-ID"] or "").strip()


class MoodyMailServer:
    """Runs a `MoodyMailbox`."""

    def __init__(self, port: int) -> None:
        self.mailbox = MoodyMailbox(port)
        self._controller = Controller(self.mailbox, hostname=self.mailbox.host, port=port)

    def start(self) -> MoodyMailbox:
        self._controller.start()
        return self.mailbox

    def stop(self) -> None:
        self._controller.stop()
