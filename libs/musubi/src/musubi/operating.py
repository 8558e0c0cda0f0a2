"""The operator's commands: what is held back, the audit, replays. Only words and options; the work is imported when called."""

import argparse
from pathlib import Path

from musubi.options import command, output, services, verbs


def add(commands: "argparse._SubParsersAction") -> None:
    """Add them to the commands of `musubi`."""
    _parked_commands(commands)

    audit = command(commands, "audit", None, "what is written down about operators' acts")
    verify = command(verbs(audit), "verify", _audit_verify, "say whether it is still as it was written (leaves with 1 if not)")
    verify.add_argument(
        "--log", action="append", default=[], type=Path, metavar="FILE", help="a log of the services, to compare with"
    )
    services(verify)
    output(verify)

    replay = command(commands, "replay", _replay, "hand events that took effect to a group's handlers once more")
    replay.add_argument("--group", required=True, metavar="GROUP", help="the service whose handlers get them")
    replay.add_argument(
        "--from", required=True, dest="begin", metavar="TIME", help="2026-11-24T10:00:00Z, or how long ago: 30m, 2h"
    )
    replay.add_argument("--to", required=True, dest="end", metavar="TIME", help="the same, or now; not included")
    replay.add_argument("--topic", help="only this topic (default: all that the group reads)")
    replay.add_argument("--key", help="only this key")
    replay.add_argument("--dry-run", action="store_true", help="do everything, roll it back, and say what it would have done")
    replay.add_argument("--reason", default="", metavar="TEXT", help="why; kept in the audit (not needed for a dry run)")
    output(replay)


def _parked_commands(commands: "argparse._SubParsersAction") -> None:
    parked = command(commands, "parked", None, "what the services hold back, and what to do with it")
    under = verbs(parked)
    list_ = command(under, "list", _parked_list, "list what is held, by cause with counts")
    list_.add_argument("--cause", metavar="CAUSE", help="the events and records of this cause, one by one")
    services(list_)
    output(list_)
    one = {
        "show": (_parked_show, "show an event or record, why it is held, and who did what with it"),
        "retry": (_parked_retry, "try an event again now, or read a record again"),
        "retry-all": (_parked_retry_all, "try all of one cause again now"),
        "go-on-all": (_parked_go_on_all, "in every key that waits for missing events, of one cause: go on without them"),
        "edit": (_parked_edit, "change what an event or record says, and try it"),
        "skip": (_parked_skip, "decide that it shall have no effect; where events before it are missing, go on without them"),
    }
    for name, (run, words) in one.items():
        verb = command(under, name, run, words)
        verb.add_argument("service", metavar="SERVICE", help="the service that holds it")
        if name in ("retry-all", "go-on-all"):
            verb.add_argument("name", metavar="CAUSE", help="as `musubi parked list` shows it")
        else:
            verb.add_argument("name", metavar="NAME", help="TOPIC:KEY:SEQUENCE or TOPIC/PARTITION@OFFSET")
        if name == "edit":
            verb.add_argument("--file", metavar="FILE", help="the new text, - for standard input (default: opens $EDITOR)")
        if name != "show":
            verb.add_argument("--reason", required=True, metavar="TEXT", help="why; kept in the audit")
        output(verb)


def _parked_list(options: argparse.Namespace) -> int:
    from musubi import parked

    return parked.list_(options.folder, options.service, options.cause, as_json=options.json)


def _parked_show(options: argparse.Namespace) -> int:
    from musubi import parked

    return parked.show(options.folder, options.service, options.name, as_json=options.json)


def _parked_retry(options: argparse.Namespace) -> int:
    from musubi import parked

    return parked.retry(options.folder, options.service, options.name, reason=options.reason, as_json=options.json)


def _parked_retry_all(options: argparse.Namespace) -> int:
    from musubi import parked

    return parked.retry_all(options.folder, options.service, options.name, reason=options.reason, as_json=options.json)


def _parked_go_on_all(options: argparse.Namespace) -> int:
    from musubi import parked

    return parked.go_on_all(options.folder, options.service, options.name, reason=options.reason, as_json=options.json)


def _parked_edit(options: argparse.Namespace) -> int:
    from musubi import parked

    return parked.edit(options.folder, options.service, options.name, options.file, reason=options.reason, as_json=options.json)


def _parked_skip(options: argparse.Namespace) -> int:
    from musubi import parked

    return parked.skip(options.folder, options.service, options.name, reason=options.reason, as_json=options.json)


def _audit_verify(options: argparse.Namespace) -> int:
    from musubi import audit

    return audit.verify(options.folder, options.service, options.log, as_json=options.json)


def _replay(options: argparse.Namespace) -> int:
    from musubi import replay

    asked = replay.Options(
        options.group, options.begin, options.end, options.topic, options.key, options.dry_run, options.reason
    )  # fmt: skip
    return replay.run(options.folder, asked, as_json=options.json)
