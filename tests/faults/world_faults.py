"""Faults of the world outside: the broker, the database, the network between, and strangers in the consumer groups."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

import asyncpg
from aiokafka import AIOKafkaConsumer

from common.contracts.registry import service_of
from tests.faults.house import DATABASE
from tests.faults.mail_faults import KINDS
from tests.faults.run import READ_TOPICS
from tests.faults.strikes import Strike
from tests.proxy import Mode, Proxy

GROUPS = sorted({group for topic in READ_TOPICS for group in topic.readers})
LONGEST_SILENCE = 14.0
"""Longer than PostgreSQL's and the brokers' own patience with a session."""
SESSIONS = "select pid from pg_stat_activity where datname = $1 and application_name like 'musubi-%' order by random()"


# broker ------------------------------------------------------------------------------------------------------------------
async def broker_killed(strike: Strike) -> bool:
    """kill -9 of Kafka, and a start on the same data."""
    server = strike.house.kafka_server
    assert server
    await asyncio.to_thread(server.kill)
    try:
        await strike.wait(strike.some_seconds(0, 4))
    finally:
        await asyncio.to_thread(server.start)
    return True


async def broker_frozen(strike: Strike) -> bool:
    """SIGSTOP of Kafka for a while."""
    server = strike.house.kafka_server
    assert server
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await strike.wait(strike.some_seconds(1, 8))
    finally:
        os.kill(server.pid, signal.SIGCONT)
    return True


async def network_to_kafka(strike: Strike, mode: Mode) -> bool:
    """Refused, cut, silent or slow."""
    assert strike.house.kafka_proxy
    return await _network(strike, strike.house.kafka_proxy, mode)


async def members_came_and_went(strike: Strike) -> bool:
    """A rebalance storm: strangers join a consumer group, get partitions, read nothing and leave."""
    group = strike.chance.choice(GROUPS)
    stays = [strike.some_seconds(0.2, 3) for _ in range(strike.chance.randint(2, 4))]
    came = await asyncio.gather(*(_stay(strike, group, seconds, None) for seconds in stays))
    return any(came)


async def twin_came(strike: Strike) -> bool:
    """Somebody joins under the name of a running process, which thereby loses its place in the group."""
    group = strike.chance.choice(GROUPS)
    return await _stay(strike, group, strike.some_seconds(0.2, 3), f"{service_of(group)}-1-{group}")


async def _stay(strike: Strike, group: str, seconds: float, name: str | None) -> bool:
    topics = [topic.name for topic in READ_TOPICS if group in topic.readers]
    stranger = AIOKafkaConsumer(
        *topics, bootstrap_servers=strike.house.kafka, group_id=group, group_instance_id=name, enable_auto_commit=False,
        session_timeout_ms=10_000, rebalance_timeout_ms=10_000,
    )  # fmt: skip
    came = False
    with suppress(Exception):  # the broker may be away just now; then nobody came
        async with asyncio.timeout(10):
            await stranger.start()
        came = True
        await strike.wait(seconds)
    with suppress(Exception):
        async with asyncio.timeout(5):
            await stranger.stop()
    return came


# database ----------------------------------------------------------------------------------------------------------------
async def postgres_stopped(strike: Strike) -> bool:
    """An immediate stop: sessions are cut in the middle of anything, and the next start has to recover."""
    server = strike.house.postgres
    await asyncio.to_thread(server.crash)
    try:
        await strike.wait(strike.some_seconds(0, 4))
    finally:
        await asyncio.to_thread(server.start)
    return True


async def postgres_session_killed(strike: Strike) -> bool:
    """kill -9 of the process of one session: PostgreSQL ends all others and recovers."""
    pids = await _sessions(strike)
    for pid in pids[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


async def sessions_ended(strike: Strike) -> bool:
    """Some of the sessions, or all, are ended by the server."""
    pids = await _sessions(strike)
    share = pids[: strike.chance.choice((1, 3, len(pids)))]
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection = await asyncpg.connect(strike.house.postgres.dsn(), timeout=5, command_timeout=5)
        try:
            return bool(await connection.fetch("select pg_terminate_backend(pid) from unnest($1::int[]) as x(pid)", share))
        finally:
            connection.terminate()
    return False


async def _sessions(strike: Strike) -> Sequence[int]:
    """The system's own sessions in its database; not those of whoever checks."""
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection = await asyncpg.connect(strike.house.postgres.dsn(), timeout=5, command_timeout=5)
        try:
            return [row[0] for row in await connection.fetch(SESSIONS, DATABASE)]
        finally:
            connection.terminate()
    return []


async def network_to_postgres(strike: Strike, mode: Mode) -> bool:
    """Refused, cut, silent or slow."""
    return await _network(strike, strike.house.postgres_proxy, mode)


async def _network(strike: Strike, proxy: Proxy, mode: Mode) -> bool:
    proxy.delay = strike.chance.choice((0.02, 0.1, 0.3))
    await proxy.become(mode)
    try:
        await strike.wait(strike.some_seconds(0.5, LONGEST_SILENCE if mode is Mode.SILENT else 5))
    finally:
        await proxy.become(Mode.PASS)
    return True


# mail --------------------------------------------------------------------------------------------------------------------
async def mail_server_moody(strike: Strike, mood: str) -> bool:
    """The mail server answers so for a while; it counts only if somebody tried to send a mail then."""
    assert mood in KINDS
    mailbox = strike.house.mailbox
    before = mailbox.met[mood]
    mailbox.mood = mood
    try:
        await strike.wait_for(lambda: mailbox.met[mood] > before, 4)
        await strike.wait(strike.some_seconds(0, 3))
    finally:
        mailbox.mood = ""
    return mailbox.met[mood] > before
