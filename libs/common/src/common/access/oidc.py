"""The OpenID Connect provider as this process speaks to it: where its pages are, what a code is worth, which keys are its own.

What it publishes is read when first needed and again each hour; its keys also when a token is signed with one that is not known.
"""

import asyncio
import hashlib
import json
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

import httpx
from joserfc.jwk import KeySet

from common.access import id_token
from common.access.attempts import Attempt
from common.access.people import Identified
from common.clock import Clock
from common.settings import Settings

SCOPE = "openid email profile"
READ_AGAIN_AFTER = timedelta(hours=1)
TIMEOUT = httpx.Timeout(10, connect=5)
ANSWER_SECONDS = 15
"""So long a whole answer may take: `TIMEOUT` begins anew with each piece of it."""
LARGEST_ANSWER = 1_000_000
"""More bytes are not read; what providers publish are thousands."""
GOODBYE_SECONDS = 2
DISCOVERY = "/.well-known/openid-configuration"

What = Literal["provider-away", "provider-refused", "token-not-trusted"]


class NotIdentified(Exception):
    """The provider did not tell us, in a way that we can trust, who it is. `why` is for the log and holds nothing personal."""

    def __init__(self, what: What, why: str) -> None:
        self.what: What = what
        self.why = why
        super().__init__(f"{what}: {why}")


class Provider:
    """The provider that the settings name."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Opens nothing."""
        self._settings = settings
        self._clock = clock
        self._callback = f"{settings.public_origin.rstrip('/')}/sign-in/callback"
        self._trust: ssl.SSLContext | None = None
        self._published: Mapping[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at: datetime | None = None
        self._learning: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Raises `NotIdentified` unless it publishes, under the name that we know it by, all that signing in takes."""
        for name in ("authorization_endpoint", "token_endpoint"):
            await self._address(name)
        if not (await self._read_keys()).keys:
            raise NotIdentified("provider-away", "it publishes no keys that we can use")

    async def page(self, attempt: Attempt, *, language: str, choose: bool) -> str:
        """The address of the provider's page that this attempt begins with; `choose` asks it not to take who was there last."""
        asked = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": self._callback,
            "scope": SCOPE,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": _challenge(attempt.verifier),
            "code_challenge_method": "S256",
            "ui_locales": language,
        } | ({"prompt": "select_account"} if choose else {})
        return _with_query(await self._address("authorization_endpoint"), asked)

    async def goodbye(self) -> str | None:
        """The provider's own page for signing out; None where it has none, or does not answer soon."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._learn()
        except (NotIdentified, TimeoutError):
            return None
        page = _as_address(self._published.get("end_session_endpoint"))
        return _with_query(page, {"client_id": self._settings.oidc_client_id}) if page else None

    async def identify(self, code: str, attempt: Attempt) -> Identified:
        """Whom the provider means by the code that it gave for this attempt. Raises `NotIdentified`."""
        token = await self._redeem(code, attempt.verifier)
        issuer, client_id = self._settings.oidc_issuer, self._settings.oidc_client_id
        expected = id_token.Expected(issuer, client_id, attempt.nonce, self._settings.oidc_trusts_email)
        try:
            try:
                return id_token.read(token, self._keys or await self._read_keys(), expected, self._clock())
            except id_token.UnknownKey:
                return id_token.read(token, await self._read_keys(), expected, self._clock())
        except id_token.Untrusted as error:
            raise NotIdentified("token-not-trusted", str(error)) from error

    async def _redeem(self, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback,
            "client_id": self._settings.oidc_client_id,
            "code_verifier": verifier,
        }
        address = await self._address("token_endpoint")
        secret, sender = self._settings.oidc_client_secret.get_secret_value(), None
        ways = self._published.get("token_endpoint_auth_methods_supported")
        if secret and (not isinstance(ways, list) or "client_secret_basic" in ways):
            sender = httpx.BasicAuth(quote(self._settings.oidc_client_id, safe=""), quote(secret, safe=""))
        elif secret:
            form["client_secret"] = secret
        answer = await self._ask("POST", address, data=form, auth=sender)
        if not isinstance(token := answer.get("id_token"), str):
            raise NotIdentified("token-not-trusted", "the answer has no ID token")
        return token

    async def _address(self, name: str) -> str:
        await self._learn()
        address = _as_address(self._published.get(name))
        if not address:
            raise NotIdentified("provider-away", f"it publishes no {name}")
        return address

    async def _learn(self) -> None:
        """What the provider publishes of itself, unless it is known. Whoever wants it at the same time waits for one answer."""
        if self._read_at is not None and self._clock() - self._read_at <= READ_AGAIN_AFTER:
            return
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._read_published())
        await asyncio.shield(self._learning)

    async def _read_published(self) -> None:
        now, issuer = self._clock(), self._settings.oidc_issuer
        published = await self._ask("GET", issuer.rstrip("/") + DISCOVERY)
        if published.get("issuer") != issuer:
            raise NotIdentified("provider-away", "it calls itself otherwise than MUSUBI_OIDC_ISSUER")
        self._published, self._keys, self._read_at = published, None, now

    async def _read_keys(self) -> KeySet:
        self._keys = id_token.keys_of(await self._ask("GET", await self._address("jwks_uri")))
        return self._keys

    async def _ask(self, method: str, address: str, **said: Any) -> Mapping[str, Any]:
        """The JSON object that the provider answers; redirects are not followed, for the code and our secret go only there."""
        address = self._inside(address)
        if (
            self._settings.oidc_issuer.startswith("https:")
            and not address.startswith("https:")
            and _origin(address) != self._settings.oidc_internal
        ):
            raise NotIdentified("provider-away", "it publishes an address without https")
        if self._trust is None:
            self._trust = await asyncio.to_thread(ssl.create_default_context)
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                httpx.AsyncClient(verify=self._trust, timeout=TIMEOUT) as http,
                http.stream(method, address, **said) as answer,
            ):
                content = await _content(answer)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise NotIdentified("provider-away", type(error).__name__) from error
        if 400 <= answer.status_code < 500 and method == "POST":
            raise NotIdentified("provider-refused", f"status {answer.status_code}, {slug_of(str((content or {}).get('error')))}")
        if answer.status_code != 200:
            raise NotIdentified("provider-away", f"status {answer.status_code}")
        if content is None:
            raise NotIdentified("provider-away", "its answer is no JSON object")
        return content

    def _inside(self, address: str) -> str:
        """The address as this process reaches it."""
        inside, outside = self._settings.oidc_internal, _origin(self._settings.oidc_issuer)
        return inside + address.removeprefix(outside) if inside and _origin(address) == outside else address


def slug_of(error: str) -> str:
    """A provider's error code, if OAuth or OpenID Connect know it; nothing else that came in an address goes into the log."""
    return error if error in _ERRORS else "an unknown error"


_ERRORS = frozenset({
    "access_denied", "account_selection_required", "consent_required", "interaction_required", "invalid_client", "invalid_grant",
    "invalid_request", "invalid_scope", "login_required", "server_error", "temporarily_unavailable", "unauthorized_client",
    "unsupported_grant_type", "unsupported_response_type",
})  # fmt: skip


async def _content(answer: httpx.Response) -> Mapping[str, Any] | None:
    """The JSON object that an answer is; None for anything else."""
    read = bytearray()
    async for piece in answer.aiter_bytes():
        read += piece
        if len(read) > LARGEST_ANSWER:
            return None
    try:
        content = json.loads(read)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _as_address(value: Any) -> str:
    """The value if a browser or we can go there, else nothing."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        return ""
    return value if parts and parts.scheme in ("https", "http") and parts.hostname else ""


def _with_query(address: str, asked: Mapping[str, str]) -> str:
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(asked)}"
