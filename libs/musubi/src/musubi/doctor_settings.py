"""The environment variables that Musubi reads, and what `musubi doctor` says of those that are set. All begin with `MUSUBI_`."""

import difflib
import os
from collections.abc import Iterable, Sequence

from common.settings import KafkaSettings, Unconfigured
from musubi import roles
from musubi.doctor_findings import Finding, failed, well
from notify.settings import NotifySettings

PREFIX = "MUSUBI_"
_FOR_COMMANDS = ("FOLDER", "KEY", "OPERATOR", "URL")
_FOR_OTHERS = ("BIND", "PORT", "VERSION", "REQUIRE", "TEST_KAFKA", "CHROMIUM", "FAULTS_SEED")
"""Read by docker-compose.yml and by the tests, from the same environment."""
_SIMILAR = 0.75


def read_by(settings: type[KafkaSettings]) -> set[str]:
    """Those that a process with these settings reads."""
    return {PREFIX + name.upper() for name in settings.model_fields}


def known() -> set[str]:
    """Those that any service or command reads."""
    of_services = {f"{what}_{service.upper()}" for what in ("KAFKA_PASSWORD", "URL") for service in roles.SERVICES}
    of_schemas = {f"POSTGRES_{schema.upper()}" for schema in (*roles.SERVICES, roles.IDENTITY)}
    others = {PREFIX + name for name in of_services.union(of_schemas, _FOR_COMMANDS)}
    return read_by(NotifySettings) | others  # what notify reads is all that any service does


async def examined() -> Sequence[Finding]:
    """Can all be read, and is there nothing that nobody reads?"""
    found = []
    try:
        NotifySettings.read(postgres="", kafka="")
    except Unconfigured as error:
        found = [wrong(line) for line in str(error).splitlines()]
    said = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    found += unknown(said)
    return found or [well("settings", f"variables {PREFIX}… that are set: {len(said)}; all are known and can be read")]


def wrong(line: str) -> Finding:
    """What is wrong with a setting, from the line that says so."""
    found, _, fix = line.partition(". ")
    return failed("settings", found, fix[:1].lower() + fix[1:].rstrip("."))


def unknown(said: Iterable[str]) -> list[Finding]:
    """A finding on each of these variables that nobody reads, so that what it says has no effect."""
    names = {name.removeprefix(PREFIX): name for name in known()}
    read = {*names, *_FOR_OTHERS}
    found = []
    for name in said:
        if name.upper().removeprefix(PREFIX) in read:
            continue
        meant = difflib.get_close_matches(name.upper().removeprefix(PREFIX), names, 1, _SIMILAR)
        fix = f"call it {names[meant[0]]}, if that is meant" if meant else "take it away, or give it the name of a setting"
        found.append(failed("settings", f"nothing reads a variable {name}", fix))
    return found
