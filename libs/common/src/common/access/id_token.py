"""Whether an ID token says what it must, and whom it names. Pure: keys, expectations and time are arguments."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeGuard

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, KeySet
from joserfc.jws import JWSRegistry

from common.access.people import Identified

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA",
)  # fmt: skip
"""Only such as need the provider's private key: with one of the others whoever knows the public key or our secret could sign."""
CLOCKS_DIFFER_BY = 60
"""So many seconds the provider's clock may be away from ours."""


LONGEST_NAME = 255
"""More characters neither a provider's name for somebody (OpenID Connect Core, 2) nor an e-mail address has."""


class Expected(NamedTuple):
    """What a token has to agree with."""

    issuer: str
    client_id: str
    nonce: str
    trusts_email: bool = False


class Untrusted(Exception):
    """The token is not one for us, here and now. The text says why, without anything that is in it."""


class UnknownKey(Untrusted):
    """It is signed with a key that we do not know; the provider may have changed its keys."""


def keys_of(published: Any) -> KeySet:
    """The keys for signatures among those that a provider publishes; what is none, or of a kind unknown here, is left out."""
    entries = published.get("keys") if isinstance(published, Mapping) else None
    keys = []
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, Mapping) or entry.get("use", "sig") != "sig" or entry.get("kty") == "oct":
            continue
        try:
            keys.append(JWKRegistry.import_key(dict(entry)))
        except (JoseError, ValueError, TypeError, KeyError):  # the last for a curve that it has never heard of
            continue
    return KeySet(keys)


def read(token: str, keys: KeySet, expected: Expected, now: datetime) -> Identified:
    """Whom the token names. Raises `Untrusted`, or `UnknownKey` where newer keys may help."""
    try:
        # The header is the provider's own; what it may carry besides is not ours to judge.
        decoded = jwt.decode(
            token, keys, algorithms=ALGORITHMS, registry=JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        )
    except (InvalidKeyIdError, BadSignatureError) as error:
        raise UnknownKey(f"the signature is of no known key ({type(error).__name__})") from error
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise Untrusted(f"it cannot be read ({type(error).__name__})") from error
    claims = decoded.claims
    rules = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()), leeway=CLOCKS_DIFFER_BY,
        iss={"essential": True, "value": expected.issuer}, aud={"essential": True, "value": expected.client_id},
        sub={"essential": True}, exp={"essential": True}, iat={"essential": True},
        nonce={"essential": True, "value": expected.nonce},
    )  # fmt: skip
    try:
        rules.validate(claims)
    except JoseError as error:
        raise Untrusted(f"a claim is wrong ({getattr(error, 'claim', None) or type(error).__name__})") from error
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if claims.get("azp", expected.client_id if len(audiences) == 1 else "") != expected.client_id:
        raise Untrusted("a claim is wrong (azp)")
    if not _can_be_kept(claims["sub"]):
        raise Untrusted("a claim is wrong (sub)")
    email = claims.get("email")
    return Identified(expected.issuer, claims["sub"], email if _can_be_kept(email) else "", _verified(claims, expected))


def _can_be_kept(value: Any) -> TypeGuard[str]:
    """Whether the database takes it: a text without NUL and the like, of a length that such names have."""
    return isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_NAME


def _verified(claims: Mapping[str, Any], expected: Expected) -> bool:
    """Whether the provider says that the address is theirs. Entra ID says it of the address's domain, as `xms_edov`."""
    said = claims.get("email_verified", claims.get("xms_edov"))
    return expected.trusts_email if said is None else said in (True, 1, "true", "True", "1")
