"""The cookie that holds a session's token: how it is set and taken away, whatever way somebody signed in."""

from starlette.responses import Response

from common.access.auth import cookie_name
from common.access.identity import SESSION_LIVES


class SessionCookie:
    """The cookie of an installation at this public origin."""

    def __init__(self, public_origin: str) -> None:
        self.name = cookie_name(public_origin)
        self._secure = public_origin.startswith("https://")

    def put(self, response: Response, session: str) -> None:
        """No script can read it, and another site's page cannot send it along."""
        lives = int(SESSION_LIVES.total_seconds())
        response.set_cookie(self.name, session, max_age=lives, httponly=True, samesite="lax", secure=self._secure)

    def take(self, response: Response) -> None:
        """As if it had never been."""
        response.delete_cookie(self.name, httponly=True, samesite="lax", secure=self._secure)
