"""The command answers quickly, and what a user can mend is said in a line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from musubi import cli, topics

SLOW_TO_IMPORT = ("pydantic", "fastapi", "aiokafka", "asyncpg", "confluent_kafka", "httpx", "rich", "uvicorn", "notify")


def musubi(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command that `make setup` installs."""
    command = [str(Path(sys.executable).with_name("musubi")), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


COMMANDS = (
    "up", "demo", "publish", "links", "status", "migrate", "topics apply", "topics allow", "examples",
    "partner add", "partner revoke", "parked list", "parked show", "parked retry", "parked retry-all", "parked edit",
    "parked skip", "audit verify", "replay", "doctor", "tail", "match",
)  # fmt: skip


@pytest.mark.parametrize("command", [[], *(name.split() for name in COMMANDS)])
def test_help_imports_nothing_slow(command: list[str]) -> None:
    script = f"""
import sys
from musubi import cli
try:
    cli.main({[*command, "--help"]!r})
except SystemExit as end:
    assert end.code == 0
print([name for name in {SLOW_TO_IMPORT!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "usage: musubi" in done.stdout


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.10", "::", "musubi.example"])
def test_anything_but_loopback_is_refused_with_the_reason(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["up", "--host", host])
    assert end.value.code == 2
    assert f"{host} is refused" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["80000", "-1", "http"])
def test_what_is_no_port_is_refused_with_the_reason(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["up", f"--port={port}"])
    assert f"{port} is no port" in capsys.readouterr().err


def test_publishing_where_nothing_runs_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_text("{}\n")
    done = musubi("publish", "events.ndjson", folder=tmp_path)
    assert done.returncode == 1
    assert "musubi up" in done.stderr and "--url" in done.stderr and "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = musubi("publish", "nothing.ndjson", folder=tmp_path)
    assert (done.returncode, "nothing.ndjson cannot be read" in done.stderr) == (1, True)


def test_status_says_that_nothing_runs(tmp_path: Path) -> None:
    done = musubi("status", folder=tmp_path)
    assert done.returncode == 1
    assert "Nothing runs" in done.stdout


def test_examples_that_are_not_there_are_named_with_the_option(tmp_path: Path) -> None:
    done = musubi("demo", "--once", "--examples", str(tmp_path), folder=tmp_path)
    assert done.returncode == 1
    assert "--examples FOLDER" in done.stderr and "Traceback" not in done.stderr


def test_a_command_whose_output_nobody_reads_any_more_ends_as_a_shell_says_of_a_broken_pipe(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)  # as `musubi … | head` has it once head has seen enough
    command = [str(Path(sys.executable).with_name("musubi")), "status"]
    try:
        done = subprocess.run(command, cwd=tmp_path, stdout=write_end, stderr=subprocess.PIPE, timeout=60, check=False)
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (KafkaError._TIMED_OUT, "The broker at kafka:9092 does not answer, or not to us. `musubi doctor` says more."),
        (KafkaError.POLICY_VIOLATION, "The broker at kafka:9092 refuses: topic needs.needs: Too many partitions"),
    ],
)
def test_what_a_broker_does_not_do_is_said_without_a_librarys_words_where_it_only_does_not_answer(code: int, words: str) -> None:
    error = KafkaException(KafkaError(code, "Too many partitions"))
    assert cli._for_the_user(topics.trouble("kafka:9092", error, "topic needs.needs: ")) == words
