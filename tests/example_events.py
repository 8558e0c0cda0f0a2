"""The product's example events, dated as if loaded today."""

import json
from datetime import UTC, datetime

from musubi import examples
from tests.partner_events import CloudEvent


def example_events() -> list[CloudEvent]:
    """All of them in the order of loading: rates, cities, companies, offerings, needs."""
    now = datetime.now(UTC)
    return [json.loads(item.text) for item in examples.read(examples.find(None), now.date(), now)]
