"""On a Musubi that runs elsewhere, an operator gives a partner's system a key, and takes it away."""

import asyncio
from pathlib import Path

import asyncpg
import httpx
import pytest

from common.postgres import Database
from musubi import cli, migrate, places
from tests.brokers import Broker
from tests.chain import running_chain
from tests.mailbox import Mailbox


async def test_a_partners_key_is_good_until_it_is_revoked(
    postgres: str, kafka: Broker, smtp: Mailbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES_IDENTITY", postgres)
    async with running_chain(postgres, kafka, smtp) as chain:
        assert await asyncio.to_thread(cli.main, ["partner", "add", "city-of-hue", "--name", "City of Hue"]) == 0
        key = capsys.readouterr().out.strip()

        async def answer() -> httpx.Response:
            headers = {"authorization": f"Bearer {key}", "content-type": "application/cloudevents-batch+json"}
            return await chain.http.post("/api/needs/v1/events", content="[]", headers=headers)

        assert (await answer()).status_code not in (401, 403)
        assert await asyncio.to_thread(cli.main, ["partner", "revoke", key]) == 0
        assert (await answer()).status_code in (401, 403)
        assert await asyncio.to_thread(cli.main, ["partner", "revoke", "nonsense"]) == 1
        assert "There is no such key" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["migrate"], ["partner", "add", "city-of-hue"], ["partner", "revoke", "mk_x"], ["up", "--port=0"]]
)
def test_a_database_that_is_away_is_said_in_a_line(
    command: list[str], free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSUBI_FOLDER", str(tmp_path))
    monkeypatch.setenv("MUSUBI_POSTGRES", f"postgresql://127.0.0.1:{free_port}/musubi")
    assert cli.main(command) == 1
    assert "The database of identity does not answer" in capsys.readouterr().err


async def test_a_time_out_of_the_broker_is_not_told_as_one_of_the_database(postgres: str) -> None:
    with pytest.raises(TimeoutError):
        async with places.using(Database(postgres, "needs", connections=1)):
            raise TimeoutError


async def test_a_database_of_another_version_is_said_in_a_line(
    postgres: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
    assert await asyncio.to_thread(cli.main, ["migrate", "identity"]) == 0
    connection = await asyncpg.connect(postgres)
    await connection.execute("update identity.migration set checksum = 'of another release'")
    await connection.close()
    assert await asyncio.to_thread(cli.main, ["migrate", "identity"]) == 1
    assert "The database of identity belongs to another version of Musubi" in capsys.readouterr().err


def test_an_id_that_is_none_is_refused_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["partner", "add", "City of Hue"]) == 1
    assert "Use small letters, digits, dots and dashes" in capsys.readouterr().err


async def test_each_schema_is_migrated_by_its_own_role(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = await asyncpg.connect(postgres)
    prefix = f"test_{connection.get_server_pid()}"
    users = {schema: f"{prefix}_{schema}" for schema in ("identity", "needs")}
    try:
        for schema, user in users.items():
            await connection.execute(f"create role {user} login; create schema {schema} authorization {user}")
            monkeypatch.setenv(f"MUSUBI_POSTGRES_{schema.upper()}", postgres.replace("postgres@", f"{user}@", 1))
        await asyncio.to_thread(migrate.run, list(users))
        owned = "select schemaname, tableowner from pg_tables where schemaname = any($1)"
        owners = await connection.fetch(owned, list(users))
        assert {(row["schemaname"], row["tableowner"]) for row in owners} == set(users.items())
    finally:
        for user in users.values():
            await connection.execute(f"drop owned by {user} cascade; drop role {user}")
        await connection.close()
