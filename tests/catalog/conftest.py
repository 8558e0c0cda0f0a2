"""The catalog service as its partner meets it."""

from collections.abc import AsyncIterator

import pytest

from catalog.app import create_app
from tests.partner import Partner, partner_of


@pytest.fixture
async def partner(postgres: str) -> AsyncIterator[Partner]:
    """A partner of the catalog service, on an empty database."""
    async with partner_of("catalog", create_app, postgres) as partner:
        yield partner
