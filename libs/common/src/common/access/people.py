"""People who sign in at a provider: invited at an e-mail address, bound to what the provider calls them at their first sign-in.

Beside `common.access.identity`, on the same tables and as the same owner; `tx` is a connection inside a transaction.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from common.access import identity
from common.access.auth import by_language
from common.access.identity import Connection
from common.access.permissions import Role


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom the provider vouches for. `email` is empty where it names none; `verified` says whether it is surely theirs."""

    issuer: str
    subject: str
    email: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Person:
    """An account that somebody may sign in to. `bound` since they did it once."""

    email: str
    role: str
    organisation_id: str
    organisation_names: Mapping[str, str]
    names: Mapping[str, str]
    language: str
    bound: bool


NoAccount = Literal["shut-out", "email-not-verified", "no-email", "not-registered"]


def normalised(email: str) -> str:
    """An address as it is compared. Only A to Z are made small: other letters that look alike are other addresses."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in email.strip())


async def invite(
    tx: Connection, email: str, organisation_id: str, role: Role, *, names: Mapping[str, str], language: str, now: datetime
) -> bool:
    """Opens an account for whoever has this address; the organisation is recorded already. False where the address has one."""
    # One statement, so that of two who invite the same address at once the second is told so.
    added = await tx.fetchval(
        """
        INSERT INTO identity.account (id, organisation_id, role, names, language, created_at, email)
        VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7)
        ON CONFLICT (email) WHERE deactivated_at IS NULL DO NOTHING RETURNING true
        """,
        uuid4(), organisation_id, str(role), json.dumps(dict(names)), language, now, normalised(email),
    )  # fmt: skip
    return bool(added)


async def remove(tx: Connection, email: str, *, now: datetime) -> bool:
    """Shuts the account at this address out at once. False where there is none."""
    account_id = await tx.fetchval(
        "SELECT id FROM identity.account WHERE email = $1 AND deactivated_at IS NULL", normalised(email)
    )
    if account_id is None:
        return False
    await identity.deactivate_account(tx, account_id, now=now)
    return True


async def everybody(tx: Connection) -> list[Person]:
    """All who may sign in, by organisation."""
    rows = await tx.fetch(
        """
        SELECT a.email, a.role, a.organisation_id, o.names AS organisation_names, a.names, a.language,
               a.subject IS NOT NULL AS bound
        FROM identity.account a JOIN identity.organisation o ON o.id = a.organisation_id
        WHERE a.email IS NOT NULL AND a.deactivated_at IS NULL ORDER BY a.role, a.organisation_id, a.email
        """
    )
    return [
        Person(**{**row, "names": by_language(row["names"]), "organisation_names": by_language(row["organisation_names"])})
        for row in rows
    ]


async def account_for(tx: Connection, who: Identified) -> UUID | NoAccount:
    """The account of whoever the provider vouches for, or why there is none.

    The provider's own name for them decides; the address is asked only once, for an account that nobody has signed in to yet.
    """
    known = await _known(tx, who)
    if isinstance(known, UUID):
        return known
    if who.email and who.verified:
        # One statement, so that of two who come at once with the same address one gets it.
        bound = await tx.fetchval(
            """
            UPDATE identity.account SET issuer = $2, subject = $3
            WHERE email = $1 AND deactivated_at IS NULL AND subject IS NULL RETURNING id
            """,
            normalised(who.email), who.issuer, who.subject,
        )  # fmt: skip
        # None also where they themselves came twice at once; then they are known by now.
        bound = bound or await _known(tx, who)
        if isinstance(bound, UUID):
            return bound
    if known:
        return known
    if not who.email:
        return "no-email"
    return "not-registered" if who.verified else "email-not-verified"


async def _known(tx: Connection, who: Identified) -> UUID | NoAccount | None:
    rows = await tx.fetch(
        "SELECT id, deactivated_at FROM identity.account WHERE issuer = $1 AND subject = $2", who.issuer, who.subject
    )
    active = [row["id"] for row in rows if row["deactivated_at"] is None]
    return active[0] if active else "shut-out" if rows else None
