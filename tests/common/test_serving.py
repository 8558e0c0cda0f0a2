"""`python -m SERVICE` serves one service as a deployment runs it, and stops when it is told to."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import asyncpg
import httpx
import pytest

from musubi import migrate
from tests.brokers import Broker
from tests.eventually import eventually

SERVICES = ("needs", "catalog", "matching", "notify")


async def started(service: str, port: int, **environment: str) -> asyncio.subprocess.Process:
    """The process of one service; what it logs can be read from its `stderr`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MUSUBI_")}
    command = (sys.executable, "-m", service, "--host", "127.0.0.1", "--port", str(port))
    return await asyncio.create_subprocess_exec(
        *command, env={**clean, **environment}, stdin=DEVNULL, stderr=PIPE, start_new_session=True
    )


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_runs_as_a_process_until_it_is_told_to_stop(
    service: str, postgres: str, kafka: Broker, free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
    await asyncio.to_thread(migrate.run, ["identity", service])
    where = {"MUSUBI_POSTGRES": postgres, "MUSUBI_KAFKA": kafka.address, "MUSUBI_INCARNATION": kafka.incarnation}
    process = await started(service, free_port, MUSUBI_MAIL_FOLDER=str(tmp_path), **where)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}/api/{service}", trust_env=False) as http:

        async def is_ready() -> bool:
            try:
                return (await http.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        try:
            await eventually(is_ready, within=30)
        finally:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            _, said = await process.communicate()
    assert process.returncode == 0
    assert [json.loads(line)["service"] for line in said.decode().splitlines()] == [service] * said.count(b"\n")


async def test_a_process_that_lacks_settings_says_which_and_ends(free_port: int) -> None:
    process = await started("needs", free_port)
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"MUSUBI_KAFKA is missing. Set it to say where Kafka is" in said


async def test_a_process_that_waits_for_its_database_ends_at_once_when_it_is_told_to(free_port: int) -> None:
    nowhere = {"MUSUBI_POSTGRES": f"postgresql://127.0.0.1:{free_port}/musubi", "MUSUBI_KAFKA": f"127.0.0.1:{free_port}"}
    process = await started("needs", free_port, **nowhere)
    assert process.stderr
    first = json.loads(await process.stderr.readline())
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):  # it would wait for 60 s
        _, said = await process.communicate()
    assert process.returncode == 0
    assert first["message"] == "waits for its database"
    assert "MUSUBI_POSTGRES" in first["error"]
    assert b"Traceback" not in said


async def test_a_process_that_cannot_start_says_why_in_one_line_and_ends(
    postgres: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSUBI_POSTGRES", postgres)
    await asyncio.to_thread(migrate.run, ["needs"])
    connection = await asyncpg.connect(postgres)
    await connection.execute("update needs.migration set checksum = 'of another release'")
    await connection.close()
    process = await started("needs", free_port, MUSUBI_POSTGRES=postgres, MUSUBI_KAFKA=f"127.0.0.1:{free_port}")
    _, said = await process.communicate()
    (line,) = map(json.loads, said.splitlines())
    assert process.returncode == 1
    assert line["message"].startswith("cannot start: messaging/0001")
    assert "exc_info" not in line
