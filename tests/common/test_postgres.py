"""What a caller is told when the way to PostgreSQL breaks in the middle, and when the mistake is ours."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from common.errors import TryAgain
from common.postgres import Database
from tests.postgres_server import PostgresServer

_UNTIL_READ_SECONDS = 0.1


@pytest.fixture
def by_tcp() -> Iterator[PostgresServer]:
    """A PostgreSQL that listens on a port."""
    server = PostgresServer({"fsync": "off"})
    server.start()
    yield server
    server.close()


@asynccontextmanager
async def without_an_end(server: PostgresServer, ended: asyncio.Event) -> AsyncIterator[str]:
    """The address of a way to it on which nobody hears that PostgreSQL has closed a connection; `ended` says that it has."""
    host, _, port = server.address.rpartition(":")
    calls: set[asyncio.Task[None]] = set()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(65536):
                sink.write(piece)
                await sink.drain()

    async def call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, onward = await asyncio.open_connection(host, int(port))
        calls.add(asyncio.create_task(carry(reader, onward)))
        await carry(answers, writer)
        await asyncio.sleep(_UNTIL_READ_SECONDS)  # the other end has its last words now
        ended.set()

    listening = await asyncio.start_server(call, "127.0.0.1", 0)
    own = listening.sockets[0].getsockname()[1]
    yield server.dsn().replace(f":{port}", f":{own}")
    listening.close()
    for task in calls:
        task.cancel()


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Database]:
    database = Database(dsn, "public", connections=1)
    await database.open()
    yield database
    await database.close()


async def test_a_session_that_was_ended_just_before_a_copy_is_no_bug_of_ours_and_is_not_used_again(
    by_tcp: PostgresServer,
) -> None:
    ended = asyncio.Event()
    async with without_an_end(by_tcp, ended) as dsn, opened(dsn) as database:
        async with database.transaction() as tx:
            await tx.execute("create table things (number int)")
            await tx.connection.copy_records_to_table("things", records=[(1,)])  # its session knows the statement from now on
        with pytest.raises(TryAgain):
            async with database.transaction() as tx:
                await _end(by_tcp, await tx.fetchval("select pg_backend_pid()"))
                await ended.wait()
                await tx.connection.copy_records_to_table("things", records=[(2,)])
        async with database.transaction() as tx:
            await tx.connection.copy_records_to_table("things", records=[(3,)])
        async with database.reading() as tx:
            assert [row["number"] for row in await tx.fetch("select number from things")] == [1, 3]


async def _end(server: PostgresServer, session: int) -> None:
    connection = await asyncpg.connect(server.dsn())
    await connection.execute("select pg_terminate_backend($1)", session)
    await connection.close()


async def test_what_copy_cannot_write_is_a_mistake_of_ours_and_the_session_is_used_again(postgres: str) -> None:
    async with opened(postgres) as database:
        async with database.transaction() as tx:
            await tx.execute("create table rights (of aclitem)")
            session = await tx.fetchval("select pg_backend_pid()")
        with pytest.raises(asyncpg.InternalClientError, match="no binary format encoder"):
            async with database.transaction() as tx:
                await tx.connection.copy_records_to_table("rights", records=[("x",)])
        async with database.reading() as tx:
            assert await tx.fetchval("select pg_backend_pid()") == session


async def test_two_tasks_on_one_session_are_a_mistake_of_ours(postgres: str) -> None:
    async with opened(postgres) as database:
        with pytest.raises(asyncpg.InterfaceError, match="another operation is in progress"):
            async with database.transaction() as tx:
                await asyncio.gather(tx.fetchval("select pg_sleep(0.2)"), tx.fetchval("select 1"))
