"""The container engine of the check: the one that answers here, or one of its own, installed and started for the time being.

An engine of its own listens on a private socket only, so nothing else on the machine sees it; its images stay in the user's cache
for the next time.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "musubi" / "compose-1"
SUITE = "trixie"
PACKAGES = ("docker.io", "docker-cli", "docker-compose", "docker-buildx")
PINNED = f"""Package: *
Pin: release n={SUITE}
Pin-Priority: 50
"""
"""So low that nothing comes from there but what is asked for by name, and what that cannot do without."""


class Lacking(Exception):
    """Something that the check needs cannot be had on this machine; the text says what."""


@dataclass(frozen=True)
class Engine:
    """`own`: it was started by this check. `environment` is what `docker` needs to find it."""

    own: bool
    version: str
    environment: dict[str, str]

    def docker(self, *command: str, within: float = 600) -> str:
        """What `docker …` prints. Raises `RuntimeError` with what it said."""
        return said(["docker", *command], within=within, environment=self.environment)


def said(
    command: Sequence[str],
    *,
    within: float = 600,
    environment: Mapping[str, str] | None = None,
    ends_with: Collection[int] = (0,),
) -> str:
    """What a command prints. Raises `RuntimeError` with the end of what it said where it ends with another status."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=within, env=environment, stdin=subprocess.DEVNULL
    )
    if done.returncode not in ends_with:
        raise RuntimeError(f"{' '.join(command)[:300]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


@contextmanager
def running() -> Iterator[Engine]:
    """The engine while the block runs. Raises `Lacking` where none runs and none can be started."""
    found = _answering(dict(os.environ))
    if found:
        yield Engine(False, found, dict(os.environ))
        return
    _install()
    with _started() as engine:
        yield engine


def _answering(environment: dict[str, str]) -> str:
    """The version of the engine that answers; empty where none does."""
    if not shutil.which("docker"):
        return ""
    asked = ["docker", "version", "--format", "{{.Server.Version}}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, env=environment)
    return done.stdout.strip() if done.returncode == 0 else ""


def _install() -> None:
    if shutil.which("dockerd") and _has_compose():
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise Lacking("no container engine answers. Start one, or run this as root on Debian or Ubuntu, where it is installed")
    print("Installing a container engine…", flush=True)
    apt(*PACKAGES, suite=SUITE)


def _has_compose() -> bool:
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


def apt(*packages: str, suite: str = "") -> None:
    """Install Debian packages; those of another suite from a pinned source, which is there for no longer than that."""
    quietly = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    from_suite = ["-t", suite] if suite else []
    with _source(suite) if suite else nullcontext():
        said(["apt-get", "update", "-qq"], environment=quietly)
        said(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *from_suite, *packages], environment=quietly)


@contextmanager
def _source(suite: str) -> Iterator[None]:
    source = Path(f"/etc/apt/sources.list.d/musubi-{suite}.sources")
    pin = Path(f"/etc/apt/preferences.d/musubi-{suite}")
    entry = f"Types: deb\nURIs: http://deb.debian.org/debian\nSuites: {suite}\nComponents: main\n"
    try:
        pin.write_text(PINNED)
        source.write_text(entry + "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n")
        yield
    finally:
        source.unlink(missing_ok=True)
        pin.unlink(missing_ok=True)


@contextmanager
def _started() -> Iterator[Engine]:
    """An engine with a socket and a data folder of its own; stopped at the end, with the bridge that it made."""
    if os.geteuid():
        raise Lacking("an engine can be started by root only")
    folder = Path(tempfile.mkdtemp(prefix="musubi-engine-"))
    (CACHE / "engine").mkdir(parents=True, exist_ok=True)
    address = f"unix://{folder}/docker.sock"
    bridge_was_there = Path("/sys/class/net/docker0").exists()
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--host", address, "--data-root", str(CACHE / "engine"), "--exec-root", str(folder / "exec"),
             "--pidfile", str(folder / "pid")],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    environment = os.environ | {"DOCKER_HOST": address}
    try:
        deadline = time.monotonic() + 60
        while not (version := _answering(environment)):
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise Lacking(f"the container engine does not start: {(folder / 'log').read_text()[-1500:]}")
            time.sleep(0.1)
        yield Engine(True, version, environment)
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        if not bridge_was_there:
            subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
