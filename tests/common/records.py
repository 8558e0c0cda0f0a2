"""Kafka records made by hand, good and bad, for tests of the protocol."""

from typing import NamedTuple

from common.messaging.message import Event, to_headers


class HandMade(NamedTuple):
    """What is read of a Kafka record."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    partition: int = 0
    offset: int = 0


def an_event(**changes: object) -> Event:
    """A rate that is valid in everything."""
    event = Event(
        "catalog.exchange-rates",
        "JPY",
        1,
        "01939c5e-0000-7000-8000-000000000001",
        "exchange-rate.published.v1",
        "/services/catalog",
        "2026-11-24T03:05:00.250Z",
        b'{"currency":"JPY","per_usd":155.25,"as_of":"2026-11-01","source":"a test"}',
    )
    return event._replace(**changes)


def a_record(event: Event | None = None, **headers: bytes | None) -> HandMade:
    """The record of an event; each of `headers` replaces one (dashes are written as double underscores)."""
    event = event or an_event()
    changed = {name.replace("__", "-"): value for name, value in headers.items()}
    whole = dict(to_headers(event)) | changed
    return HandMade(event.topic, event.key.encode(), event.body, tuple(whole.items()))
