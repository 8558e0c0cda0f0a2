"""A process that hangs ends itself and says where it hung; one that is idle, or was stopped, goes on."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

from common.messaging.standstill import Standstill
from common.telemetry import Telemetry
from common.watchdog import EXIT_CODE, Patience, Watchdog
from tests.common.hop import until

ROOT = Path(__file__).parent.parent.parent

HANGS = """
import asyncio, time
from common.telemetry import Telemetry
from common.watchdog import Watchdog

async def hang_in_a_handler():
    async with Watchdog(1, Telemetry("hop")).watching():
        await asyncio.sleep(0.1)
        time.sleep(60)

asyncio.run(hang_in_a_handler())
"""

HANGS_IN_C = """
import asyncio, re
from common.telemetry import Telemetry
from common.watchdog import Watchdog

async def hang_in_a_handler():
    async with Watchdog(1, Telemetry("another")).watching(), Watchdog(1, Telemetry("hop")).watching():
        await asyncio.sleep(0.1)
        re.match("(a+)+$", 60 * "a" + "b")

asyncio.run(hang_in_a_handler())
"""
"""No other thread runs while the expression is searched for."""

STANDS_BY = """
import asyncio, sys
from common.telemetry import Telemetry
from common.watchdog import Watchdog

async def stand_by():
    async with Watchdog(1, Telemetry("hop")).watching():
        print("ready", flush=True)
        print(await asyncio.to_thread(sys.stdin.readline), flush=True)

asyncio.run(stand_by())
"""

HOUSE_THAT_HANGS = """
import asyncio, sys, time
from pathlib import Path
from musubi import one_machine

async def hang():
    async with one_machine.running(Path(sys.argv[1]), 0):
        print("ready", flush=True)
        time.sleep(60)

asyncio.run(hang())
"""

HOUSE = """
import asyncio, sys
from pathlib import Path
from musubi import one_machine

async def look():
    async with one_machine.running(Path(sys.argv[1]), 0):
        print("ready", flush=True)

asyncio.run(look())
"""


def _python(program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def test_a_process_whose_event_loop_hangs_ends_with_70_and_writes_down_where_it_hung() -> None:
    ended = _python(HANGS)
    assert ended.returncode == EXIT_CODE
    assert "has not answered" in ended.stderr
    assert "hang_in_a_handler" in ended.stderr


def test_a_hang_in_which_no_python_code_runs_is_ended_by_the_system() -> None:
    ended = _python(HANGS_IN_C)
    assert ended.returncode == -signal.SIGVTALRM
    assert "hang_in_a_handler" in ended.stderr


async def test_a_process_that_was_stopped_for_longer_than_that_goes_on() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", STANDS_BY, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    assert process.stdin and process.stdout
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGSTOP)
    goes_on_at = time.monotonic() + 8  # by the clock, 7 s would have been too long
    await until(lambda: time.monotonic() > goes_on_at)
    process.send_signal(signal.SIGCONT)
    said, _ = await process.communicate(b"I am back")
    assert (process.returncode, said) == (0, b"I am back\n")


def test_after_such_an_end_everything_starts_again_in_the_same_folder(tmp_path: Path) -> None:
    ended = _python(HOUSE_THAT_HANGS, str(tmp_path), MUSUBI_WATCHDOG="2")
    assert (ended.returncode, ended.stdout) == (EXIT_CODE, "ready\n")
    again = _python(HOUSE, str(tmp_path))
    assert (again.returncode, again.stdout) == (0, "ready\n"), again.stderr


async def test_a_loop_that_answers_is_left_alone_and_the_thread_ends_with_the_block() -> None:
    ends: list[int] = []
    watchdog = Watchdog(0.5, Telemetry("hop", log_level="CRITICAL"), end=ends.append)
    async with watchdog.watching():
        before = watchdog.looks
        await until(lambda: watchdog.looks >= before + 3)
    assert not ends


async def test_who_knows_that_only_a_new_process_helps_can_ask_for_its_end() -> None:
    ends: list[int] = []
    Watchdog(60, Telemetry("hop", log_level="CRITICAL"), end=ends.append).give_up("a test")
    assert ends == [EXIT_CODE]
    Watchdog(0, Telemetry("hop", log_level="CRITICAL"), end=ends.append).give_up("a test")
    assert ends == [EXIT_CODE], "it was switched off"


def test_silence_counts_second_by_second_but_not_the_time_in_which_the_whole_process_was_stopped() -> None:
    patience = Patience(10)
    assert not patience.ends(0.0, answered=True)
    for second in range(1, 10):
        assert not patience.ends(second, answered=False)
    assert patience.ends(10.0, answered=False)

    patience = Patience(10)
    assert not patience.ends(0.0, answered=True)
    assert not patience.ends(3600.0, answered=False), "it was stopped for an hour"
    assert not patience.ends(3601.0, answered=True)


def test_a_reader_stands_still_only_if_it_had_something_to_read_all_the_time_and_nothing_came() -> None:
    still = Standstill(10, unassigned=30)
    assert not still.stuck(0, assigned=True, behind=False, batches=5)
    assert not still.stuck(1000, assigned=True, behind=True, batches=5), "it arrived just now"
    assert not still.stuck(1005, assigned=True, behind=True, batches=5)
    assert not still.stuck(1011, assigned=True, behind=True, batches=6), "something came"
    assert not still.stuck(1020, assigned=True, behind=True, batches=6)
    assert still.stuck(1022, assigned=True, behind=True, batches=6)


def test_joining_a_group_may_take_longer_than_reading_and_an_absent_broker_is_nobodys_fault() -> None:
    still = Standstill(10, unassigned=30)
    assert not still.stuck(0, assigned=False, behind=False, batches=0)
    assert not still.stuck(29, assigned=False, behind=False, batches=0)
    still.reset()
    assert not still.stuck(31, assigned=False, behind=False, batches=0)
    assert still.stuck(62, assigned=False, behind=False, batches=0)
