"""Which ID tokens are believed: those of the provider's own keys, for us, for this attempt, now."""

import hmac
import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from common.access.id_token import Expected, UnknownKey, Untrusted, keys_of, read

NOW = datetime(2026, 11, 30, tzinfo=UTC)
AT = int(NOW.timestamp())
EXPECTED = Expected("https://login.example", "musubi", "the-nonce")
OURS = RSAKey.generate_key(2048, {"kid": "a"})
CURVE = ECKey.generate_key("P-256", {"kid": "b"})
ENCRYPTS = RSAKey.generate_key(2048, {"kid": "c", "use": "enc"})
SECRET = b"a secret of more than thirty-two bytes"


def encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


PUBLISHED = {
    "keys": [
        OURS.as_dict(private=False), CURVE.as_dict(private=False), ENCRYPTS.as_dict(private=False),
        {"kty": "of tomorrow", "kid": "d"},
        {"kty": "EC", "crv": "of tomorrow", "kid": "e", "x": "AQ", "y": "AQ"},
        {"kty": "oct", "kid": "a", "k": encoded(SECRET)}, "nonsense",
    ]
}  # fmt: skip
CLAIMS = {
    "iss": "https://login.example", "aud": "musubi", "sub": "s-1", "nonce": "the-nonce", "iat": AT, "exp": AT + 300,
    "email": "a@city.example", "email_verified": True,
}  # fmt: skip


def token(key: Any = OURS, alg: str = "RS256", kid: str | None = "a", **claims: Any) -> str:
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode({"alg": alg} | ({"kid": kid} if kid else {}), said, key, algorithms=[alg])


def by_hand(header: dict[str, str], secret: bytes = b"") -> str:
    """A token as an attacker makes it, without a library that refuses: signed with this as a shared secret, or not at all."""
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, CLAIMS))
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256')) if secret else ''}"


@pytest.mark.parametrize("said", [token(), token(CURVE, "ES256", "b"), token(aud=["musubi"]), token(exp=AT - 59)])
def test_a_token_of_the_providers_own_keys_says_who_it_is(said: str) -> None:
    who = read(said, keys_of(PUBLISHED), EXPECTED, NOW)
    assert (who.issuer, who.subject, who.email, who.verified) == ("https://login.example", "s-1", "a@city.example", True)


@pytest.mark.parametrize("email", ["a@city.example\0", "\u00a0a@city.example", ["a@city.example"], 5])
def test_an_address_that_is_no_address_is_none(email: Any) -> None:
    assert read(token(email=email), keys_of(PUBLISHED), EXPECTED, NOW).email == ""


def test_without_a_key_id_the_only_key_is_taken() -> None:
    assert read(token(kid=None), KeySet([OURS]), EXPECTED, NOW).subject == "s-1"


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("another issuer", token(iss="https://login.example.attacker.example")),
        ("another audience", token(aud="somebody-else")),
        ("issued to another", token(azp="somebody-else")),
        ("for several, and issued to nobody", token(aud=["musubi", "somebody-else"])),
        ("another nonce", token(nonce="another")),
        ("no nonce", token(nonce=None)),
        ("expired", token(exp=AT - 60)),
        ("never expires", token(exp=None)),
        ("from the future", token(iat=AT + 61)),
        ("nobody", token(sub=None)),
        ("a name that no database keeps", token(sub="s\0")),
        ("a name without end", token(sub="s" * 256)),
        ("not signed", by_hand({"alg": "none"})),
        ("signed with the public key as a secret", by_hand({"alg": "HS256", "kid": "a"}, OURS.as_pem(private=False))),
        ("signed with a published secret", by_hand({"alg": "HS256", "kid": "a"}, SECRET)),
        ("no token", "nonsense"),
        ("empty", ""),
    ],
)
def test_a_token_that_is_not_for_us_here_and_now_is_not_believed(why: str, said: str) -> None:
    with pytest.raises(Untrusted) as refusal:
        read(said, keys_of(PUBLISHED), EXPECTED, NOW)
    assert not isinstance(refusal.value, UnknownKey), why
    assert "example" not in str(refusal.value), "what a token says stays out of the log"


@pytest.mark.parametrize("key", [("a", "the same name"), ("z", "another name")])
def test_a_token_of_another_key_asks_for_newer_keys(key: tuple[str, str]) -> None:
    with pytest.raises(UnknownKey):
        read(token(RSAKey.generate_key(2048), kid=key[0]), keys_of(PUBLISHED), EXPECTED, NOW)


def test_a_key_for_secrets_signs_nothing() -> None:
    with pytest.raises(UnknownKey):
        read(
            token(RSAKey.import_key({**ENCRYPTS.as_dict(private=True), "use": "sig"}), kid="c"), keys_of(PUBLISHED), EXPECTED, NOW
        )


@pytest.mark.parametrize(
    ("claims", "trusts", "verified"),
    [
        ({"email_verified": True}, False, True),
        ({"email_verified": "true"}, False, True),
        ({"email_verified": False}, True, False),
        ({"email_verified": None}, False, False),
        ({"email_verified": None}, True, True),
        ({"email_verified": None, "xms_edov": True}, False, True),
    ],
)
def test_an_address_is_theirs_where_the_provider_says_so_or_is_trusted_to_mean_it(
    claims: dict[str, Any], trusts: bool, verified: bool
) -> None:
    assert read(token(**claims), keys_of(PUBLISHED), EXPECTED._replace(trusts_email=trusts), NOW).verified == verified
