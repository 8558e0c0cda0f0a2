"""Matching on an empty database."""

from collections.abc import AsyncIterator

import pytest

from tests.matching.running import Clock, Matching, Site, matching_on, site_on


@pytest.fixture
async def matching(postgres: str) -> AsyncIterator[Matching]:
    """Matching's handlers, at noon in Tokyo on 24 November 2026."""
    async with matching_on(postgres, Clock()) as running:
        yield running


@pytest.fixture
async def site(postgres: str) -> AsyncIterator[Site]:
    """The whole service with its pages."""
    async with site_on(postgres, Clock()) as running:
        yield running
