"""Lays out lists for the terminal: columns as wide as they need, Japanese counted as wide as it is shown. Pure."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

WIDEST = 60


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, indent: str = "  ", widest: int = WIDEST) -> list[str]:
    """Lines: the headings, then the rows; what is longer than `widest` is cut, but for the last column."""
    cells = [list(headings), *([_one_line(cell) for cell in row] for row in rows)]
    widths = [min(widest, max(cell_len(row[n]) for row in cells)) for n in range(len(headings))]
    return [indent + "  ".join([*(_fitted(cell, width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]).rstrip()
            for row in cells]  # fmt: skip


def _fitted(cell: str, width: int) -> str:
    return set_cell_size(cell if cell_len(cell) <= width else set_cell_size(cell, width - 1) + "…", width)


def _one_line(cell: object) -> str:
    return printable(" ".join(str("" if cell is None else cell).split()))


def printable(text: str, *, keep: str = "") -> str:
    """Text from elsewhere without what would steer the terminal."""
    return "".join(character if character.isprintable() or character in keep else "�" for character in text)
