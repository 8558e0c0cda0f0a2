"""How long something takes that begins in one service and ends in another: told when it ends, after the commit.

The beginning is read from what the events carry anyway. Only fresh events count: what was held back and let go, or was replayed,
says nothing about how fast the chain is (`common.freshness` tells of what is held).
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Histogram

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds."""


def histogram(name: str, meaning: str, labels: Sequence[str], registry: CollectorRegistry) -> Histogram:
    """A latency in seconds."""
    return Histogram(name, meaning, labels, registry=registry, buckets=BUCKETS)


def drawn_at(event_id: str) -> datetime | None:
    """When one of our own ids was drawn, to the millisecond: it is a UUID of version 7. None for an id of another kind."""
    try:
        found = uuid.UUID(event_id)
    except ValueError:
        return None
    return datetime.fromtimestamp((found.int >> 80) / 1000, UTC) if found.version == 7 else None
