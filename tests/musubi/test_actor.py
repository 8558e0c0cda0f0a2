"""Whom the audit names where somebody acts at the command line."""

import getpass

import pytest

from musubi import places


def test_it_is_the_operator_who_is_named_else_the_systems_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSUBI_OPERATOR", raising=False)
    assert places.actor() == f"{getpass.getuser()} (command line)"
    monkeypatch.setenv("MUSUBI_OPERATOR", "  ")
    assert places.actor() == f"{getpass.getuser()} (command line)"
    monkeypatch.setenv("MUSUBI_OPERATOR", "yuki")
    assert places.actor() == "yuki (command line)"
