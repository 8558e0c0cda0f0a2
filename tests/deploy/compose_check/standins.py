"""The images that docker-compose.yml does not build: pulled; where that fails, built of Debian's packages under that tag.

An image that the engine has already is taken as it is. What stands in for another carries a label; on an engine that ran
before the check, those are taken away afterwards.
"""

import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.compose_check import programs
from tests.deploy.compose_check.engine import CACHE, Engine, Lacking, apt, said

IMAGES = Path(__file__).parent / "images"
LABEL = "musubi.stand-in"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class StandIn:
    """`made_of` says it in words, `ask` finds out its version, `contexts` are further folders that its Dockerfile takes from."""

    made_of: str
    ask: Sequence[str]
    suite: str = "trixie"
    contexts: Mapping[str, Callable[[], Path]] = field(default_factory=dict)


STAND_INS: Mapping[str, StandIn] = {
    "python": StandIn("Debian's Python", ("python", "--version")),
    "proxy": StandIn("Debian's nginx", ("nginx", "-v")),
    "postgres": StandIn("Debian's PostgreSQL, with a start script of the check's own", ("postgres", "--version"), "forky"),
    "kafka": StandIn(
        "Apache Kafka's jars from Maven, with its image's own reading of the `KAFKA_…` variables",
        ("sh", "-c", "ls /opt/kafka/libs | grep kafka-server-[0-9]"),
        contexts={"jars": programs.jars},
    ),
    "mail": StandIn(
        "MailDev from npm on Debian's Node",
        ("node", "node_modules/maildev/bin/maildev", "--version"),
        contexts={"package": programs.maildev},
    ),
    "prometheus": StandIn("Debian's Prometheus", ("sh", "-c", "prometheus --version | head -n1 | cut -d' ' -f1-3"), "forky"),
    "collector": StandIn(
        "the OpenTelemetry collector, built by its own builder of the parts that the configuration names",
        ("/otelcol", "--version"),
        contexts={"programs": programs.collector},
    ),
    "jaeger": StandIn(
        "Jaeger built from its Go module, without its pages",
        ("echo", programs.JAEGER.what),
        contexts={"programs": programs.jaeger},
    ),
    "oidc": StandIn(
        "Dex built from its Go module",
        ("echo", programs.DEX.what),
        contexts={"programs": programs.dex},
    ),
}
"""By the service of docker-compose.yml, and `python` for the base of our own."""


@dataclass(frozen=True)
class Origin:
    """Where an image came from: `pulled`, `there`, `stand-in` or `not to be had`, and what is in it or why not."""

    service: str
    tag: str
    kind: str
    what: str


def provide(engine: Engine, tags: Mapping[str, str], without: Collection[str]) -> list[Origin]:
    """See to it that each tag, by service, is an image of this engine, but for those that are to be left out."""
    left_out = [Origin(service, tags[service], "not to be had", "left out as wished") for service in without]
    return left_out + [_provided(engine, service, tag) for service, tag in tags.items() if service not in without]


def take_away(engine: Engine, tags: Iterable[str]) -> None:
    """Leave nothing behind under another's name on an engine that is somebody's."""
    for tag in tags:
        if not engine.own and _label_of(engine, tag):
            engine.docker("image", "rm", "--force", tag)


def _provided(engine: Engine, service: str, tag: str) -> Origin:
    if _label_of(engine, tag) == "":
        return Origin(service, tag, "there", "the engine had it")
    try:
        engine.docker("pull", "--quiet", tag)
        return Origin(service, tag, "pulled", "its makers' own")
    except (RuntimeError, subprocess.TimeoutExpired) as why:
        refused = _in_short(str(why))
    if service not in STAND_INS:
        return Origin(service, tag, "not to be had", f"{refused}, and nothing here can stand in for it")
    try:
        print(f"Building what stands in for {tag}…", flush=True)
        return Origin(service, tag, "stand-in", f"{_built(engine, service, tag)} ({refused})")
    except Lacking as why:
        return Origin(service, tag, "not to be had", f"{refused}, and for a stand-in {why}")


def _in_short(why: str) -> str:
    """Why an image was not pulled: that nobody answered, without this machine's addresses, or what the registry said of it."""
    if any(sign in why for sign in ("no such host", "timeout", "timed out", "refused", "unreachable")):
        return "its registry could not be reached"
    return f"the registry did not give it: {why.strip().splitlines()[-1]}"


def _label_of(engine: Engine, tag: str) -> str | None:
    """The label of an image that stands in; empty for one that does not; None where there is no image of this tag."""
    try:
        label = engine.docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', tag).strip()
    except RuntimeError:
        return None
    return "" if label == "<no value>" else label


def _built(engine: Engine, service: str, tag: str) -> str:
    stand_in = STAND_INS[service]
    contexts = {name: find() for name, find in stand_in.contexts.items()}
    engine.docker(
        "build", "--quiet", "--network", "host", "--build-arg", f"BASE={_debian(engine, stand_in.suite)}",
        "--label", f"{LABEL}=1", "--tag", tag,
        *(word for name, folder in contexts.items() for word in ("--build-context", f"{name}={folder}")),
        str(IMAGES / service), within=900,
    )  # fmt: skip
    asked = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--entrypoint", stand_in.ask[0], tag, *stand_in.ask[1:]],
        capture_output=True, text=True, check=False, env=engine.environment,
    )  # fmt: skip
    answer = " ".join((asked.stdout + asked.stderr).split())
    return f"{stand_in.made_of}: {answer}"


def _debian(engine: Engine, suite: str) -> str:
    """An image of the smallest Debian of this suite that installs packages; it trusts whom this machine trusts."""
    tag = f"musubi-stand-in/debian:{suite}"
    if _label_of(engine, tag) is not None:
        return tag
    archive = CACHE / f"debian-{suite}.tar"
    if not archive.exists():
        if not shutil.which("mmdebstrap"):
            if not shutil.which("apt-get"):
                raise Lacking("mmdebstrap is missing, and this is no Debian or Ubuntu")
            apt("mmdebstrap")
        unfinished = archive.with_suffix(".new.tar")
        # A mirror may be weeks behind; the signature counts all the same.
        options = ["--variant=minbase", "--include=ca-certificates", f"--keyring={KEYRING}"]
        options += ['--aptopt=Acquire::Check-Valid-Until "false"', f"--customize-hook=upload {AUTHORITIES} {AUTHORITIES}"]
        said(["mmdebstrap", "--quiet", *options, suite, str(unfinished), "http://deb.debian.org/debian"])
        unfinished.rename(archive)
    engine.docker("import", "--change", f"LABEL {LABEL}=1", str(archive), tag)
    return tag
