"""A real OpenID Connect provider for tests: `oidc-provider-mock` over HTTP, in a thread.

Added is what it leaves out (it does not hold a code to its PKCE challenge, and a refusal carries no state) and what no provider
would do for us: a test may have its keys changed, its tokens run out, or its answer replaced.
"""

import hashlib
import io
import json
import threading
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from werkzeug import Response
from werkzeug.serving import WSGIRequestHandler, make_server

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it still uses what its own library is about to drop
    import oidc_provider_mock

CLIENT = "musubi"
Replace = Callable[[str], str]


class Quiet(WSGIRequestHandler):
    """Says nothing of each request."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  its own name for it
        """Nowhere."""


class IdentityProvider:
    """The provider. `people` are its users: what it calls them, and what it says of them besides."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, object]] = {}
        self.replace: Replace | None = None
        """What becomes of the ID token in the next answers."""
        self.away = False
        """Whether it answers that it cannot."""
        self.tokens: list[str] = []
        """Every ID token that was asked for, as it was made."""
        self._challenge = ""
        self._server = make_server("localhost", 0, self._answer, threaded=True, request_handler=Quiet)
        self.change_keys()

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self._server.server_port}"

    @property
    def settings(self) -> dict[str, str]:
        """What tells a Musubi of it."""
        return {"oidc_issuer": self.issuer, "oidc_client_id": CLIENT, "oidc_client_secret": "any"}

    def knows(self, subject: str, email: str, *, verified: bool | None = True) -> None:
        """Somebody may sign in here."""
        said: dict[str, object] = {"email": email} if email else {}
        self.people[subject] = said if verified is None else {**said, "email_verified": verified}
        self._app.test_client().put(f"/users/{subject}", json=self.people[subject])

    def change_keys(self, *, lives: timedelta = timedelta(hours=1)) -> None:
        """New keys; what was begun is forgotten. `lives` says for how long its tokens are good."""
        users = [oidc_provider_mock.User(sub=subject, claims=said) for subject, said in self.people.items()]
        self._app = oidc_provider_mock.app(user_claims=users, access_token_max_age=lives)
        self._app.debug = False

    def serve(self) -> None:
        """Until `stop`."""
        self._server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        """Nobody listens any more."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: Any, start_response: Any) -> Any:
        if self.away:
            return Response("Later.", 503)(environ, start_response)
        if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] == "/oauth2/authorize":
            asked = parse_qs(environ["QUERY_STRING"])
            self._challenge = asked["code_challenge"][0]
            response = Response.from_app(self._app, environ)
            if "error=" in (location := response.headers.get("location", "")):
                response.headers["location"] = f"{location}&state={asked['state'][0]}"
            return response(environ, start_response)
        if environ["PATH_INFO"] != "/oauth2/token":
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        verifier = parse_qs(body.decode()).get("code_verifier", [""])[0]
        environ["wsgi.input"] = io.BytesIO(body)
        if urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode() != self._challenge:
            start_response("400 Bad Request", [("content-type", "application/json")])
            return [b'{"error": "invalid_grant"}']
        return self._told(environ, start_response)

    def _told(self, environ: Any, start_response: Any) -> Any:
        """The answer with the ID token, kept or replaced."""
        response = Response.from_app(self._app, environ)
        answer = json.loads(response.get_data())
        if "id_token" in answer:
            self.tokens.append(answer["id_token"])
            if self.replace:
                answer["id_token"] = self.replace(answer["id_token"])
        start_response(response.status, [("content-type", "application/json")])
        return [json.dumps(answer).encode()]


@contextmanager
def running() -> Iterator[IdentityProvider]:
    """One that listens while the block runs."""
    provider = IdentityProvider()
    thread = threading.Thread(target=provider.serve)
    thread.start()
    try:
        yield provider
    finally:
        provider.stop()
        thread.join()


def read_part(part: str) -> dict[str, Any]:
    """The header or the claims of a token, whoever signed it."""
    return json.loads(urlsafe_b64decode(part + "=="))
