"""The system of docker-compose.yml as a project of the check's own: brought up, looked at from outside, broken, taken down.

Its name, ports and volumes are its own, so that what somebody runs of the same file is left alone.
"""

import json
import os
import re
import signal
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.deploy.compose_check.engine import Engine, Lacking, said
from tests.deploy.manifests import ROOT
from tests.kafka_server import free_port

NAME = "musubi-check"
FILE = ROOT / "docker-compose.yml"
COMPOSE = ("docker", "compose", "--project-name", NAME, "--file", str(FILE), "--env-file", os.devnull)
PORTS = ("MUSUBI_PORT", "MAIL_PORT", "JAEGER_PORT", "GRAFANA_PORT", "PROMETHEUS_PORT")


@dataclass(frozen=True)
class Project:
    """`environment` holds the variables that the file reads, `services` those that are brought up."""

    engine: Engine
    environment: Mapping[str, str]
    services: Sequence[str]

    def compose(self, *command: str, within: float = 600, ends_with: Collection[int] = (0,)) -> str:
        """What `docker compose …` prints. Raises `RuntimeError` where it ends with another status."""
        environment = {**without_the_files_variables(self.engine.environment), **self.environment}
        return said([*COMPOSE, *command], within=within, environment=environment, ends_with=ends_with)

    def address(self, variable: str) -> str:
        """Where that is from outside: `MUSUBI_PORT`, `MAIL_PORT`, …"""
        return f"http://localhost:{self.environment[variable]}"

    def up(self) -> float:
        """Bring everything up; returns the seconds until all is healthy."""
        before = time.monotonic()
        self.compose("up", "--detach", "--wait", "--no-build", "--pull", "never", *self.services, within=300)
        return time.monotonic() - before

    def down(self) -> float:
        """Take everything away, volumes too; returns the seconds."""
        before = time.monotonic()
        self.compose("down", "--volumes", "--remove-orphans")
        return time.monotonic() - before

    def musubi(self, *command: str, ends_with: Collection[int] = (0,), **variables: str) -> str:
        """What the `musubi` command prints in a container of its own."""
        given = (word for name, value in variables.items() for word in ("--env", f"{name}={value}"))
        return self.compose("run", "--rm", "--no-deps", "--no-TTY", *given, "musubi", *command, ends_with=ends_with)

    def kill(self, service: str) -> None:
        """kill -9 its first process, as a crash would; the restart policy brings it back.

        An engine that is not the check's own may be on another machine: there it is killed through it and started again."""
        if self.engine.own:
            os.kill(int(self._inspected(service, "{{.State.Pid}}")), signal.SIGKILL)
        else:
            self.compose("kill", "--signal", "KILL", service)
            self.compose("start", service)

    def healthy(self, service: str) -> bool:
        """Whether its container runs and its health check says yes."""
        return self._inspected(service, "{{.State.Running}} {{.State.Health.Status}}") == "true healthy"

    def restarts(self, service: str) -> int:
        """How often the engine has started it again."""
        return int(self._inspected(service, "{{.RestartCount}}"))

    def database(self) -> str:
        """The address of PostgreSQL, for who looks at everything. On Linux a container is reached from its own machine."""
        address = self._inspected("postgres", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
        return f"postgresql://postgres:postgres@{address}/musubi"

    def memory(self) -> dict[str, str]:
        """What each container takes now."""
        ids = self.compose("ps", "--quiet").split()
        lines = self.engine.docker("stats", "--no-stream", "--format", "{{json .}}", *ids).splitlines()
        return {one["Name"].removeprefix(f"{NAME}-"): one["MemUsage"].split(" / ")[0] for one in map(json.loads, lines)}

    def _inspected(self, service: str, what: str) -> str:
        container = self.compose("ps", "--all", "--quiet", service).split()[0]
        return self.engine.docker("inspect", "--format", what, container).strip()


def described(engine: Engine) -> Mapping[str, Any]:
    """The file as Compose understands it, with every variable at its default."""
    return json.loads(Project(engine, {}, ()).compose("config", "--format", "json"))


def without_the_files_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What somebody has in `.env`, which is not read, or exports for the file is for their own; here all has its default."""
    read = set(re.findall(r"\$\{(\w+)", FILE.read_text()))
    return {name: value for name, value in environment.items() if name not in read}


def foreign_images(services: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The tags that the file does not build, by service; `python` is the base of those that it does."""
    (base,) = (line.split("=")[1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("ARG PYTHON="))
    return {"python": base} | {name: service["image"] for name, service in services.items() if "build" not in service}


def own_images(services: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The services that the file builds, each image once."""
    seen: set[str] = set()
    for name, service in services.items():
        if "build" in service and service["image"] not in seen:
            seen.add(service["image"])
            yield name


def to_be_tried(services: Mapping[str, Mapping[str, Any]], lacking: set[str]) -> list[str]:
    """The services of no profile that need none of those without an image. Raises `Lacking` where the proxy is not among them."""

    def lacks(name: str) -> bool:
        return name in lacking or any(lacks(other) for other in services[name].get("depends_on", ()))

    if lacks("proxy"):
        raise Lacking(f"there is no image for {', '.join(sorted(lacking))}, without which nothing starts")
    return [name for name in services if not services[name].get("profiles") and not lacks(name)]


def ports() -> dict[str, str]:
    """A free port for each of the file's variables."""
    return {name: str(free_port()) for name in PORTS}
