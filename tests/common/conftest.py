"""What tests of the messaging tables stand on."""

from collections.abc import AsyncIterator
from importlib.resources import files

import pytest

from common import migrate
from common.postgres import Database


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    """A service's database with messaging tables and nothing in them."""
    await migrate.apply(postgres, "hop", {"messaging": files("common") / "migrations" / "messaging"})
    opened = Database(postgres, "hop")
    await opened.open()
    yield opened
    await opened.close()
