"""A notify service for each test: one that sends to a real mail server, one that writes into a folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.mailbox import Mailbox
from tests.notify.world import World, new_world


@pytest.fixture
async def world(postgres: str, tmp_path: Path) -> AsyncIterator[World]:
    """Without a mail server: mails become files in `tmp_path / "mails"`."""
    async with new_world(postgres, tmp_path / "mails") as made:
        yield made


@pytest.fixture
async def mailing_world(postgres: str, tmp_path: Path, smtp: Mailbox) -> AsyncIterator[World]:
    """With the mail server `smtp`."""
    async with new_world(postgres, tmp_path / "mails", smtp) as made:
        yield made
