"""Sign-ins that began in a browser and are not back from the provider yet.

Everything that has to come back unchanged is in a short-lived cookie of that browser; the database keeps only the cookie's hash,
so that it is good once, and in no other browser. `tx` is a connection inside a transaction.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from common.access.auth import hashed
from common.access.identity import Connection

LIVES = timedelta(minutes=10)
"""So long somebody may take at the provider."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one sign-in is known by: `state` comes back in the address, `nonce` in the token, `verifier` proves the start."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Self:
        """256 random bits each."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @classmethod
    def of_cookie(cls, cookie: str) -> Self | None:
        """What a cookie says; None where it says nothing of the kind."""
        parts = cookie.split(".")
        return cls(*parts) if len(parts) == 3 and all(parts) else None

    @property
    def cookie(self) -> str:
        """What the browser keeps meanwhile."""
        return f"{self.state}.{self.nonce}.{self.verifier}"

    def answers(self, state: str) -> bool:
        """Whether an answer with this state belongs to this attempt."""
        return hmac.compare_digest(self.state.encode(), state.encode())


async def begin(tx: Connection, wanted: str, *, now: datetime) -> Attempt:
    """A new attempt of somebody who wants to go to `wanted`; forgets those that are over."""
    attempt = Attempt.new()
    await tx.execute("DELETE FROM identity.sign_in_attempt WHERE expires_at <= $1", now)
    await tx.execute(
        "INSERT INTO identity.sign_in_attempt (cookie_hash, wanted, expires_at) VALUES ($1, $2, $3)",
        hashed(attempt.cookie), wanted, now + LIVES,
    )  # fmt: skip
    return attempt


async def end(tx: Connection, attempt: Attempt, *, now: datetime) -> str | None:
    """Uses the attempt up and returns where they wanted to go; None where it was used, has expired or never was."""
    return await tx.fetchval(
        "DELETE FROM identity.sign_in_attempt WHERE cookie_hash = $1 AND expires_at > $2 RETURNING wanted",
        hashed(attempt.cookie), now,
    )  # fmt: skip
