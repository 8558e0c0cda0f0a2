"""`musubi doctor`: is all well here? It looks at all that Musubi stands on, side by side, and says how to mend what is not."""

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rich.text import Text

from common.clock import Clock, utc_now
from common.kafka_login import NOBODY
from common.settings import KafkaSettings, Unconfigured
from musubi import colours, doctor_around, doctor_kafka, doctor_postgres, doctor_settings, places, roles, run_file
from musubi.advice import CannotGoOn
from musubi.doctor_findings import CHECK_SECONDS, Finding, failed, left_out, merged, within
from musubi.tables import printable

_ORDER = (
    "settings", "broker", "topics", "rights", "database", "migrations", "services", "mail", "sign-in", "clock",
    "time zones", "holiday years", "fonts",
)  # fmt: skip
_COLOURS = {"well": "green", "failed": "bold red", "left out": "dim"}


def run(folder: Path, services: Sequence[str], *, as_json: bool) -> int:
    """Returns 1 if anything is to be mended, else 0."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it would write about each attempt; what counts is said below
    begun, names = time.monotonic(), places.known(services)
    findings = asyncio.run(examined(folder, names))
    sick = any(finding.state == "failed" for finding in findings)
    if as_json:
        told = {"well": not sick, "seconds": round(time.monotonic() - begun, 2), "checks": [one._asdict() for one in findings]}
        print(json.dumps(told, ensure_ascii=False))
    else:
        screen = colours.console()
        for line in in_words(findings):
            screen.print(line)
    return int(sick)


async def examined(folder: Path, services: Sequence[str], clock: Clock = utc_now) -> list[Finding]:
    """All findings, those of the same kind together; the whole takes no longer than the slowest check."""
    running = run_file.find(folder)
    checks = [
        ("settings", "", doctor_settings.examined()),
        ("broker", "", _broker(folder, services, clock)),
        *(("database", schema, _database(folder, schema, clock)) for schema in (*services, roles.IDENTITY)),
        ("services", "", doctor_around.services(running.address if running else "", services)),
        ("mail", "", doctor_around.mail(folder)),
        ("sign-in", "", doctor_around.sign_in(clock)),
        ("time zones", "", doctor_around.zones()),
    ]
    parts = await asyncio.gather(*(within(CHECK_SECONDS, name, looking, of=of) for name, of, looking in checks))
    found = [*(finding for part in parts for finding in part), *doctor_around.of_no_use_yet()]
    said = {finding.check for finding in found}
    found += [left_out(check, "what it stands on did not answer") for check in _ORDER if check not in said]
    return sorted(merged(found), key=lambda finding: _ORDER.index(finding.check))


async def _broker(folder: Path, services: Sequence[str], clock: Clock) -> Sequence[Finding]:
    try:
        kafka = places.kafka(folder)
        login = NOBODY if kafka.incarnation else KafkaSettings.read().kafka_login
    except CannotGoOn as error:
        return [_nowhere("broker", error), *doctor_kafka.not_looked_at("the broker could not be asked")]
    except Unconfigured:  # which one is said where all settings are looked at
        why = "a setting of Kafka is wrong"
        return [left_out("broker", why), *doctor_kafka.not_looked_at(why)]
    return await doctor_kafka.examined(kafka, login, services, clock)


async def _database(folder: Path, schema: str, clock: Clock) -> Sequence[Finding]:
    try:
        said = places.database_said(schema)
        dsn = said or places.databases(folder).get(schema)
    except CannotGoOn as error:
        return [_nowhere("database", error, of=schema), *doctor_postgres.not_looked_at(schema)]
    if dsn is None:
        why = f"nobody said where it is (MUSUBI_POSTGRES_{schema.upper()})"
        return [left_out("database", why, of=schema), *doctor_postgres.not_looked_at(schema)]
    embedded = not said and urlsplit(dsn).hostname is None  # its socket is all that it has
    return await doctor_postgres.examined(dsn, schema, clock, embedded=embedded)


def _nowhere(check: str, error: CannotGoOn, *, of: str = "") -> Finding:
    found, _, fix = str(error).partition(". ")
    return failed(check, found, fix[:1].lower() + fix[1:].rstrip("."), of=of)


def in_words(findings: Sequence[Finding]) -> list[Text]:
    """A line for each: its state, what was looked at, what was found, and what mends it."""
    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        told = f"{finding.of}: {finding.found}" if finding.of else finding.found
        line = Text.assemble((f"{finding.state:<8}", _COLOURS[finding.state]), f"  {finding.check:<{width}}  {printable(told)}")
        if finding.fix:
            line.append_text(Text.assemble(". To mend it: ", (f"{printable(finding.fix)}.", "bold")))
        lines.append(line)
    amount = sum(finding.state == "failed" for finding in findings)
    lines.append(Text(f"{amount} to mend." if amount else "All is well.", "bold red" if amount else "bold green"))
    return lines
