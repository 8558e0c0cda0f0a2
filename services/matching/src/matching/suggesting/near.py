"""What it means to be near in meaning."""

from typing import NamedTuple


class Near(NamedTuple):
    """How near a technology is to a text, on the model's own scale (only differences within one text mean something), and its
    nearest name."""

    closeness: float
    name: str
