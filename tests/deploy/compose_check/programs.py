"""What stand-in images are made of and Debian does not have: Kafka's jars by Maven, MailDev by npm, three programs by Go.

All come through their registries' ordinary clients, which check sums, and lie in the user's cache for the next time.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests import kafka_server
from tests.deploy.compose_check.engine import CACHE, Lacking, said

FOLDER = CACHE / "programs"
MAILDEV = "2.2.1"
BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.136.0"
PARTS = Path(__file__).parent / "images" / "collector" / "parts.yaml"


@dataclass(frozen=True)
class GoProgram:
    """`release` is the tag of the image that it stands in for; `what` says how near it is to that."""

    name: str
    module: str
    version: str
    release: str
    what: str


JAEGER = GoProgram("jaeger", "github.com/jaegertracing/jaeger", "v1.73.0", "2.10.0", "2.10.0, which Go knows as v1.73.0")
DEX = GoProgram(
    "dex",
    "github.com/dexidp/dex",
    "v0.0.0-20260806151424-ab64ed778070",  # Go cannot name its 2.x releases, and a module proxy need not have each
    "v2.46.0",
    "the source of 2026-08-06 (ab64ed778070), after 2.45.1 and before 2.46.0",
)


def jars() -> Path:
    """The folder of Kafka's jars. Raises `Lacking`."""
    try:
        return kafka_server.jars()
    except kafka_server.NoKafka as why:
        raise Lacking(str(why)) from why


def maildev() -> Path:
    """A folder with MailDev and what it needs. Raises `Lacking`."""
    folder = FOLDER / f"maildev-{MAILDEV}"
    if not (folder / "complete").exists():
        _needed("npm")
        folder.mkdir(parents=True, exist_ok=True)
        said(["npm", "install", "--silent", "--ignore-scripts", "--prefix", str(folder), f"maildev@{MAILDEV}"])
        (folder / "complete").touch()
    return folder


def collector() -> Path:
    """A folder with the program `collector`, of those parts. Raises `Lacking`."""
    parts = PARTS.read_text()
    folder = FOLDER / f"collector-{hashlib.sha256(parts.encode()).hexdigest()[:8]}"
    if not (folder / "collector").exists():
        _needed("go")
        work = folder / "building"
        work.mkdir(parents=True, exist_ok=True)
        said(["go", "install", BUILDER], environment=_building(GOBIN=str(work)))
        (work / "parts.yaml").write_text(parts.replace("output_path: built", f"output_path: {work / 'built'}"))
        said([str(work / "builder"), f"--config={work / 'parts.yaml'}"], within=1800, environment=_building())
        (work / "built" / "otelcol").rename(folder / "collector")
        shutil.rmtree(work)
    return folder


def jaeger() -> Path:
    """A folder with the program `jaeger`. Raises `Lacking`."""
    return _built(JAEGER)


def dex() -> Path:
    """A folder with the program `dex`. Raises `Lacking`."""
    return _built(DEX)


def _built(program: GoProgram) -> Path:
    """Build a program inside its own module, as its makers do: `go install` refuses one that replaces modules."""
    folder = FOLDER / f"{program.name}-{program.version}"
    if not (folder / program.name).exists():
        _needed("go")
        fetched = json.loads(said(["go", "mod", "download", "-json", f"{program.module}@{program.version}"]))
        work = folder / "building"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(fetched["Dir"], work, copy_function=shutil.copyfile)
        for each in (work, *work.rglob("*/")):
            each.chmod(0o755)  # Go keeps modules read-only
        beside = json.loads(said(["go", "-C", str(work), "mod", "edit", "-json"]))["Replace"] or ()
        for module_beside in (one["Old"]["Path"] for one in beside if one["New"]["Path"].startswith(".")):
            # It lies in the repository beside it and is not in the module; Go fetches it as it was at the same commit.
            said(["go", "-C", str(work), "mod", "edit", f"-dropreplace={module_beside}"])
            said(["go", "-C", str(work), "get", f"{module_beside}@{program.version.rpartition('-')[2]}"])
        built = str(folder / f"{program.name}.new")
        command = [
            "go",
            "-C",
            str(work),
            "build",
            "-mod=mod",
            "-trimpath",
            "-ldflags=-s -w",
            "-o",
            built,
            f"./cmd/{program.name}",
        ]
        said(command, within=1800, environment=_building())
        Path(built).rename(folder / program.name)
        shutil.rmtree(work)
    return folder


def _building(**more: str) -> dict[str, str]:
    return os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"} | more


def _needed(name: str) -> None:
    if not shutil.which(name):
        raise Lacking(f"{name} is not installed")
