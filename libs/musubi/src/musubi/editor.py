"""Text that an operator edits: from a file, from standard input, or in the user's own editor."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from common.operating.raw_records import RecordText
from musubi.advice import CannotGoOn

_PARTS = re.compile(r"^--- (key|headers|body)\n", re.MULTILINE)


def read(file: str) -> str:
    """The whole text of a file, or of standard input where it is "-"; raises `CannotGoOn`."""
    try:
        return (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode()
    except OSError as error:
        raise CannotGoOn(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise CannotGoOn(f"{file} is not UTF-8 from byte {error.start + 1} on; save it as UTF-8.") from None


def opened(text: str, suffix: str) -> str:
    """What the user made of this text in `$VISUAL` or `$EDITOR`; raises `CannotGoOn` where there is none or it fails."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not command:
        raise CannotGoOn("No editor is set. Set EDITOR, or give the new text by --file FILE (`-` is standard input).")
    with tempfile.TemporaryDirectory(prefix="musubi-") as folder:
        path = Path(folder) / f"edit{suffix}"
        path.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(command), str(path)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise CannotGoOn(f"The editor {command} failed ({error}). Nothing was changed.") from None
        return read(str(path))


def kept(text: str) -> Path:
    """Put a text that was refused where it can be mended; readable by the user only."""
    descriptor, name = tempfile.mkstemp(prefix="musubi-edited-", suffix=".txt", text=True)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)


def as_one(parts: RecordText) -> str:
    """Key, headers and body of a record in one text."""
    return f"--- key\n{parts.key}\n--- headers\n{parts.headers}\n--- body\n{parts.body}"


def parts_of(text: str) -> RecordText:
    """The way back; raises `CannotGoOn` where one of the three is missing."""
    pieces = _PARTS.split(text, maxsplit=3)
    found = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    if found.keys() != {"key", "headers", "body"}:
        raise CannotGoOn("A record's text has three parts that begin with the lines `--- key`, `--- headers` and `--- body`.")
    return RecordText(found["key"].rstrip("\n"), found["headers"], found["body"].removesuffix("\n"))
