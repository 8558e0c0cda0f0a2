"""Words and options that several commands share. Imports nothing slow."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

Command = Callable[[argparse.Namespace], int]


def verbs(parser: argparse.ArgumentParser) -> "argparse._SubParsersAction":
    """Where the verbs of a command are added."""
    return parser.add_subparsers(metavar="VERB", required=True)


def services(parser: argparse.ArgumentParser) -> None:
    """`--service`, which may be repeated."""
    parser.add_argument("--service", action="append", default=[], metavar="SERVICE", help="only this one (may be repeated)")


def output(parser: argparse.ArgumentParser) -> None:
    """`--json`, and where the running Musubi is."""
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    folder(parser)


def command(commands: "argparse._SubParsersAction", name: str, run: Command | None, words: str) -> argparse.ArgumentParser:
    """A command with its words for the help; `run` is None where it has verbs."""
    parser = commands.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
    if run:
        parser.set_defaults(command=run)
    return parser


def folder(parser: argparse.ArgumentParser) -> None:
    """`--folder`, in which a Musubi runs."""
    usual = Path(os.environ.get("MUSUBI_FOLDER", ".musubi"))
    parser.add_argument("--folder", type=Path, default=usual, help="where its data lives (default: ./.musubi)")
