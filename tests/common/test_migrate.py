"""Migrations: in order, each once, forward only, whoever applies them."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from common import migrate
from common.migrate import ChangedMigration
from common.postgres import server_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("create table t (n integer); insert into t values (1);")
    (tmp_path / "0002_second.sql").write_text("update t set n = n + 1;")
    return tmp_path


async def number(postgres: str) -> int:
    connection = await asyncpg.connect(postgres, server_settings=server_settings("needs"))
    try:
        return await connection.fetchval("select n from t")
    finally:
        await connection.close()


async def test_files_are_applied_in_order_and_once(postgres: str, folder: Path) -> None:
    assert await migrate.apply(postgres, "needs", {"needs": folder}) == ["needs/0001_first.sql", "needs/0002_second.sql"]
    assert await migrate.apply(postgres, "needs", {"needs": folder}) == []
    (folder / "0003_third.sql").write_text("update t set n = n * 10;")
    assert await migrate.apply(postgres, "needs", {"needs": folder}) == ["needs/0003_third.sql"]
    assert await number(postgres) == 20


async def test_of_several_processes_at_once_one_applies_them(postgres: str, folder: Path) -> None:
    applied = await asyncio.gather(*(migrate.apply(postgres, "needs", {"needs": folder}) for _ in range(5)))
    assert sorted(map(len, applied)) == [0, 0, 0, 0, 2]
    assert await number(postgres) == 2


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(postgres: str, folder: Path) -> None:
    await migrate.apply(postgres, "needs", {"needs": folder})
    (folder / "0001_first.sql").write_text("create table other ();")
    with pytest.raises(ChangedMigration, match=r"needs/0001_first\.sql"):
        await migrate.apply(postgres, "needs", {"needs": folder})


async def test_a_file_that_fails_leaves_nothing_behind_and_can_be_mended(postgres: str, folder: Path) -> None:
    (folder / "0003_third.sql").write_text("update t set n = 100; select 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.apply(postgres, "needs", {"needs": folder})
    assert await number(postgres) == 2
    (folder / "0003_third.sql").write_text("update t set n = 3;")
    assert await migrate.apply(postgres, "needs", {"needs": folder}) == ["needs/0003_third.sql"]


async def test_what_is_missing_is_known_before_it_is_applied(postgres: str, folder: Path) -> None:
    connection = await asyncpg.connect(postgres, server_settings=server_settings("needs"))
    try:
        assert len(await migrate.pending(connection, {"needs": folder})) == 2
        await migrate.apply(postgres, "needs", {"needs": folder})
        assert await migrate.pending(connection, {"needs": folder}) == []
    finally:
        await connection.close()


async def test_a_file_may_take_longer_than_its_role_allows_a_request(postgres: str, folder: Path) -> None:
    (folder / "0003_third.sql").write_text("update t set n = 3; select pg_sleep(0.3);")
    connection = await asyncpg.connect(postgres)
    role = f"slow_{connection.get_server_pid()}"
    await connection.execute(f"create role {role} login; create schema needs authorization {role}")
    await connection.execute(f"alter role {role} set statement_timeout = '100ms'")
    try:
        as_role = postgres.replace("postgres@", f"{role}@", 1)
        assert "needs/0003_third.sql" in await migrate.apply(as_role, "needs", {"needs": folder})
        assert await number(postgres) == 3
    finally:
        await connection.execute(f"drop owned by {role} cascade; drop role {role}")
        await connection.close()
