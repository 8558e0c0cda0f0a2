"""A service's way to its database: a pool with deadlines, JSON exact to the digit, and transactions that announce facts."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from asyncpg import InternalClientError

from common.clock import Clock, utc_now
from common.contracts.registry import TOPICS, Topic
from common.errors import TryAgain
from common.exact_json import from_json, to_json
from common.messaging import outbox
from common.transaction import Transaction

CONNECT_SECONDS = 5
ACQUIRE_SECONDS = 15
COMMAND_SECONDS = 30
"""asyncpg has no deadline of its own: a cut connection would hang for ever."""
_PROBE_SECONDS = 2

_AWAY = {
    "en": "The database does not answer just now. Please try again in a minute.",
    "ja": "データベースが応答していません。1分ほど待ってから、もう一度お試しください。",
}


def server_settings(schema: str) -> dict[str, str]:
    """What each session is told: its schema, and that PostgreSQL gives up on us when we fall silent in a transaction.

    A process that hangs keeps its row locks no longer than that, so whoever takes over its work is not held up for long."""
    return {
        "search_path": '"' + schema.replace('"', '""') + '"',
        "application_name": f"musubi-{schema}",
        "timezone": "UTC",
        "idle_in_transaction_session_timeout": "15s",
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


async def speak_json(connection: asyncpg.Connection) -> None:
    """Make `jsonb` columns Python values in both directions, decimals included."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",  # works in COPY too; the first byte is the format's version
        encoder=lambda value: b"\x01" + to_json(value),
        decoder=lambda data: from_json(data[1:]),
    )


class Database:
    """The pool of one service and its transactions."""

    def __init__(
        self,
        dsn: str,
        schema: str,
        *,
        clock: Clock = utc_now,
        source: str = "",
        connections: int = 8,
        announce: Callable[[outbox.Batch], None] | None = None,
        topics: Mapping[str, Topic] = TOPICS,
    ) -> None:
        """`announce` is told, right after a commit, which events were appended to the outbox; `topics` says in which topics every
        event counts: there it can be found by its key."""
        self.dsn = dsn
        self.schema = schema
        self.clock = clock
        self._source = source or f"/services/{schema}"
        self._connections = connections
        self._announce = announce
        self._topics = topics
        self._pool: Any = None
        self._in_use: set[Any] = set()

    async def open(self) -> None:
        """Connect; raises what asyncpg raises."""
        self._pool = await asyncpg.create_pool(
            self.dsn,
            min_size=1,
            max_size=self._connections,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            max_inactive_connection_lifetime=60,
            server_settings=server_settings(self.schema),
            init=speak_json,
            reset=_leave_as_it_is,
        )

    async def close(self) -> None:
        """Cut all connections; what was not committed is rolled back by PostgreSQL."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()  # close() would wait for ever for a connection that hangs

    async def cut(self) -> None:
        """Give up all connections: who waits for an answer gets `TryAgain`, and new connections are made when they are wanted."""
        if self._pool is not None:
            await self._pool.expire_connections()
        for connection in list(self._in_use):
            with contextlib.suppress(asyncpg.InterfaceError):  # it has just been given back
                connection.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection without a transaction; raises `TryAgain` if none is to be had in time, or if it breaks."""
        pool = self._pool
        if pool is None:
            raise TryAgain("database-away", _AWAY)
        try:
            connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, InternalClientError) as error:
            raise TryAgain("database-away", _AWAY) from error
        self._in_use.add(connection)
        try:
            yield connection
        except Exception as error:
            if _is_gone(connection) or await _is_beyond_use(connection, error):  # its errors are of three families
                raise TryAgain("database-away", _AWAY) from error
            raise
        finally:
            self._in_use.discard(connection)
            # A session that cannot be given back is ended by the pool. What was done on it is done, what failed has said so.
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, InternalClientError):
                await pool.release(connection, timeout=CONNECT_SECONDS)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end with what was emitted, and wakes the relay; rolls back if anything raises."""
        async with self.connection() as connection:
            tx = Transaction(connection, self.clock(), source=self._source)
            try:
                async with connection.transaction():
                    yield tx
                    batch = await outbox.append(tx, self._topics)
                tx.end(committed=True)
            finally:
                tx.end(committed=False)
            if batch is not None and self._announce is not None:
                self._announce(batch)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """One snapshot to read from; writing and emitting raise."""
        async with self.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            yield Transaction(connection, self.clock(), source=self._source, read_only=True)


async def _leave_as_it_is(connection: Any) -> None:
    """Nobody changes a session beyond its transaction, so the round trip that asyncpg makes to reset it is spared."""


def _is_gone(connection: Any) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it back already
        return True


async def _is_beyond_use(connection: Any, error: BaseException | None) -> bool:
    """Whether asyncpg stumbled over itself, and the session answers no more.

    So it does where a connection is cut just before a COPY: the session counts as open, and as busy for ever (asyncpg 0.32:
    "cannot switch to state 21"). A mistake of ours, such as a type that COPY cannot write, leaves a session that answers; of two
    tasks on one session an `InterfaceError` tells."""
    while error is not None and not isinstance(error, InternalClientError):
        error = error.__context__
    if error is None:
        return False
    try:
        await connection.fetchval("select 1", timeout=_PROBE_SECONDS)
    except asyncpg.PostgresError:  # such as that the transaction has failed: it does answer
        return _is_gone(connection)
    except (OSError, TimeoutError, asyncpg.InterfaceError, InternalClientError):
        return True
    return False
