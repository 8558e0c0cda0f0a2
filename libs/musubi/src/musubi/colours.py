"""Colours for the terminal: only where one reads, and none at all where `NO_COLOR` is set."""

import os
import sys
from typing import TextIO

from rich.console import Console


def console(stream: TextIO | None = None) -> Console:
    """Prints whole lines as they are, however wide; `color_system` is None where nothing may be coloured."""
    return Console(
        file=stream or sys.stdout,
        color_system=None if os.environ.get("NO_COLOR") else "auto",  # else rich leaves bold and dim
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )
