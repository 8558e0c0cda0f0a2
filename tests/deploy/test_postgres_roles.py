"""The script that makes the database's roles gives each service its own schema, which it can migrate, and nobody else's."""

import asyncio
import os
import subprocess
from pathlib import Path

import asyncpg
import pytest

from musubi import embedded_postgres, migrate
from tests.deploy import product
from tests.deploy.manifests import ROOT


async def test_each_role_migrates_and_reads_its_own_schema_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_postgres.temporary() as server:
        await asyncio.to_thread(_make_roles, server.socket_folder)
        for schema in product.SCHEMAS:
            monkeypatch.setenv(f"MUSUBI_POSTGRES_{schema.upper()}", server.dsn("postgres", schema))
        assert await asyncio.to_thread(migrate.run, []) == 0
        for schema in product.SCHEMAS:
            connection = await asyncpg.connect(server.dsn("postgres", schema))
            try:
                assert await connection.fetchval(f"select count(*) from {schema}.migration") > 0
                for other in product.SCHEMAS:
                    if other != schema:
                        with pytest.raises(asyncpg.InsufficientPrivilegeError):
                            await connection.fetchval(f"select count(*) from {other}.migration")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute("create table public.mine (id int)")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute("create temporary table mine (id int)")
                if schema != "identity":
                    assert await connection.fetchval("select count(*) from identity.live_sessions") == 0
            finally:
                await connection.close()


async def test_a_role_of_somebody_else_on_the_same_server_does_not_come_in() -> None:
    with embedded_postgres.temporary() as server:
        await asyncio.to_thread(_make_roles, server.socket_folder)
        owner = await asyncpg.connect(server.dsn("postgres"))
        try:
            await owner.execute("create role stranger login")
        finally:
            await owner.close()
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            await asyncpg.connect(server.dsn("postgres", "stranger"))


def _make_roles(socket_folder: Path) -> None:
    passwords = {f"{schema.upper()}_PASSWORD": f"it's {schema}'s" for schema in product.SCHEMAS}
    binaries = next(Path(embedded_postgres._binaries()).glob("psql")).parent
    environment = {
        **os.environ, **passwords, "PATH": f"{binaries}:{os.environ['PATH']}", "PGHOST": str(socket_folder),
        "POSTGRES_USER": "postgres", "POSTGRES_DB": "postgres",
    }  # fmt: skip
    script = ROOT / "deploy" / "postgres" / "roles.sh"
    subprocess.run(["sh", str(script)], env=environment, check=True, capture_output=True, text=True)
