"""The `musubi` command. It knows only words and options; what a command does is imported when it is called, so help is quick."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from musubi import operating
from musubi.options import command, folder, output, services, verbs

PORT = 8600
LOOPBACK = "127.0.0.1"
ROLES = ("officer", "company", "office", "secretariat", "operator")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code. What a user can mend is said in one line, without a traceback."""
    options = _parser().parse_args(arguments)
    try:
        code = options.command(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `musubi publish … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell says of whom SIGPIPE ended: 1 means something else
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        words = _for_the_user(error)
        if words is None:
            raise
        print(f"musubi: {words}", file=sys.stderr)
        return 1


def _for_the_user(error: Exception) -> str | None:
    """The text of an error that says what to do; everything else is a bug and shows its traceback."""
    from common.errors import MusubiError
    from common.settings import Unconfigured
    from musubi.advice import CannotGoOn

    if isinstance(error, MusubiError):
        return " ".join([error.detail["en"], *(f"{fault.pointer}: {fault.detail['en']}" for fault in error.faults)])
    return str(error) if isinstance(error, (CannotGoOn, Unconfigured)) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="musubi",
        description="Musubi brings together cities that need energy-saving technology and companies that offer it.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    up = command(commands, "up", _up, "run everything on this machine, until Ctrl-C")
    _where_to_run(up)

    demo = command(commands, "demo", _demo, "the same with real examples, and print what happened")
    _where_to_run(demo)
    demo.add_argument("--examples", type=Path, metavar="FOLDER", help="where the example files are")
    demo.add_argument("--once", action="store_true", help="in a fresh temporary folder on free ports; clean up and exit")
    demo.add_argument("--json", action="store_true", help="with --once: print one JSON object")

    publish = command(commands, "publish", _publish, "publish a file of CloudEvents (JSON or NDJSON)")
    publish.add_argument("file", metavar="FILE", help='the file, or "-" for standard input')
    publish.add_argument("--json", action="store_true", help="print the results as JSON lines")
    publish.add_argument("--url", help="where Musubi answers, if not on this machine (or MUSUBI_URL)")
    publish.add_argument("--key", help="the API key (or MUSUBI_KEY, which other users of this machine cannot see)")
    folder(publish)

    match = command(commands, "match", _match, "match needs and offerings from files, without a server: each need's ten best")
    match.add_argument("needs", metavar="NEEDS", help='NDJSON (or a JSON list), also gzip; "-" for standard input')
    match.add_argument("offerings", metavar="OFFERINGS", help="the same, of offerings")
    match.add_argument(
        "--with", action="append", default=[], dest="others", metavar="FILE", help="the cities and companies named"
    )
    match.add_argument("--rates", metavar="FILE", help="exchange rates; else only prices in the budget's currency are compared")
    match.add_argument("--as-of", type=_day, metavar="DAY", help="judge for this day (default: today at each municipality)")
    said = match.add_mutually_exclusive_group()
    said.add_argument("--json", action="store_true", help="print one JSON object a need")
    said.add_argument("--explain", choices=("ja", "en"), help="print sentences (default, in the terminal's language)")

    load = command(commands, "examples", _examples, "load the examples into a Musubi that runs elsewhere")
    load.add_argument("--examples", type=Path, metavar="FOLDER", help="where the example files are")
    load.add_argument("--url", default=os.environ.get("MUSUBI_URL", ""), help="where Musubi answers (or MUSUBI_URL)")
    load.add_argument("--key", default=os.environ.get("MUSUBI_KEY", ""), help="the API key (or MUSUBI_KEY)")

    partner = verbs(command(commands, "partner", None, "the systems that may send events"))
    add = command(partner, "add", _partner_add, "print a new key for a partner's system")
    add.add_argument("partner", metavar="ID", help="such as city-of-kamakura")
    add.add_argument("--name", default="", help="what people call it")
    folder(add)
    revoke = command(partner, "revoke", _partner_revoke, "make a key worth nothing")
    revoke.add_argument("key", metavar="KEY", help='the key, or "-" for standard input')
    folder(revoke)

    _person(verbs(command(commands, "person", None, "the people who may sign in at the provider")))

    links = command(commands, "links", _links, "print new one-time sign-in links of the running Musubi")
    links.add_argument("--json", action="store_true", help="print a list as JSON")
    folder(links)

    status = command(commands, "status", _status, "say whether Musubi runs here, and how it is")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    folder(status)

    doctor = command(commands, "doctor", _doctor, "look at all that Musubi stands on, and say how to mend what is not well")
    services(doctor)
    output(doctor)

    tail = command(commands, "tail", _tail, "show the events as they pass, until Ctrl-C; reads only, and as nobody's group")
    tail.add_argument("--topic", action="append", default=[], metavar="TOPIC", help="only this (* is allowed; may be repeated)")
    tail.add_argument("--type", action="append", default=[], metavar="TYPE", help="only this (* is allowed; may be repeated)")
    tail.add_argument("--event", default="", metavar="ID", help="only this event and what follows from it, from the beginning")
    tail.add_argument("--since", default="", metavar="TIME", help="begin at 2026-11-24T10:00:00Z, or so long ago: 30m, 2h, 3d")
    tail.add_argument("--no-follow", action="store_true", help="end where the topics end now")
    tail.add_argument("--data", action="store_true", help="show what each event says in full")
    tail.add_argument("--json", action="store_true", help="print one JSON object a line")
    folder(tail)

    migrate = command(commands, "migrate", _migrate, "bring the databases' tables up to date")
    migrate.add_argument("services", nargs="*", metavar="SERVICE", help="only these (default: all)")

    operating.add(commands)

    topics = command(commands, "topics", None, "the topics of a real Kafka")
    kinds = verbs(topics)
    apply = command(kinds, "apply", _topics_apply, "create what is missing on MUSUBI_KAFKA")
    apply.add_argument("--kafka", metavar="HOST:PORT", help="where Kafka is (or MUSUBI_KAFKA)")
    apply.add_argument("--replicas", type=int, default=-1, help="copies of each partition (default: the broker's own)")
    apply.add_argument("--json", action="store_true", help="print one JSON object")
    allow = command(kinds, "allow", _topics_allow, "let each service, as the user of its name, use its topics and no others")
    allow.add_argument("--kafka", metavar="HOST:PORT", help="where Kafka is (or MUSUBI_KAFKA)")
    allow.add_argument("--users", action="store_true", help="make the users, too, from MUSUBI_KAFKA_PASSWORD_<SERVICE>")
    return parser


def _person(person: "argparse._SubParsersAction") -> None:
    add = command(person, "add", _person_add, "let somebody sign in, known by the e-mail address that the provider has of them")
    add.add_argument("--email", required=True, help="the address; it counts until the first sign-in, then the provider's own id")
    add.add_argument("--role", required=True, choices=ROLES, help="officer is a city's")
    add.add_argument("--organisation", default="", metavar="ID", help="its id or name; secretariat and operator need none")
    add.add_argument("--name-en", default="", help="what the account is called, such as a function")
    add.add_argument("--name-ja", default="", help="the same in Japanese")
    add.add_argument("--language", choices=("ja", "en"), default="", help="default: the organisation's")
    folder(add)
    list_ = command(person, "list", _person_list, "show who may sign in")
    output(list_)
    remove = command(person, "remove", _person_remove, "sign somebody out everywhere and let them in no more")
    remove.add_argument("email", metavar="EMAIL")
    folder(remove)
    folder(command(person, "examples", _person_examples, "add the people whom the provider in docker-compose.yml knows"))


def _where_to_run(parser: argparse.ArgumentParser) -> None:
    folder(parser)
    parser.add_argument("--port", type=_port, default=PORT, help=f"default: {PORT}; 0 takes a free one")
    parser.add_argument("--host", type=_loopback, default=LOOPBACK, help="only this machine itself can be served")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; use a number from 0 to 65535")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no day; write it like 2027-03-31") from None


def _loopback(host: str) -> str:
    if host not in (LOOPBACK, "localhost"):
        raise argparse.ArgumentTypeError(
            f"{host} is refused: everybody who reaches this mode can sign in, so it serves {LOOPBACK} only"
        )
    return LOOPBACK


def _up(options: argparse.Namespace) -> int:
    from musubi import up

    return up.run(options.folder, options.port)


def _demo(options: argparse.Namespace) -> int:
    from musubi import demo

    if options.once:
        return demo.once(options.examples, as_json=options.json)
    return demo.run(options.folder, options.port, options.examples)


def _publish(options: argparse.Namespace) -> int:
    from musubi import publish

    return publish.from_file(options.file, url=options.url, key=options.key, as_json=options.json, folder=options.folder)


def _match(options: argparse.Namespace) -> int:
    from musubi import match

    files = match.Files(options.needs, options.offerings, tuple(options.others), options.rates)
    return match.run(files, as_of=options.as_of, explain=None if options.json else options.explain or match.terminal_language())


def _examples(options: argparse.Namespace) -> int:
    from musubi import loading

    return loading.run(options.examples, url=options.url, key=options.key)


def _partner_add(options: argparse.Namespace) -> int:
    from musubi import partners

    return partners.add(options.folder, options.partner, options.name)


def _partner_revoke(options: argparse.Namespace) -> int:
    from musubi import partners

    return partners.revoke(options.folder, options.key)


def _person_add(options: argparse.Namespace) -> int:
    from common.access.permissions import Role
    from musubi import people

    names = {language: name for language, name in (("en", options.name_en), ("ja", options.name_ja)) if name}
    role = Role(options.role)
    return people.add(options.folder, options.email, role, options.organisation, names=names, language=options.language)


def _person_list(options: argparse.Namespace) -> int:
    from musubi import people

    return people.show(options.folder, as_json=options.json)


def _person_remove(options: argparse.Namespace) -> int:
    from musubi import people

    return people.remove(options.folder, options.email)


def _person_examples(options: argparse.Namespace) -> int:
    from musubi import people

    return people.examples(options.folder)


def _links(options: argparse.Namespace) -> int:
    from musubi import sign_in_links

    return sign_in_links.show(options.folder, as_json=options.json)


def _status(options: argparse.Namespace) -> int:
    from musubi import status

    return status.show(options.folder, as_json=options.json)


def _doctor(options: argparse.Namespace) -> int:
    from musubi import doctor

    return doctor.run(options.folder, options.service, as_json=options.json)


def _tail(options: argparse.Namespace) -> int:
    from musubi import tail

    asked = tail.Options(options.topic, options.type, options.event, options.since, not options.no_follow, options.data)
    return tail.run(options.folder, asked, as_json=options.json)


def _migrate(options: argparse.Namespace) -> int:
    from musubi import migrate

    return migrate.run(options.services)


def _topics_apply(options: argparse.Namespace) -> int:
    from musubi import topics

    return topics.show(options.kafka or os.environ.get("MUSUBI_KAFKA", ""), replicas=options.replicas, as_json=options.json)


def _topics_allow(options: argparse.Namespace) -> int:
    from musubi import topic_rights

    return topic_rights.show(options.kafka or os.environ.get("MUSUBI_KAFKA", ""), users=options.users)
