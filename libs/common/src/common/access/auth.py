"""Who is calling: a person by the session cookie, a partner's system by its API key, or anyone.

Every route declares what it lets its caller do with `Depends(allowed(Action.X))`; the answer is the `Principal`. Sessions,
keys and accounts are read anew with each request, so that somebody who was shut out is out with the next one.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from starlette.requests import Request

from common import vocabulary
from common.access.permissions import Action, Role, may, reach
from common.errors import Forbidden
from common.operating import held_board

COOKIE = "musubi"
KEY_PREFIX = "mk_"


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever makes a request: their account, role and organisation (with its names by language)."""

    role: Role = Role.ANYONE
    account_id: str | None = None
    organisation_id: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    language: str | None = None

    @property
    def signed_in(self) -> bool:
        return self.account_id is not None

    def may(self, action: Action, organisation_id: str | None = None) -> bool:
        """Whether they may do this to what concerns `organisation_id`; without one, whether they may do it at all."""
        return may(self.role, action, own=self.organisation_id, organisation_id=organisation_id)

    def sees_all(self, action: Action) -> bool:
        """Whether the action reaches every organisation, so that a list needs no narrowing to the caller's own."""
        return reach(self.role, action) == "all"

    def name(self, language: str) -> str:
        """The organisation's name in this language."""
        return vocabulary.pick(self.names, language)


ANYONE = Principal()


class Allowed:
    """The dependency of one action: finds out who calls and lets them pass, or refuses in words."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, request: Request) -> Principal:
        principal = await current_principal(request)
        if principal.may(self.action):
            return principal
        if principal.signed_in:
            raise Forbidden(
                "not-for-your-role",
                {
                    "en": f"Your role ({principal.role}) is not meant to {self.action}. Sign in with another role.",
                    "ja": f"いまの役割（{principal.role}）では、この操作はできません。別の役割でサインインしてください。",
                },
            )
        if "authorization" in request.headers:
            raise Forbidden(
                "key-not-known",
                {
                    "en": "The API key is not known here, or is not valid any more. "
                    "Send a valid one as “Authorization: Bearer mk_…”.",
                    "ja": "このAPIキーは登録されていないか、もう使えません。"
                    "有効なキーを「Authorization: Bearer mk_…」の形で送ってください。",
                },
            )
        raise Forbidden(
            "sign-in-needed",
            {
                "en": f"You have to sign in to {self.action}.",
                "ja": "この操作にはサインインが必要です。",
            },
        )


@cache
def allowed(action: Action) -> Allowed:
    """What a route depends on to let its caller do `action`.

    `reader: Annotated[Principal, Depends(allowed(Action.SEE_NEEDS))]`
    """
    return Allowed(action)


async def current_principal(request: Request) -> Principal:
    """Who calls, looked up once per request and kept on it."""
    known: Principal | None = getattr(request.state, "principal", None)
    if known is None:
        known = request.state.principal = await _look_up(request)
    return known


def cookie_name(public_origin: str) -> str:
    """`__Host-` ties the cookie to https and to this very host; plain http on loopback cannot have it."""
    return f"__Host-{COOKIE}" if public_origin.startswith("https://") else COOKIE


def kept(request: Request, name: str) -> str:
    """What the browser keeps under this very name; empty where that is nothing, or two things.

    Not `request.cookies`: it takes bytes such as 0x85 beside a name for spaces, while to a browser they belong to the name. So
    another host of our domain may set `\\x85__Host-musubi`, and would put people into a session of its own.
    """
    pieces = (piece.strip(" \t").partition("=") for line in request.headers.getlist("cookie") for piece in line.split(";"))
    values = [value for key, _, value in pieces if key == name]
    return values[0] if len(values) == 1 else ""


def hashed(secret: str) -> bytes:
    """What is kept of a token. The tokens are 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.encode()).digest()


async def _look_up(request: Request) -> Principal:
    service: Any = request.app.state.service
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key:
        return await _found(service, "SELECT * FROM identity.live_api_keys WHERE key_hash = $1", hashed(key.strip()))
    token = kept(request, cookie_name(service.settings.public_origin))
    if token:
        sql = "SELECT * FROM identity.live_sessions WHERE token_hash = $1 AND expires_at > $2"
        return await _found(service, sql, hashed(token), service.clock(), request=request)
    return ANYONE


async def _found(service: Any, sql: str, *args: object, request: Request | None = None) -> Principal:
    async with service.database.reading() as tx:
        row = await tx.fetchrow(sql, *args)
        if row is not None and request is not None and may(Role(row["role"]), Action.SEE_PARKED, own=None):
            request.state.held = await held_board.everywhere(tx, service.name)  # the head of every page says how many
    if row is None:
        return ANYONE
    return Principal(Role(row["role"]), row["account_id"], row["organisation_id"], by_language(row["names"]), row["language"])


def by_language(names: Any) -> dict[str, str]:
    """A text by language from a jsonb column, which a connection gives as text unless it was taught JSON."""
    return json.loads(names) if isinstance(names, str) else dict(names)
