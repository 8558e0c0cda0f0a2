"""A PostgreSQL of a test's own, to be crashed and started again in place, on a TCP port where a proxy can stand before it."""

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from musubi import embedded_postgres
from musubi.embedded_postgres import EmbeddedPostgres


class PostgresServer:
    """Listens on 127.0.0.1:`port`, without passwords, from `start` on. What was committed survives `crash` and `kill`."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._folder = Path(tempfile.mkdtemp(prefix="musubi-pg-"))
        self._settings = {"listen_addresses": "127.0.0.1", "port": str(self.port), **(settings or {})}
        self._server: EmbeddedPostgres | None = None

    @property
    def address(self) -> str:
        """host:port, as a proxy wants it."""
        return f"127.0.0.1:{self.port}"

    def dsn(self, database: str = "postgres", user: str = "postgres", *, port: int = 0) -> str:
        """The address of a database; with `port` through a proxy."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    @property
    def pid(self) -> int:
        """The process id of the server, for signals; only while it runs."""
        assert self._server
        return self._server.pid()

    def start(self) -> None:
        """Start, or start again on the same data and port; returns when it takes connections."""
        self._server = embedded_postgres.start(self._folder / "data", settings=self._settings)

    def crash(self) -> None:
        """Stop immediately: sessions are cut in the middle of whatever they do, and the next start has to recover."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """kill -9 of the server; its sessions notice and end."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop, and forget the data."""
        if self._server:
            self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:  # it is nobody's child, so nobody can wait for it
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                time.sleep(0.02)
                continue
            return
        raise TimeoutError("PostgreSQL still listens")
