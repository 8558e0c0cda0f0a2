"""Brings a schema's tables up to date: plain SQL files in order, forward only, each once, under a lock."""

import hashlib
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

import asyncpg

from common.postgres import CONNECT_SECONDS, server_settings

MIGRATION_LOCK = 0x6D696772
LONGEST_SECONDS = 300
"""So long one file may take, or the wait for another process that applies them."""

Folder = Traversable | Path


class Migration(NamedTuple):
    """One SQL file; `name` is `folder/0001_what.sql`."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class ChangedMigration(Exception):
    """A file that was applied before has other contents now; write a new file instead."""


def migrations(folders: Mapping[str, Folder]) -> list[Migration]:
    """All files, folder by folder in the order given, each folder by name."""
    return [
        Migration(f"{label}/{file.name}", file.read_text(encoding="utf-8"))
        for label, folder in folders.items()
        for file in sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    ]


async def apply(dsn: str, schema: str, folders: Mapping[str, Folder]) -> list[str]:
    """Apply what is missing; returns the names. Several processes may call this at once."""
    unlimited = {"statement_timeout": "0"}  # a role's own is for requests; a new index on a large table takes longer
    connection = await asyncpg.connect(
        dsn, timeout=CONNECT_SECONDS, command_timeout=LONGEST_SECONDS, server_settings=server_settings(schema) | unlimited
    )
    try:
        await connection.execute("select pg_advisory_lock($1, hashtext($2))", MIGRATION_LOCK, schema)
        if not await connection.fetchval("select exists (select from pg_namespace where nspname = $1)", schema):
            await connection.execute(f"create schema {server_settings(schema)['search_path']}")
        await connection.execute(
            """create table if not exists migration (
                name text primary key, checksum text not null, applied_at timestamptz not null default now()
            )"""
        )
        pending = await _pending(connection, migrations(folders))
        for migration in pending:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "insert into migration (name, checksum) values ($1, $2)", migration.name, migration.checksum
                )
        return [migration.name for migration in pending]
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


async def pending(connection: asyncpg.Connection, folders: Mapping[str, Folder]) -> list[str]:
    """The names of the files that were not applied yet; raises `ChangedMigration`."""
    if await connection.fetchval("select to_regclass('migration') is null"):
        return [migration.name for migration in migrations(folders)]
    return [migration.name for migration in await _pending(connection, migrations(folders))]


async def _pending(connection: asyncpg.Connection, wanted: list[Migration]) -> list[Migration]:
    applied = dict(await connection.fetch("select name, checksum from migration"))
    for migration in wanted:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise ChangedMigration(f"{migration.name} was changed after it had been applied; write a new file instead")
    return [migration for migration in wanted if migration.name not in applied]
