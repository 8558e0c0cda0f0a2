"""Waits until the healed house has come to rest, and says what is left if it does not.

Waiting for a retry whose time is an hour away is spared: what waits for its time only is due at once, as if the time had passed.
"""

import asyncio
import time
from collections.abc import Iterable

import asyncpg

from common.contracts.registry import service_of
from tests.faults.counter import TOPICS
from tests.faults.evidence import READERS, SERVICES, WAITS
from tests.faults.poison import JUNK

NOT_JUNK = f"key not like '{JUNK}%'"
HURRIED_EVERY = 10.0


async def cure(dsn: str, troubles: Iterable[str]) -> None:
    """From now on the handlers no longer fail over these."""
    for service in ("counter", "tally"):
        connection = await asyncpg.connect(dsn, server_settings={"search_path": service})
        try:
            await connection.executemany("insert into cured values ($1) on conflict do nothing", [(one,) for one in troubles])
        finally:
            await connection.close()


async def at_rest(dsn: str, *, within: float) -> dict[str, int]:
    """Wait until nothing is left to do, or for so many seconds; returns what is left."""
    deadline = time.monotonic() + within
    hurried = 0.0
    while True:
        left = await _left(dsn)
        if not left or time.monotonic() > deadline:
            return left
        if time.monotonic() - hurried > HURRIED_EVERY:
            hurried = time.monotonic()
            await _hurry(dsn)
        await asyncio.sleep(1)


async def _left(dsn: str) -> dict[str, int]:
    connection = await asyncpg.connect(dsn)
    try:
        left: dict[str, int] = {}
        for service in SERVICES:
            left[f"{service}: unsent"] = await connection.fetchval(f"select count(*) from {service}.unsent")
            left[f"{service}: duties"] = await connection.fetchval(f"select count(*) from {service}.due where next_try <= now()")
        for service in READERS:
            left[f"{service}: parked"] = await connection.fetchval(
                f"select count(*) from {service}.parked where {WAITS} and {NOT_JUNK}"
            )
        for topic in TOPICS.values():
            for reader in topic.readers:
                left[f"{topic.name} for {reader}"] = await connection.fetchval(
                    f"""select count(*) from {topic.producer}.stream_head h
                    left join {service_of(reader)}.inbox_cursor c on c.grp = $1 and c.topic = h.topic and c.key = h.key
                    where h.topic = $2 and c.last is distinct from h.sequence""",
                    reader, topic.name,
                )  # fmt: skip
        left["mails"] = await connection.fetchval("select count(*) from notify.delivery where state in ('to_compose', 'due')")
        return {what: amount for what, amount in left.items() if amount}
    finally:
        await connection.close()


async def _hurry(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for service in READERS:
            await connection.execute(
                f"update {service}.parked set next_try = now() where next_try > now() and {WAITS} and {NOT_JUNK}"
            )
        for service in SERVICES:
            await connection.execute(f"update {service}.due set next_try = now() where attempts > 0 and next_try > now()")
        await connection.execute("update notify.delivery set next_try = now() where state in ('to_compose', 'due')")
    finally:
        await connection.close()
