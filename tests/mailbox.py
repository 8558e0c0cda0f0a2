"""A real SMTP server for tests: it keeps what it accepts, and can be told to refuse."""

import asyncio
import threading
from collections import deque
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller


@dataclass
class Mailbox:
    """`messages` were accepted, in order. `answers` are given first, one per mail, instead of accepting: `451 4.3.0 Later`."""

    host: str = "127.0.0.1"
    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refused: int = 0
    answers: deque[str] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def answer_next(self, *answers: str) -> None:
        """Answer the next mails with these SMTP replies; one that begins with 2 loses the mail after saying yes."""
        self.answers.extend(answers)

    async def received(self, count: int = 1, timeout: float = 20) -> list[EmailMessage]:
        """Wait until at least `count` mails were accepted, and return all."""
        await self._until(lambda: len(self.messages) >= count, f"{count} mails", timeout)
        return list(self.messages)

    async def refusals(self, count: int = 1, timeout: float = 20) -> None:
        """Wait until `count` mails were answered from `answers`."""
        await self._until(lambda: self.refused >= count, f"{count} refusals", timeout)

    async def _until(self, happened: Any, what: str, timeout: float) -> None:
        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(happened, timeout)

        if not await asyncio.to_thread(wait):
            raise AssertionError(f"waited {timeout} s for {what}; accepted {len(self.messages)}, refused {self.refused}")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd calls it so
        with self._changed:
            try:
                if self.answers:
                    self.refused += 1
                    return self.answers.popleft()
                message = message_from_bytes(envelope.content, policy=policy.default)
                self.messages.append(cast(EmailMessage, message))
                self.recipients.append(list(envelope.rcpt_tos))
                return "250 2.0.0 Accepted"
            finally:
                self._changed.notify_all()


class MailServer:
    """Runs a `Mailbox` on a free port."""

    def __init__(self, port: int) -> None:
        self.mailbox = Mailbox(port=port)
        self._controller = Controller(self.mailbox, hostname=self.mailbox.host, port=port)

    def start(self) -> Mailbox:
        self._controller.start()
        return self.mailbox

    def stop(self) -> None:
        self._controller.stop()
