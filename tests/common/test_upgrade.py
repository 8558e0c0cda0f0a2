"""A database of the first version, with events that wait, records in quarantine and an outbox, is brought up to date."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from common import migrate
from common.messaging import outbox
from common.messaging.control import Resend
from common.messaging.gate import Refusal
from common.messaging.message import Event, raw_headers
from common.operating import audit, held, mending, mending_records
from common.operating.held import EventId, RecordId
from common.postgres import Database, server_settings
from tests.common.hop import MIGRATIONS, NOTIFICATIONS, RATES, looking_at
from tests.common.parked_bench import MESSAGING, Bench, a_notification
from tests.common.records import a_record, an_event

POISON = Refusal("/tiers/3/unit", "/tiers/3/unit: no such unit")
NO_REASON = Refusal("", "")
BY: dict[str, Any] = {"actor": "an-operator", "reason": "after the upgrade"}


def a_rate(key: str, sequence: int) -> Event:
    """A valid event of the topic of states."""
    return an_event(key=key, sequence=sequence, body=an_event().body.replace(b"JPY", key.encode()))


async def park(old: asyncpg.Connection, event: Event, reason: str, refusal: Refusal = NO_REASON) -> None:
    """As the consumer wrote it before the upgrade."""
    await old.execute(
        """insert into parked (grp, topic, key, sequence, event_id, type, source, time, body, trace, correlation_id, causation_id,
            reason, pointer, error, attempts, first_at, next_try)
        values ('hop', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
            '2026-11-01T00:00:00Z', '2026-11-01T00:00:01Z')""",
        *event, reason, *refusal, int(reason == "poison"),
    )  # fmt: skip


@pytest.fixture
async def bench(postgres: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """A group as the first version left it, brought up to date, without a broker."""
    shutil.copy(MESSAGING / "0001_messaging.sql", tmp_path)
    await migrate.apply(postgres, "hop", {"messaging": tmp_path, "hop": MIGRATIONS})
    old = await asyncpg.connect(postgres, server_settings=server_settings("hop"))
    try:
        await park(old, a_rate("USD", 3), "poison", POISON)
        await park(old, a_rate("JPY", 3), "superseded", POISON)
        await park(old, a_notification("poisoned", 1), "poison", Refusal("", "KeyError('a')"))
        await park(old, a_notification("poisoned", 2), "behind")
        await park(old, a_notification("torn", 3), "gap")
        await park(old, a_notification("torn", 4), "behind")
        await old.execute(
            "insert into inbox_cursor values ('hop', $1, 'torn', 0, 1), ('hop', $2, 'JPY', 3, 4)", NOTIFICATIONS, RATES
        )
        record = a_record(a_rate("VND", 1))
        await old.execute(
            """insert into quarantine (grp, topic, incarnation, part, "offset", reason, key, headers, body)
            values ('hop', $1, 'life', 0, 7, 'unknown type exchange-rate.published.v1', $2, $3, $4)""",
            RATES, record.key, raw_headers(record.headers), record.value,
        )  # fmt: skip
        await old.execute(
            """insert into outbox (batch, n, topic, key, sequence, event_id, type, source, time, trace, correlation_id,
                causation_id, body) values (nextval('outbox_batch'), 0, $1, $2, $3, $4, $5, $6, $7, $9, $10, $11, $8)""",
            *a_notification("torn", 2),
        )  # fmt: skip
    finally:
        await old.close()
    await migrate.apply(postgres, "hop", {"messaging": MESSAGING, "hop": MIGRATIONS})
    async with AsyncExitStack() as stack, looking_at(postgres, "hop") as seen:
        yield Bench(postgres, seen, stack)


async def test_what_waited_before_the_upgrade_goes_on_and_what_was_missing_is_asked_for(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    while await unparker.step():
        pass
    assert await bench.effects("USD", RATES) == [3]
    assert await bench.effects("poisoned") == [1, 2]
    assert bench.asked == [Resend(NOTIFICATIONS, "torn", 2, 2)]
    await bench.arrive(consumer, a_notification("torn", 2))
    while await unparker.step():
        pass
    assert await bench.effects("torn") == [2, 3, 4]
    assert await bench.waiting() == [("JPY", 3, "superseded", 0)]


async def test_operators_see_and_mend_what_was_held_before_the_upgrade(bench: Bench) -> None:
    consumer, _ = await bench.member()
    async with consumer.database.transaction() as tx:
        causes = {(row.cause.reason, row.cause.cause): row.amount for row in await held.causes(tx, "hop")}
        records = [(row.cause, row.amount) for row in await held.record_causes(tx, "hop")]
        await mending.skip(tx, "hop", EventId(NOTIFICATIONS, "torn", 3), **BY)
        await mending_records.retry_record(tx, "hop", RecordId(RATES, "life", 0, 7), **BY)
    assert causes == {("poison", "/tiers/*/unit"): 1, ("poison", "KeyError"): 1, ("gap", ""): 1}
    assert records == [("unknown type", 1)]
    async with consumer.database.reading() as tx:
        assert await audit.verify(tx) == []
        assert await held.standing_of(tx, "hop", EventId(RATES, "VND", 1)) == held.Standing(0, 1, 0)


async def test_events_from_before_the_upgrade_are_not_found_by_key_but_with_their_whole_topic(
    bench: Bench, postgres: str
) -> None:
    """To find each again would rewrite an outbox of any size; no service reads a topic of facts yet, and after 7 days they go."""
    database = Database(postgres, "hop")
    await database.open()
    async with database.connection() as connection:
        assert await outbox.range_of(connection, NOTIFICATIONS, "torn", 1, 9) == []
        assert await outbox.mark_unsent(connection, NOTIFICATIONS) == 1
        events = (await outbox.load(connection, [1]))[1]
        assert [(event.key, event.sequence) for event in events] == [("torn", 2)]
    await database.close()
