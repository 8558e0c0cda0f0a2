"""`musubi replay`: hands a group's events of a stretch of time to its handlers once more. Nothing leaves the house for it."""

import asyncio
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI

from common.clock import rfc3339, utc_now
from common.contracts.registry import service_of
from common.errors import MusubiError
from common.messaging import kafka_log
from common.messaging.consumer import Consumer
from common.operating import audit, replay
from common.operating.amendments import checked_reason
from common.operating.replay import AT_ONCE, Asked, Replay, Report
from common.operating.replay_choice import Choice
from common.postgres import Database
from common.settings import Settings
from common.telemetry import Telemetry
from musubi import places
from musubi.advice import CannotGoOn
from musubi.held_lists import counted
from musubi.moments import moment_of
from musubi.tables import printable, table
from notify.settings import NotifySettings

_SHOWN = 20
"""So many failures are put into lines; all are in the JSON."""


_INTERRUPTED = 130
"""The exit code of what Ctrl-C ended."""


class Options(NamedTuple):
    """What was asked for at the command line; `begin` and `end` as they were written."""

    group: str
    begin: str
    end: str
    topic: str | None = None
    key: str | None = None
    dry_run: bool = False
    reason: str = ""


@dataclass
class _Work:
    """How far it is. `chosen` is None until all of the log is read."""

    chosen: int | None = None
    report: Report = field(default_factory=Report)
    entry: audit.Entry | None = None
    interrupted: bool = False


def run(folder: Path, options: Options, *, as_json: bool) -> int:
    """Returns 1 if the handler of an event failed, 130 if it was interrupted."""
    now = utc_now()
    begin, end = moment_of(options.begin, now), moment_of(options.end, now)
    if begin >= end:
        raise CannotGoOn(f"--from {options.begin} is not before --to {options.end}.")
    (service,) = places.known([service_of(options.group)])
    reason, work = "", _Work()
    try:
        if not options.dry_run:
            reason = checked_reason(options.reason)
        asyncio.run(_run(work, folder, options._replace(reason=reason), service, begin, end))
    except MusubiError as error:
        raise CannotGoOn(error.detail["en"]) from error
    except KeyboardInterrupt:
        work.interrupted = True
    found = _as_json(options, begin, end, work)
    print(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(in_words(found)))
    return _INTERRUPTED if work.interrupted else 1 if work.report.failed else 0


async def _run(work: "_Work", folder: Path, options: Options, service: str, begin: datetime, end: datetime) -> None:
    kafka, dsn = places.kafka(folder), places.databases(folder)[service]
    app = _application(service, dsn, kafka)
    consumer = _consumer(app.state.service.consumers, options)
    topics = [options.topic] if options.topic else consumer.topics
    login = app.state.service.settings.kafka_login
    async with places.using(consumer.database) as database, kafka_log.opened(kafka.address, login) as log:
        asked = Asked(topics, begin, end, options.key, by_event_time=bool(kafka.incarnation))
        choice = await replay.look(log, consumer, asked)
        if len(choice) and not options.dry_run:
            work.entry = await _write_down(database, options, asked, choice)
        replaying = Replay(log, consumer, choice, dry_run=options.dry_run)
        work.chosen, work.report = len(choice), replaying.report
        await replaying.run()


def _consumer(consumers: Mapping[str, Consumer], options: Options) -> Consumer:
    group = options.group
    if not consumers:
        raise CannotGoOn(f"{group} reads no events; there is nothing to replay.")
    if group not in consumers:
        raise CannotGoOn(f"{group} is not known. Its service's groups are {', '.join(consumers)}.")
    consumer = consumers[group]
    if options.topic and options.topic not in consumer.topics:
        others = [name for name, other in consumers.items() if options.topic in other.topics]
        hint = f" {others[0]} reads {options.topic}." if others else ""
        raise CannotGoOn(f"{group} does not read {options.topic}. It reads {', '.join(consumer.topics)}.{hint}")
    return consumer


def _application(service: str, dsn: str, kafka: places.Kafka) -> FastAPI:
    """The service as it is wired, with its handlers and their locks; nothing of it is started."""
    kind = NotifySettings if service == "notify" else Settings
    settings = kind(postgres=dsn, kafka=kafka.address, incarnation=kafka.incarnation)
    quiet = Telemetry(service, sampling=0, log_level="ERROR")
    return importlib.import_module(f"{service}.app").create_app(settings, telemetry=quiet)


async def _write_down(database: Database, options: Options, asked: Asked, choice: Choice) -> audit.Entry:
    """Before anything is done, so that a replay that is cut off is in the audit too."""
    amounts: dict[str, int] = {}
    for (topic, _), sequences in choice.runs.items():
        amounts[topic] = amounts.get(topic, 0) + len(sequences)
    subject: dict[str, Any] = {
        "group": options.group,
        "from": rfc3339(asked.begin),
        "to": rfc3339(asked.end),
        "key": asked.key or "",
        "events": len(choice),
        "topics": [[topic, amount] for topic, amount in sorted(amounts.items())],
    }
    async with database.transaction() as tx:
        return await audit.append(tx, actor=places.actor(), action="replay", subject=subject, reason=options.reason)


def _as_json(options: Options, begin: datetime, end: datetime, work: "_Work") -> dict[str, Any]:
    report, entry = work.report, work.entry
    return {
        "group": options.group,
        "from": rfc3339(begin),
        "to": rfc3339(end),
        "dry_run": options.dry_run,
        "interrupted": work.interrupted,
        "chosen": work.chosen,
        "handled": dict(sorted(report.handled.items())),
        "announced": dict(sorted(report.announced.items())),
        "passed_over": {str(why): amount for why, amount in sorted(report.passed_over.items())},
        "failed": [one._asdict() for one in report.failed],
        "audit": entry.number if entry else None,
    } | ({"service": options.group, "action": entry.action, "number": entry.number, "hash": entry.hash.hex()} if entry else {})


def in_words(found: Mapping[str, Any]) -> list[str]:
    """Lines for people."""
    would = "would be " if found["dry_run"] else ""
    if found["chosen"] is None:
        return [f"{found['group']}: interrupted while it looked for the events. None was handled, nothing was changed."]
    lines = [f"{found['group']}: {counted(found['chosen'], 'event')} of {found['from']} to {found['to']} to be handled again"]
    rows = [(f"{would}handled", name, amount) for name, amount in found["handled"].items()]
    rows += [(f"{would}announced", name, amount) for name, amount in found["announced"].items()]
    rows += [("passed over", why, amount) for why, amount in found["passed_over"].items()]
    rows += [("failed", "see below", len(found["failed"]))] if found["failed"] else []
    if rows:
        lines += table(("WHAT", "WHICH", "HOW MANY"), rows)
    for one in found["failed"][:_SHOWN]:
        place = f" at {one['pointer']}" if one["pointer"] else ""
        lines.append(printable(f"failed: {one['topic']}:{one['key']}:{one['sequence']}{place}: {one['error']}"))
    if len(found["failed"]) > _SHOWN:
        lines.append(f"… and {len(found['failed']) - _SHOWN} more; --json has all.")
    if found["interrupted"]:
        lines.append(_interrupted(found))
    if found["dry_run"]:
        lines.append("This was a dry run: everything was rolled back.")
    elif found["audit"]:
        lines.append(f"Audit of {found['group']}: number {found['audit']}, hash {found['hash']}.")
    return lines


def _interrupted(found: Mapping[str, Any]) -> str:
    handled = sum(found["handled"].values())
    if found["dry_run"]:
        return f"It was interrupted after {handled} of {counted(found['chosen'], 'event')}."
    return (
        f"It was interrupted: {counted(handled, 'event')} of {found['chosen']} handled, and that stays; the others were not. "
        f"Up to {AT_ONCE} more may be handled if they were being stored at that very moment. Run it again for all of them."
    )
