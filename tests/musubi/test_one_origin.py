"""Each path of the one origin belongs to one service."""

from typing import Any

import pytest

from musubi.dispatcher import service_for

SERVICES: dict[str, Any] = dict.fromkeys(("needs", "catalog", "matching", "notify"))


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/needs", "needs"),
        ("/needs/some-id", "needs"),
        ("/api/catalog/v1/events", "catalog"),
        ("/api/matching/livez", "matching"),
        ("/matching", "matching"),
        ("/notify/inbox", "notify"),
        ("/", "notify"),
        ("/sign-in/token", "notify"),
        ("/assets/musubi.css", "notify"),
        ("/api", "notify"),
        ("/needs-of-somebody-else", "notify"),
        ("/api/unknown/v1/events", "notify"),
        ("//needs", "needs"),
        ("", "notify"),
    ],
)
def test_the_path_says_who_answers(path: str, service: str) -> None:
    assert service_for(path, SERVICES) == service
