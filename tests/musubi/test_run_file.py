"""One Musubi at a time runs in a folder, and the commands find the one that runs."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from musubi import run_file
from musubi.run_file import FolderInUse, FolderNotUsable, Running

HOLD = """
import sys
from pathlib import Path
from musubi import run_file
with run_file.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def running(pid: int) -> Running:
    return Running("http://127.0.0.1:8600", pid, "a-life", "mk_secret", {"needs": "postgresql://"})


def test_only_the_owner_can_read_the_key(tmp_path: Path) -> None:
    with run_file.held(tmp_path):
        run_file.write(tmp_path, running(os.getpid()))
        mode = (tmp_path / run_file.FILE).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_second_one_in_the_same_folder_is_told_who_holds_it_and_what_to_do(tmp_path: Path) -> None:
    with run_file.held(tmp_path):
        run_file.write(tmp_path, running(os.getpid()))
        who = rf"process {os.getpid()} at http://127\.0\.0\.1:8600.*Ctrl-C.*--folder"
        with pytest.raises(FolderInUse, match=who), run_file.held(tmp_path):
            pass


def test_a_folder_in_which_nothing_can_be_stored_is_named_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    for folder in (tmp_path / "a-file", tmp_path / "a-file" / "below"):
        with pytest.raises(FolderNotUsable, match=rf"{folder}.*--folder"), run_file.held(folder):
            pass


def test_a_killed_one_holds_nothing_and_is_not_found(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        run_file.write(tmp_path, running(other.pid))
        assert run_file.find(tmp_path) == running(other.pid)
        other.kill()
    assert run_file.find(tmp_path) is None
    with run_file.held(tmp_path):
        assert run_file.find(tmp_path) is None, "the word of the killed one is not ours"
        assert run_file.read(tmp_path) == running(other.pid), "but its key can still be revoked"


def test_nothing_is_found_where_nothing_ever_ran(tmp_path: Path) -> None:
    assert run_file.find(tmp_path / "nowhere") is None
