"""Organisations, accounts, one-time sign-in links, sessions and API keys: everything that writes the schema `identity`.

Services only read it, through its views (`common.access.auth`). Tokens are 256 random bits; only their hash is kept, so a copy of
the database signs nobody in. `tx` is a connection inside a transaction, see `writing`.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any, Literal
from uuid import UUID, uuid4

import asyncpg

from common import migrate
from common.access.auth import KEY_PREFIX, Principal, by_language, hashed
from common.access.permissions import Role
from common.errors import NotFound
from common.postgres import COMMAND_SECONDS, CONNECT_SECONDS

LINK_LIVES = timedelta(hours=24)
SESSION_LIVES = timedelta(hours=12)
FORGOTTEN_AFTER = timedelta(days=30)
"""How long an ended session or a used link is kept, so that somebody can still be told that it is over."""

WRITERS = 4
"""So many connections a process takes for people who sign in or out at the same time."""

OrganisationKind = Literal["municipality", "company", "office", "secretariat", "operator", "partner"]
Connection = Any
"""An asyncpg connection or anything with its `execute`, `fetchrow`, `fetchval` and `fetch`."""


@dataclass(frozen=True, slots=True)
class SignInLink:
    """What a one-time link is worth: `good`, `used`, `expired` or `unknown`; a known one says whom it makes you."""

    state: Literal["good", "used", "expired", "unknown"]
    becomes: Principal | None = None
    account_names: Mapping[str, str] | None = None


async def prepare(dsn: str) -> None:
    """Brings the schema up to date; `dsn` is that of its owner."""
    await migrate.apply(dsn, "identity", folders())


def folders() -> Mapping[str, migrate.Folder]:
    """Where the schema's migrations are."""
    return {"identity": files("common").joinpath("migrations", "identity")}


@asynccontextmanager
async def writing(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction on the identity schema, as its owner; committed at the end. Raises what asyncpg raises."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


class Writer:
    """`writing`, for whatever anybody may ask for over HTTP: a few at a time, the others wait.

    Each takes a connection of its own, and those that a database has are shared with all services.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._places = asyncio.Semaphore(WRITERS)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction as soon as there is a place."""
        async with self._places, writing(self._dsn) as tx:
            yield tx


async def record_organisation(
    tx: Connection, organisation_id: str, kind: OrganisationKind, names: Mapping[str, str], *, now: datetime
) -> None:
    """Records an organisation, or its present names."""
    await tx.execute(
        """
        INSERT INTO identity.organisation (id, kind, names, created_at) VALUES ($1, $2, $3::text::jsonb, $4)
        ON CONFLICT (id) DO UPDATE SET names = excluded.names
        """,
        organisation_id,
        kind,
        json.dumps(dict(names)),
        now,
    )


async def account_of(
    tx: Connection, organisation_id: str, role: Role, *, names: Mapping[str, str], language: str, now: datetime
) -> UUID:
    """The active account with this role and these names in an organisation; created where there is none yet."""
    label = json.dumps(dict(names), sort_keys=True)
    found = await tx.fetchval(
        """
        SELECT id FROM identity.account
        WHERE organisation_id = $1 AND role = $2 AND names = $3::text::jsonb AND deactivated_at IS NULL
        ORDER BY created_at LIMIT 1
        """,
        organisation_id,
        str(role),
        label,
    )
    return found or await create_account(tx, organisation_id, role, names=names, language=language, now=now)


async def create_account(
    tx: Connection, organisation_id: str, role: Role, *, names: Mapping[str, str], language: str, now: datetime
) -> UUID:
    """A new account in an organisation that is recorded; returns its id."""
    account_id = uuid4()
    await tx.execute(
        """
        INSERT INTO identity.account (id, organisation_id, role, names, language, created_at)
        VALUES ($1, $2, $3, $4::text::jsonb, $5, $6)
        """,
        account_id,
        organisation_id,
        str(role),
        json.dumps(dict(names)),
        language,
        now,
    )
    return account_id


async def deactivate_account(tx: Connection, account_id: UUID, *, now: datetime) -> None:
    """Shuts an account out: from the next request on, its sessions and links are worth nothing."""
    await tx.execute("UPDATE identity.account SET deactivated_at = $2 WHERE id = $1", account_id, now)
    await tx.execute("UPDATE identity.session SET ended_at = $2 WHERE account_id = $1 AND ended_at IS NULL", account_id, now)


async def issue_sign_in_link(tx: Connection, account_id: UUID, *, now: datetime) -> str:
    """A one-time token for `/sign-in/{token}`, good for 24 hours. It cannot be read again."""
    token = secrets.token_urlsafe(32)
    await tx.execute(
        "INSERT INTO identity.sign_in_link (token_hash, account_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        hashed(token),
        account_id,
        now,
        now + LINK_LIVES,
    )
    return token


async def sign_in_link(tx: Connection, token: str, *, now: datetime) -> SignInLink:
    """What this link is worth now; using it up is another matter."""
    row = await tx.fetchrow(
        """
        SELECT l.used_at, l.expires_at, a.id::text AS account_id, a.role, a.names AS account_names, a.language,
               a.organisation_id, o.names, a.deactivated_at
        FROM identity.sign_in_link l
        JOIN identity.account a ON a.id = l.account_id
        JOIN identity.organisation o ON o.id = a.organisation_id
        WHERE l.token_hash = $1
        """,
        hashed(token),
    )
    if row is None or row["deactivated_at"] is not None:
        return SignInLink("unknown")
    state = "used" if row["used_at"] else "expired" if row["expires_at"] <= now else "good"
    names, account_names = by_language(row["names"]), by_language(row["account_names"])
    becomes = Principal(Role(row["role"]), row["account_id"], row["organisation_id"], names, row["language"])
    return SignInLink(state, becomes, account_names)


async def use_sign_in_link(tx: Connection, token: str, *, now: datetime) -> str:
    """Uses the link up and begins a session; returns the session's token. Of two that use it at once, one gets it."""
    account_id = await tx.fetchval(
        """
        UPDATE identity.sign_in_link l SET used_at = $2
        FROM identity.account a
        WHERE l.token_hash = $1 AND l.used_at IS NULL AND l.expires_at > $2
          AND a.id = l.account_id AND a.deactivated_at IS NULL
        RETURNING l.account_id
        """,
        hashed(token),
        now,
    )
    if account_id is None:
        raise NotFound(
            "link-not-good",
            {
                "en": "This sign-in link was used before, has expired or never existed.",
                "ja": "このサインイン用リンクは、使用済みか期限切れ、または存在しないものです。",
            },
        )
    return await begin_session(tx, account_id, now=now)


async def begin_session(tx: Connection, account_id: UUID, *, now: datetime) -> str:
    """A session of 12 hours; returns the token for the cookie."""
    await _forget_old(tx, now - FORGOTTEN_AFTER)
    token = secrets.token_urlsafe(32)
    await tx.execute(
        "INSERT INTO identity.session (token_hash, account_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        hashed(token),
        account_id,
        now,
        now + SESSION_LIVES,
    )
    return token


async def end_session(tx: Connection, token: str, *, now: datetime) -> None:
    """Ends a session at once; one that has ended already stays ended."""
    await tx.execute("UPDATE identity.session SET ended_at = $2 WHERE token_hash = $1 AND ended_at IS NULL", hashed(token), now)


async def create_api_key(tx: Connection, organisation_id: str, *, now: datetime) -> str:
    """A key with which a system speaks for this organisation (`Authorization: Bearer …`). It cannot be read again."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    await tx.execute(
        "INSERT INTO identity.api_key (id, key_hash, prefix, organisation_id, created_at) VALUES ($1, $2, $3, $4, $5)",
        uuid4(),
        hashed(key),
        key[:8],
        organisation_id,
        now,
    )
    return key


async def revoke_api_key(tx: Connection, key: str, *, now: datetime) -> bool:
    """Makes a key worth nothing, from the next request on; False if there is no such key. Of one revoked before, the first time
    stays."""
    sql = "UPDATE identity.api_key SET revoked_at = coalesce(revoked_at, $2) WHERE key_hash = $1 RETURNING true"
    return bool(await tx.fetchval(sql, hashed(key), now))


async def _forget_old(tx: Connection, before: datetime) -> None:
    await tx.execute("DELETE FROM identity.session WHERE expires_at < $1", before)
    await tx.execute("DELETE FROM identity.sign_in_link WHERE expires_at < $1", before)
