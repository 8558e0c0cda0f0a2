"""Held events for the operator's verbs, on a real database, and what these changed, refused and wrote down."""

import asyncio
from typing import Any

import pytest

from common.errors import Rejected
from common.messaging import cursors, parked
from common.messaging.gate import Move, Parked, Refusal
from common.messaging.message import Event
from common.operating import audit, held
from common.operating.held import EventId
from common.postgres import Database
from tests.common.records import an_event

GROUP = "hop"
RATES = "catalog.exchange-rates"
NOTIFICATIONS = "notify.notifications"
WHO = {"actor": "an-operator", "reason": "the unit is known now"}
GOOD = '{"currency": "JPY", "per_usd": 155.250, "as_of": "2026-11-02", "source": "a test"}'
"""A body that keeps to the contract of a rate."""


def state(sequence: int = 1, key: str = "JPY") -> Event:
    """A rate: each is the whole state of its key."""
    return an_event(sequence=sequence, key=key, id=f"01939c5e-0000-7000-8000-{sequence:012d}")


def fact(sequence: int) -> Event:
    """A notification: every one counts."""
    body = (
        b'{"id":"n","recipient_id":"r","recipient_kind":"office","need_id":"n","offering_id":"o","rule":"a test","why":{},'
        b'"issued_at":"2026-11-01T00:00:00Z"}'
    )
    return an_event(
        topic=NOTIFICATIONS, key="n", sequence=sequence, type="notification.issued.v1", body=body,
        id=f"01939c5e-0000-7000-8000-{sequence:012d}",
    )  # fmt: skip


async def given(database: Database, *waiting: tuple[Event, str] | tuple[Event, str, Refusal], last: int = 0) -> None:
    """Events that wait, their key's cursor at `last`."""
    async with database.transaction() as tx:
        if last:
            event = waiting[0][0]
            await cursors.move(tx, GROUP, {(event.topic, event.key): Move(0, last)})
        await parked.park(tx, GROUP, [Parked(each[0], each[1], *each[2:]) for each in waiting], {})
        await tx.execute("update parked set next_try = now() + interval '1 hour', attempts = 5")
        await tx.execute("update parked set next_try = 'infinity' where reason = 'behind'")


def which(event: Event) -> EventId:
    return EventId(event.topic, event.key, event.sequence)


async def rows(database: Database) -> list[dict[str, Any]]:
    async with database.reading() as tx:
        found = await tx.fetch("select *, next_try <= now() as due from parked order by topic, key, sequence")
        return [dict(row) for row in found]


async def trail(database: Database) -> list[audit.Entry]:
    async with database.reading() as tx:
        assert await audit.verify(tx) == []
        return await audit.about(tx, {})


async def last(database: Database, event: Event) -> int:
    async with database.reading() as tx:
        return (await held.standing_of(tx, GROUP, which(event))).last


async def refused(database: Database, verb: Any, *what: Any, **how: Any) -> Rejected:
    """The refusal, in both languages; nothing was changed or written down."""
    before, acts = await rows(database), await trail(database)
    with pytest.raises(Rejected) as caught:
        async with database.transaction() as tx:
            await verb(tx, GROUP, *what, **{**WHO, **how})
    assert caught.value.detail.keys() == {"en", "ja"}
    assert (await rows(database), await trail(database)) == (before, acts)
    return caught.value


async def do(database: Database, verb: Any, *what: Any, **how: Any) -> audit.Entry:
    async with database.transaction() as tx:
        return await verb(tx, GROUP, *what, **{**WHO, **how})


async def until_somebody_waits_for_a_lock(database: Database) -> None:
    async with asyncio.timeout(4):
        while True:
            async with database.connection() as connection:
                waiting = await connection.fetchval(
                    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
                )
            if waiting:
                return
            await asyncio.sleep(0.02)
