"""Setting plain text so that it reads well in any mail program: lines of 72 columns, a Japanese character counting two."""

import re
from functools import lru_cache
from unicodedata import east_asian_width

from common.formats import NO_BREAK, Formats

WIDTH = 72
_LABEL = {"en": 12, "ja": 10}
_NEVER_FIRST = "、。，．・：；！？）」』】〕％ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.:;!?)%"
"""Characters that Japanese typesetting never puts at the beginning of a line."""
_PIECE = re.compile(r"[\x21-\x7e\u00a0-\u02ff]+|\s|.", re.DOTALL)
"""A word of a European script, one space, or one character of any other script."""


@lru_cache(maxsize=8192)  # the same words and characters come in every mail
def columns(text: str) -> int:
    """How wide a text stands in a fixed-width font."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def wrapped(text: str, f: Formats, *, indent: str = "", first: str | None = None) -> str:
    """Break lines at `WIDTH`; the first line starts with `first` (else `indent`), the others with `indent`.

    Words of European scripts and links are never cut; a longer one stands alone on its line."""
    line = indent if first is None else first
    width, lines, empty = columns(line), [], True
    for piece in _PIECE.findall(" ".join(text.split(" ")) if f.language == "ja" else text):
        piece = " " if piece.isspace() and piece != NO_BREAK else piece
        if piece == " " and empty:
            continue
        if not empty and width + columns(piece) > WIDTH and piece not in _NEVER_FIRST:
            lines.append(line.rstrip(" "))
            line, width, empty = indent, columns(indent), True
            if piece == " ":
                continue
        line, width, empty = line + piece, width + columns(piece), False
    return "\n".join([*lines, line.rstrip(" ")])


def bullet(text: str, f: Formats) -> str:
    """One item of a list."""
    return wrapped(text, f, first=f.t(en="  - ", ja="  ・"), indent="    ")


def labelled(label: str, value: str, f: Formats) -> str:
    """`  Price       USD 180 per lamp`, with the values of several rows one below the other."""
    wide = _LABEL[f.language]
    return wrapped(value, f, first="  " + label + " " * max(wide - columns(label), 1), indent=" " * (wide + 2))


def plain(text: str) -> str:
    """Without no-break spaces: they have kept figure and unit together while lines were broken, and mail needs them no more."""
    return text.replace(NO_BREAK, " ")
