"""docker-compose.yml tried for real: `make compose-check`. Writes docs/compose-report.md; ends with 1 where not all was met.

It finds or starts an engine, sees to the images, brings everything up, goes through it from outside, kills containers while
needs are sent, counts what became of them, and takes everything down again.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Collection, Mapping
from typing import Any

from tests.deploy.compose_check import compose, counting, engine, faults, journey, report, sign_in, standins
from tests.deploy.compose_check.compose import Project
from tests.deploy.compose_check.findings import Findings

UP_WITHIN = 90
SIZE_AT_MOST = 350_000_000
MIRRORS = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.compose_check", description=__doc__)
    parser.add_argument("--without", nargs="*", default=[], metavar="SERVICE", help="leave these out: collector jaeger, …")
    without = parser.parse_args().without
    findings = Findings()
    began = time.monotonic()
    try:
        with engine.running() as found:
            findings.figures["seconds until an engine answered"] = f"{time.monotonic() - began:.0f}"
            _with_an_engine(found, without, findings)
            findings.engine = f"Docker {found.version}, " + ("started for the check" if found.own else "which ran here before")
    except engine.Lacking as what:
        print(f"This cannot be tried here: {what}.", file=sys.stderr)
        return 2
    findings.figures["minutes for all of it"] = f"{(time.monotonic() - began) / 60:.1f}"
    report.write(findings)
    print(f"Written: {report.TARGET.name}. " + ("Not everything was met." if findings.failed else "Everything was met."))
    return int(findings.failed)


def _with_an_engine(found: engine.Engine, without: Collection[str], findings: Findings) -> None:
    services = compose.described(found)["services"]
    tags = compose.foreign_images(services)
    began = time.monotonic()
    print("Images", flush=True)
    try:
        findings.origins = standins.provide(found, tags, without)
        findings.figures["seconds for the images that are not our own (what was there already is kept)"] = (
            f"{time.monotonic() - began:.0f}"
        )
        _with_images(found, services, findings)
    finally:
        standins.take_away(found, tags.values())


def _with_images(found: engine.Engine, services: Mapping[str, Mapping[str, Any]], findings: Findings) -> None:
    lacking = {origin.service for origin in findings.origins if origin.kind == "not to be had"}
    services_tried = compose.to_be_tried(services, lacking)
    project = Project(found, {**compose.ports(), "MUSUBI_VERSION": "check"}, services_tried)
    try:
        with findings.during("Images of our own"):
            began = time.monotonic()
            mirrors = [f"--build-arg={name}" for name in MIRRORS if os.environ.get(name)]
            project.compose("build", *mirrors, *compose.own_images(services), within=1800)
            findings.figures["seconds for building our own"] = f"{time.monotonic() - began:.0f}"
            findings.sizes = journey.sizes(project, list(compose.own_images(services)))
            large = {name: size for name, size in findings.sizes.items() if size > SIZE_AT_MOST}
            findings.expect(f"none of the {len(findings.sizes)} is larger than {SIZE_AT_MOST // 10**6} MB", not large, large)
            _tried(project, findings)
    finally:
        with findings.during("Down"):
            seconds = project.down()
            findings.figures["seconds of `docker compose down --volumes`"] = f"{seconds:.0f}"
            left = project.compose("ps", "--all", "--quiet").split()
            findings.expect("no container is left", not left, left)


def _tried(project: Project, findings: Findings) -> None:
    with findings.during("Up"):
        seconds = project.up()
        findings.figures["seconds of `docker compose up --wait` with images present"] = f"{seconds:.0f}"
        findings.expect(
            f"`docker compose up --wait` ends within {UP_WITHIN} s, everything healthy", seconds <= UP_WITHIN, f"{seconds:.0f} s"
        )
    if not findings.failed:
        asyncio.run(_used(project, findings))


async def _used(project: Project, findings: Findings) -> None:
    async with journey.partner(project) as http:
        with findings.during("A partner's way"):
            await journey.of_a_partner(project, http, findings)
            findings.memory = project.memory()
        with findings.during("A visitor's way, in a browser"):
            async with journey.browser() as chromium:
                await journey.of_a_visitor(project, http, chromium, findings)
        with findings.during("Signed in, in a browser"):
            async with journey.browser() as chromium:
                await sign_in.of_staff(project, http, chromium, findings)
        with findings.during("An operator's way"):
            await journey.of_an_operator(project, findings)
        with findings.during("Killed while needs are sent"):
            accepted = await faults.broken(project, http, findings)
            began = time.monotonic()
            await journey.at_rest(project)
            findings.figures["seconds from the last need until everything was at rest"] = f"{time.monotonic() - began:.0f}"
            await counting.count(project.database(), accepted, await journey.mails(project), findings)


if __name__ == "__main__":
    sys.exit(main())
