"""JSON laid out for people, with the values that are wrong marked by their pointers. Pure.

What is shown reads back as exactly the same value: numbers keep their digits, and characters that cannot be seen are escaped.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from common.exact_json import to_json

_DEEPEST = 50
"""Levels that are laid out; what is nested deeper stands in one line."""
_JAPANESE_SPACE = "\u3000"


class Piece(NamedTuple):
    """A part of the text; `marked` where the value is wrong."""

    text: str
    marked: bool


def laid_out(value: Any, pointers: Collection[str] = ()) -> list[Piece]:
    """The value over several lines, two spaces a level. A pointer to something that is not there marks nothing."""
    writer = _Writer(set(pointers) - {""})  # all of it marked would mark nothing
    writer.write(value, "", 0)
    return writer.pieces


def as_text(value: Any) -> str:
    """The same without marks."""
    return "".join(piece.text for piece in laid_out(value))


def cut(pieces: Sequence[Piece], at_most: int) -> list[Piece]:
    """The first so many characters, with `…` where more follow."""
    kept: list[Piece] = []
    for piece in pieces:
        kept.append(Piece(piece.text[:at_most], piece.marked))
        at_most -= len(piece.text)
        if at_most < 0:
            return [*kept, Piece(" …", False)]
    return kept


class _Writer:
    def __init__(self, wrong: set[str]) -> None:
        self.pieces: list[Piece] = []
        self._wrong = wrong
        self._marking = False

    def write(self, value: Any, pointer: str, depth: int) -> None:
        begins = pointer in self._wrong and not self._marking
        self._marking = self._marking or begins
        if isinstance(value, dict) and value and depth < _DEEPEST:
            names = [(f"{_text(name)}: ", part, _step(name)) for name, part in value.items()]
            self._write_parts("{", names, "}", pointer, depth)
        elif isinstance(value, list) and value and depth < _DEEPEST:
            self._write_parts("[", [("", part, str(n)) for n, part in enumerate(value)], "]", pointer, depth)
        else:
            self._add(_text(value) if isinstance(value, str) else to_json(value).decode())
        if begins:
            self._marking = False

    def _write_parts(self, opening: str, parts: list[tuple[str, Any, str]], closing: str, pointer: str, depth: int) -> None:
        inside = "\n" + "  " * (depth + 1)
        self._add(opening)
        for n, (name, part, step) in enumerate(parts):
            self._add(("," if n else "") + inside + name)
            self.write(part, f"{pointer}/{step}", depth + 1)
        self._add("\n" + "  " * depth + closing)

    def _add(self, text: str) -> None:
        if self.pieces and self.pieces[-1].marked == self._marking:
            self.pieces[-1] = Piece(self.pieces[-1].text + text, self._marking)
        else:
            self.pieces.append(Piece(text, self._marking))


def _step(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _text(value: str) -> str:
    """As JSON; what cannot be seen, or turns the direction of the line, is written as its number."""
    written = json.dumps(value, ensure_ascii=False)
    if written.isprintable():
        return written
    return "".join(c if c.isprintable() or c == _JAPANESE_SPACE else json.dumps(c)[1:-1] for c in written)
