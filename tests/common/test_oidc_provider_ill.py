"""A provider that publishes nonsense, never ends its answer or names addresses that can be listened to: we do not follow it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug import Response
from werkzeug.serving import make_server

from common.access.attempts import Attempt
from common.access.oidc import LARGEST_ANSWER, NotIdentified, Provider
from common.settings import Settings
from tests.identity_provider import Quiet

NOW = datetime(2026, 11, 30, tzinfo=UTC)
ATTEMPT = Attempt("state", "nonce", "verifier")
DEEP = b"[" * 100_000


class Answers:
    """A server with an answer for each path; where there is none, an empty object."""

    def __init__(self) -> None:
        self.server = make_server("localhost", 0, self._answer, threaded=True, request_handler=Quiet)
        self.address = f"http://localhost:{self.server.server_port}"
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []

    def publishes(self, issuer: str = "", **others: Any) -> None:
        """What it says of itself: this, and else what is right."""
        right = {"issuer": issuer or self.address} | {
            f"{name}_endpoint": f"{self.address}/{name}" for name in ("authorization", "token")
        }
        self.answers["/.well-known/openid-configuration"] = {**right, "jwks_uri": f"{self.address}/keys", **others}

    def provider(self, issuer: str = "", internal: str = "") -> Provider:
        """What asks it."""
        said = {"oidc_issuer": issuer or self.address, "oidc_client_id": "musubi", "oidc_client_secret": "any"}
        settings = Settings.model_validate({"postgres": "postgresql:///musubi", "kafka": "k", **said, "oidc_internal": internal})
        return Provider(settings, lambda: NOW)

    def _answer(self, environ: Any, start_response: Any) -> Any:
        self.asked.append(path := environ["PATH_INFO"])
        said = self.answers.get(path, {})
        answer = said if isinstance(said, Response) else Response(said if isinstance(said, bytes) else json.dumps(said))
        return answer(environ, start_response)


@pytest.fixture
def answers() -> Iterator[Answers]:
    """One that listens."""
    answers = Answers()
    thread = threading.Thread(target=answers.server.serve_forever, args=(0.02,))
    thread.start()
    answers.publishes()
    yield answers
    answers.server.shutdown()
    answers.server.server_close()
    thread.join()


async def _refusal(provider: Provider) -> NotIdentified:
    with pytest.raises(NotIdentified) as refusal:
        await provider.page(ATTEMPT, language="en", choose=False)
        await provider.identify("code", ATTEMPT)
    return refusal.value


@pytest.mark.parametrize("published", [b"<html>", b"[]", DEEP, b"\xff", b'{"a": "' + b"x" * LARGEST_ANSWER + b'"}'])
async def test_what_is_no_json_object_or_is_far_too_long_is_as_if_it_did_not_answer(answers: Answers, published: bytes) -> None:
    answers.answers["/.well-known/openid-configuration"] = published
    assert str(await _refusal(answers.provider())) == "provider-away: its answer is no JSON object"


@pytest.mark.parametrize("address", [None, 5, "javascript:alert(1)", "http://[x", "https:///page"])
async def test_an_address_where_nobody_can_go_is_none(answers: Answers, address: Any) -> None:
    answers.publishes(authorization_endpoint=address, end_session_endpoint=address)
    assert str(await _refusal(answers.provider())) == "provider-away: it publishes no authorization_endpoint"
    assert await answers.provider().goodbye() is None


async def test_one_that_calls_itself_otherwise_is_not_the_one_that_was_named(answers: Answers) -> None:
    answers.publishes(issuer=f"{answers.address}/another")
    assert "calls itself otherwise" in str(await _refusal(answers.provider()))


async def test_the_code_and_our_secret_go_nowhere_without_https_but_where_the_settings_say(answers: Answers) -> None:
    issuer = "https://login.example"
    answers.publishes(issuer, token_endpoint=answers.address.replace("localhost", "127.0.0.1") + "/elsewhere")
    assert "without https" in str(await _refusal(answers.provider(issuer, internal=answers.address)))
    answers.publishes(issuer, token_endpoint=f"{issuer}/token")
    assert "no ID token" in str(await _refusal(answers.provider(issuer, internal=answers.address)))
    assert answers.asked[-1] == "/token" and "/elsewhere" not in answers.asked


async def test_the_code_and_our_secret_are_not_sent_on_to_where_an_answer_points(answers: Answers) -> None:
    answers.answers["/token"] = Response(status=307, headers={"location": f"{answers.address}/elsewhere"})
    assert str(await _refusal(answers.provider())) == "provider-away: status 307"
    assert answers.asked[-1] == "/token"


@pytest.mark.parametrize("ways", [None, 3, {}])
@pytest.mark.parametrize("keys", [DEEP, {"keys": None}, {"keys": [{"kty": "EC", "crv": "of tomorrow", "x": "AQ", "y": "AQ"}]}])
async def test_a_token_is_not_trusted_where_there_is_no_key_that_we_know(answers: Answers, ways: Any, keys: Any) -> None:
    answers.publishes(token_endpoint_auth_methods_supported=ways)
    answers.answers |= {"/token": {"id_token": "e30.e30.e30"}, "/keys": keys}
    assert (await _refusal(answers.provider())).what in ("provider-away", "token-not-trusted")


async def test_many_at_once_wait_for_one_answer_and_a_failure_is_asked_about_again(answers: Answers) -> None:
    provider = answers.provider()
    answers.answers["/.well-known/openid-configuration"] = Response(status=503)
    first = await asyncio.gather(
        *(provider.page(ATTEMPT, language="ja", choose=False) for _ in range(20)), return_exceptions=True
    )
    assert all(isinstance(outcome, NotIdentified) for outcome in first)
    answers.publishes()
    pages = await asyncio.gather(*(provider.page(ATTEMPT, language="ja", choose=False) for _ in range(20)))
    assert len(set(pages)) == 1
    assert len(answers.asked) == 2
