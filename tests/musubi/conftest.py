"""What tests of the `musubi` command stand on."""

import os

import pytest


@pytest.fixture
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests says nothing."""
    for name in (*(name for name in os.environ if name.startswith("MUSUBI_")), "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
