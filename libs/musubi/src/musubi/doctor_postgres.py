"""What `musubi doctor` looks at in the databases: do they answer, are the tables up to date, may the roles use them?"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import asyncpg

from common import migrate
from common.clock import Clock
from common.migrate import ChangedMigration
from common.postgres import server_settings
from common.settings import ESCAPES
from musubi import doctor_clock, places, roles
from musubi.doctor_findings import ANSWER_SECONDS, Finding, failed, left_out, well
from musubi.doctor_reach import trouble_with, trouble_with_name
from musubi.migrate import folders

_SQL = """
select current_user as role, current_database() as database, current_setting('server_version') as version,
       current_setting('server_encoding') as encoding, pg_is_in_recovery() as standby, clock_timestamp() as now,
       (select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = $1) as may_use_schema
"""
_MAY_WRITE = "select bool_and(has_table_privilege(name, 'select, insert, update, delete')) from unnest($1::text[]) as name"
_MAY_READ = "select bool_and(has_table_privilege(name, 'select')) from unnest($1::text[]) as name"
_WRITTEN = ("outbox", "inbox_cursor", "parked", "migration")
_READ_BY_SERVICES = ("identity.live_sessions", "identity.live_api_keys", "identity.held_records")
"""What every service reads to know who calls, and what its pages show to operators."""

_MIGRATE = "run `musubi migrate`"
_START = "start PostgreSQL, and see that {variable} names it and that no firewall stands between"
_STILL_SILENT_SECONDS = 2
"""So long we try once more to reach what has been silent for the time of an answer."""


class Seen(NamedTuple):
    """What a session is told about itself."""

    role: str
    database: str
    version: str
    encoding: str
    standby: bool
    now: datetime
    may_use_schema: bool | None
    """None where there is no such schema."""


async def examined(dsn: str, schema: str, clock: Clock, *, embedded: bool) -> Sequence[Finding]:
    """Look at the database of a service, or of identity."""
    host, _ = _host_and_port(dsn)
    if host and (trouble := await trouble_with_name(host)):
        return [_failed(trouble, "put the right name into {variable}", schema), *not_looked_at(schema)]
    try:
        connection = await asyncpg.connect(
            dsn, timeout=ANSWER_SECONDS, command_timeout=ANSWER_SECONDS, server_settings=server_settings(schema)
        )
    except (OSError, TimeoutError) as error:
        return [await _away(error, dsn, schema, embedded=embedded), *not_looked_at(schema)]
    except (ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [_refused(error, schema), *not_looked_at(schema)]
    try:
        before = clock()
        seen = Seen(**await connection.fetchrow(_SQL, schema))
        found = [_database(seen, schema), doctor_clock.judged("PostgreSQL", seen.now, before, clock())]
        return [*found, await _tables(connection, seen, schema)]
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [_failed(f"it went away: {_line(error)}", _START, schema), *not_looked_at(schema)]
    finally:
        connection.terminate()  # close() would wait for an answer


def not_looked_at(schema: str) -> list[Finding]:
    """What only the database could tell."""
    why = "the database could not be asked"
    return [left_out("migrations", why, of=schema), left_out("clock", why)]


def _host_and_port(dsn: str) -> tuple[str, int]:
    """The one machine that an address names; "" where it is a socket, or several of which any may answer."""
    hosts = unquote(urlsplit(dsn).netloc.rpartition("@")[2])
    if "," in hosts or hosts.startswith("/"):
        return "", 0
    place = urlsplit(f"//{hosts}")
    return place.hostname or "", place.port or 5432


def _failed(found: str, fix: str, schema: str) -> Finding:
    """A failure of the database. `{variable}` in its fix stands for what says, or may say, where it is."""
    return failed("database", found, fix.format(variable=places.database_variable(schema)), of=schema)


def _database(seen: Seen, schema: str) -> Finding:
    where = f"PostgreSQL {seen.version.split()[0]}, database {seen.database}, role {seen.role}"
    if seen.standby:
        return _failed(f"{where}: a standby, which takes no changes", "name the primary in {variable}", schema)
    if seen.encoding != "UTF8":
        fix = f"make it anew with `createdb --encoding=UTF8 --template=template0 {seen.database}`"
        return failed("database", f"{where}: it stores text as {seen.encoding}, which has no Japanese", fix, of=schema)
    return well("database", where, of=schema)


async def _tables(connection: asyncpg.Connection, seen: Seen, schema: str) -> Finding:
    """The schema with its migrations, and whether this role may use what it needs."""
    if seen.may_use_schema is None:
        return failed("migrations", "there is no schema of that name", _MIGRATE, of=schema)
    if not seen.may_use_schema:
        return _may_not(f"role {seen.role} may not use the schema", schema)
    try:
        if missing := await migrate.pending(connection, folders(schema)):
            return failed("migrations", f"not applied: {', '.join(missing)}", _MIGRATE, of=schema)
        if schema == roles.IDENTITY:
            return well("migrations", _count(schema), of=schema)
        if not await connection.fetchval(_MAY_WRITE, _WRITTEN):
            return _may_not(f"role {seen.role} may not write the tables", schema)
        if not await connection.fetchval(_MAY_READ, _READ_BY_SERVICES):
            return _may_not(f"role {seen.role} may not read the views of identity, so nobody can sign in", schema)
    except ChangedMigration as error:
        fix = "run the version of Musubi that made this database, or go back to a backup"
        return failed("migrations", _line(error).partition(";")[0], fix, of=schema)
    except asyncpg.InsufficientPrivilegeError as error:
        if schema == roles.IDENTITY and await connection.fetchval(_MAY_READ, _READ_BY_SERVICES):
            return well("migrations", "its views can be read; the rest only its owner sees", of=schema)
        return _may_not(f"role {seen.role} may not look into it ({_line(error)})", schema)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return failed("migrations", "the schema identity lacks its views, so nobody can sign in", _MIGRATE, of=schema)
    return well("migrations", _count(schema), of=schema)


def _count(schema: str) -> str:
    return f"all {len(migrate.migrations(folders(schema)))} applied"


def _may_not(what: str, schema: str) -> Finding:
    fix = f"use the role that owns the schema {schema}, or look at the services of this role only (--service)"
    return failed("migrations", what, fix, of=schema)


async def _away(error: Exception, dsn: str, schema: str, *, embedded: bool) -> Finding:
    if embedded:
        found = f"the embedded PostgreSQL does not answer ({_line(error)})"
        return failed("database", found, "stop Musubi with Ctrl-C and start it again", of=schema)
    host, port = _host_and_port(dsn)
    address = f"{host}:{port}"
    try:
        async with asyncio.timeout(_STILL_SILENT_SECONDS):
            trouble = await trouble_with(address) if host else _line(error)
    except TimeoutError:
        trouble = f"{address} does not answer"
    if not trouble:  # it can be reached after all
        said = f"says nothing within {ANSWER_SECONDS} s" if isinstance(error, TimeoutError) else f"goes away: {_line(error)}"
        trouble = f"{address} takes the call and {said}"
    return _failed(trouble, _START, schema)


_REFUSALS: Sequence[tuple[type[Exception], str]] = (
    (asyncpg.InvalidPasswordError, "put the right password into {variable}"),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "name a role in {variable} that exists, and let it in from here in pg_hba.conf",
    ),
    (asyncpg.InvalidCatalogNameError, "make it with `createdb --encoding=UTF8`, then run `musubi migrate`"),
    (asyncpg.TooManyConnectionsError, "raise max_connections, or end what holds them"),
    (asyncpg.CannotConnectNowError, "wait until PostgreSQL has started"),
    (asyncpg.PostgresError, "see PostgreSQL's log"),
    (Exception, "write {variable} like postgresql://user@host/musubi"),
)


def _refused(error: Exception, schema: str) -> Finding:
    if isinstance(error, ValueError):  # what cannot be read is not repeated: it may be a piece of a password
        return _failed("its address cannot be read", f"write {{variable}} like postgresql://user@host/musubi; {ESCAPES}", schema)
    fix = next(fix for kind, fix in _REFUSALS if isinstance(error, kind))
    return _failed(_line(error), fix, schema)


def _line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
