"""Gives each service its own role and schema in the embedded PostgreSQL: none of them can read another's tables."""

import asyncpg

SERVICES = ("needs", "catalog", "matching", "notify")
IDENTITY = "identity"
DATABASE = "musubi"
STATEMENT_TIMEOUT = "60s"


async def prepare(superuser_dsn: str, musubi_dsn: str) -> None:
    """Make the database with a role and a schema for each service and for identity, where they are missing."""
    connection = await asyncpg.connect(superuser_dsn)
    try:
        if not await connection.fetchval("select exists (select from pg_database where datname = $1)", DATABASE):
            await connection.execute(f"create database {DATABASE}")
        present = {row["rolname"] for row in await connection.fetch("select rolname from pg_roles")}
        for role in (*SERVICES, IDENTITY):
            if role not in present:
                await connection.execute(f"create role {role} login")
            await connection.execute(f"alter role {role} set statement_timeout = '{STATEMENT_TIMEOUT}'")
    finally:
        await connection.close()
    connection = await asyncpg.connect(musubi_dsn)
    try:
        await connection.execute("revoke all on schema public from public")
        for role in (*SERVICES, IDENTITY):
            await connection.execute(f"create schema if not exists {role} authorization {role}")
    finally:
        await connection.close()
