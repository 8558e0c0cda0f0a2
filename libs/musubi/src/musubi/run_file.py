"""What a running Musubi leaves in its folder so that the commands find it, and the lock that lets one at a time run there."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from musubi.advice import CannotGoOn

FILE = "run.json"
LOCK = "lock"


class Running(NamedTuple):
    """A running Musubi. `key` is the API key of this machine's own partner, and `postgres` the databases' addresses by
    service (and identity), so only the owner may read the file. `kafka` is the broker's address; `incarnation` names the life of
    an embedded one."""

    address: str
    pid: int
    incarnation: str
    key: str
    postgres: dict[str, str]
    kafka: str = ""


class FolderNotUsable(CannotGoOn):
    """Nothing can be stored in this folder; the text says why."""


class FolderInUse(CannotGoOn):
    """Another process serves this folder; the text says which and what to do."""


def write(folder: Path, running: Running) -> None:
    """Leave word in one step, readable by the owner only."""
    unfinished = folder / f"{FILE}.new"
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(running._asdict(), file, indent=2)
    unfinished.replace(folder / FILE)


def remove(folder: Path) -> None:
    (folder / FILE).unlink(missing_ok=True)


def find(folder: Path) -> Running | None:
    """The Musubi that runs in this folder; what a killed one left behind does not count."""
    found = read(folder)
    try:
        with (folder / LOCK).open("r+") as lock:
            # While a new one starts, the word of the one before it may still lie there.
            alive = found and lock.read().strip() == str(found.pid) and _somebody_holds(lock)
            return found if alive else None
    except OSError:
        return None


def read(folder: Path) -> Running | None:
    """What the last Musubi left in this folder, whether it still runs or was killed."""
    try:
        return Running(**json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder while the block runs. Raises `FolderInUse` or `FolderNotUsable`. The system takes a killed process's
    lock away."""
    with _lock_file(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise FolderInUse(_who(folder, lock.read().strip())) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _lock_file(folder: Path) -> IO[str]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (folder / LOCK).open("a+")
    except OSError as error:
        raise FolderNotUsable(
            f"Nothing can be stored in {folder}: {error.strerror}. Use a folder that is yours: --folder FOLDER."
        ) from None


def _somebody_holds(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _who(folder: Path, pid: str) -> str:
    running = find(folder)
    where = f" at {running.address}" if running else ", just starting or stopping"
    return (
        f"Musubi runs in {folder} already: process {pid or 'unknown'}{where}. "
        f"Stop it with Ctrl-C where it was started (or `kill {pid}`), or use another folder: --folder FOLDER."
    )
