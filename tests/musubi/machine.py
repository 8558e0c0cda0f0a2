"""A running `musubi up` or `musubi demo` in a process and a folder of its own, for tests that meet it as a user does."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musubi import roles, run_file
from musubi.run_file import Running
from tests.brokers import Broker

MUSUBI = str(Path(sys.executable).with_name("musubi"))


class Process:
    """A running `musubi up` or `musubi demo`; what it prints is read as it comes."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self.home = folder
        self.folder = folder / ".musubi"
        self.lines: list[str] = []
        self._heard = threading.Condition()
        own = {name: value for name, value in os.environ.items() if not name.startswith("MUSUBI_")} | settings
        self.process = subprocess.Popen(
            [MUSUBI, *arguments, "--port", "0"], cwd=folder, env=own, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self._heard:
                self.lines.append(line)
                self._heard.notify_all()
        with self._heard:
            self.lines.append("(the end)")
            self._heard.notify_all()

    def says(self, pattern: str, within: float = 90) -> "Process":
        """Wait until it has printed this."""

        def printed() -> bool:
            return bool(re.search(pattern, self.output)) or self.lines[-1:] == ["(the end)"]

        with self._heard:
            self._heard.wait_for(printed, within)
        assert re.search(pattern, self.output), f"it did not say {pattern!r}:\n{self.output}"
        return self

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def running(self) -> Running:
        found = run_file.find(self.folder)
        assert found
        return found

    def stop(self) -> int:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        self._reader.join(10)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextmanager
def as_running(folder: Path, postgres: str, broker: Broker) -> Iterator[Path]:
    """What a Musubi with these leaves in its folder, while it runs; commands find them there."""
    dsns: dict[str, str] = dict.fromkeys((*roles.SERVICES, roles.IDENTITY), postgres)
    with run_file.held(folder):
        run_file.write(folder, Running("http://127.0.0.1:9", os.getpid(), broker.incarnation, "", dsns, broker.address))
        yield folder
        run_file.remove(folder)
