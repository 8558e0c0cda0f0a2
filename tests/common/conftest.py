"""What tests of the messaging tables stand on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from importlib.resources import files

import pytest

from common import migrate
from common.postgres import Database
from tests.common.hop import MIGRATIONS, looking_at
from tests.common.parked_bench import MESSAGING, Bench


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    """A service's database with messaging tables and nothing in them."""
    await migrate.apply(postgres, "hop", {"messaging": files("common") / "migrations" / "messaging"})
    opened = Database(postgres, "hop")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def bench(postgres: str) -> AsyncIterator[Bench]:
    """A group with its tables, in which nothing waits yet."""
    await migrate.apply(postgres, "hop", {"messaging": MESSAGING, "hop": MIGRATIONS})
    async with AsyncExitStack() as stack, looking_at(postgres, "hop") as seen:
        yield Bench(postgres, seen, stack)
