"""What the partner's guide tells its reader to type works as it stands, and gives the results that it promises."""

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path

from tests.brokers import Broker
from tests.chain import running_chain
from tests.conftest import missing

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "partner.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
ANSWERS = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)


async def typed(commands: str, folder: Path, origin: str, key: str) -> str:
    """What the commands print, typed one after the other in a folder of their own."""
    here = {"http://127.0.0.1:8600": origin, ".venv/bin/musubi": str(Path(sys.executable).parent / "musubi")}
    for written, meant in here.items():
        commands = commands.replace(written, meant)
    environment = {**os.environ, "MUSUBI_URL": origin, "MUSUBI_KEY": key, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euc", commands, cwd=folder, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, complaints = await shell.communicate()
    assert shell.returncode == 0, complaints.decode()
    return said.decode()


async def test_the_commands_of_the_guide_are_accepted(postgres: str, kafka: Broker, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        missing("curl", "it is not on the path", "sudo apt-get install -y curl")
    async with running_chain(postgres, kafka, None, mail_folder=tmp_path / "mails") as chain:
        key = chain.http.headers["authorization"].removeprefix("Bearer ")
        (tmp_path / ".musubi").mkdir()
        (tmp_path / ".musubi" / "run.json").write_text(json.dumps({"key": key}))
        (tmp_path / "examples").symlink_to(ROOT / "examples")
        by_command, by_curl, matched = [await typed(commands, tmp_path, chain.origin, key) for commands in COMMANDS]
        assert by_command.splitlines() == ["1\ttown-1\taccepted created", "2\tlamps-1\taccepted created"]
        [result] = json.loads(by_curl)["results"]
        assert (result["status"], result["effect"]) == ("accepted", "updated")
        listed = (await chain.http.get("/api/needs/v1/needs")).json()["items"]
        assert [need["title"]["en"] for need in listed] == ["LED street lights"]
        assert len(matched.splitlines()) == 40
        assert re.search(r"^  1\. \d+/100  ", matched, re.MULTILINE)


async def test_a_refusal_reads_as_the_guide_shows_it(postgres: str, kafka: Broker, tmp_path: Path) -> None:
    [shown] = [json.loads(answer) for answer in ANSWERS if "unknown_technology" in answer]
    async with running_chain(postgres, kafka, None, mail_folder=tmp_path / "mails") as chain:
        event = {
            "specversion": "1.0",
            "id": "lamps-2",
            "source": "https://erp.my-town.example",
            "type": "need.submitted.v1",
            "subject": "school-lamps",
            "time": "2026-11-24T09:00:00Z",
            "data": {
                "municipality": "my-town",
                "title": {"en": "LED street lights"},
                "technology": "lighting.streetled",
                "quantity": -5,
                "unit": "lamp",
                "deadline": "2030-03-31",
            },
        }
        assert await chain.publish(event) == [shown]
