"""How needs and offerings lie in memory, so that a kernel reads thousands of them in some microseconds.

Everything that is a set (technologies, countries, standards, languages) lies in *bitmaps*: a row for each name, a bit for each
place, so that one word tells it of 64 places at once. Few numbers that nearly every pair looks at are *hot* columns. The rest
of a side lies in its *cold* record, which is only read if bitmaps and columns leave the pair a chance.

What each name, slot and number stands for says the field's `Lexicon`.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Array = npt.NDArray[Any]

BLOCK = 64
"""Places that share a word of every bitmap."""
ID_WORDS = 5
SLOTS = 14
"""Attributes of a field that are compared by number; requirements on others are judged by the plain rules."""
TIERS = 6
ASKS = 8
"""Single comparisons that a need's requirements come to; `in` with three values comes to three a slot."""
STANDARDS_ASKED = 8
LANGUAGES_SPOKEN = 10
KEPT = 24
"""As `domain.shortlist.KEPT`: how many are kept of a need's best."""
LISTED = 10
"""As `domain.shortlist.LENGTH`: how many of these are told."""
NOT_STATED = np.nan


class S(IntEnum):
    """The numbers that a side keeps about its places."""

    USED = 0  # places from here on were never taken
    FREE = 1  # how many places can be given away again
    ENTERED = 2  # into the index, those that were cleared since included
    MARK = 3  # the transaction
    WRITTEN = 4  # lines in its journal
    REMOVED = 5  # places that it emptied
    USED_BEFORE = 6  # as before it
    FREE_BEFORE = 7


class Map(IntEnum):
    """The bitmaps of offerings: which words of a packed set belong to each."""

    TECHNOLOGIES = 0
    SERVED = 1
    REACHED = 2  # served or of interest
    STANDARDS = 3
    LANGUAGES = 4  # the first stands for "states none"


OFFERING_MAPS = (1, 4, 4, 8, 4)
"""How many words a packed offering has for each bitmap: room for 64 technologies, 256 countries, 512 standards, …"""

OFFERING_COLUMNS = 1
LEAD_TIME = 0
"""The hot column of offerings, in days; -1: not stated."""

OFFERING = np.dtype(
    [
        ("from_quantity", np.float32, (TIERS,)),  # infinite beyond the last tier
        ("unit_price", np.int32, (TIERS,)),  # times ten to the power of `price_power`
        ("minimum", np.float32),
        ("maximum", np.float32),
        ("price_power", np.int8),
        ("currency", np.uint8),
        ("tiers", np.uint8),  # 0: no price is stated
        ("incremental", np.bool_),
        ("wide", np.bool_),  # it does not fit in here: the plain rules judge it
        ("", np.uint8, (3,)),
        ("values", np.float32, (SLOTS,)),
        ("id_begins", np.uint64),  # the first word of the id, which nearly always tells two apart
    ]
)
"""Two lines of the processor's cache, each of which may have to come from far away: price and quantity, then attributes."""

NEED_MAPS = (1, 4, 4)
"""The bitmaps of needs: technology, country, languages."""


class N(IntEnum):
    """The hot columns of needs."""

    DAYS_LEFT = 0
    FLOOR = 1  # the score that an offering needs at least to be kept
    LOOSE = 2  # 1: it does not fit in here: only technology, country and time are looked at before the plain rules judge


NEED_COLUMNS = 3

NEED = np.dtype(
    [
        ("quantity", np.float64),
        ("budget", np.float64),
        ("standard", np.uint16, (STANDARDS_ASKED,)),
        ("standards", np.uint8),  # how many are asked for
        ("asks", np.uint8),
        ("requirements", np.uint8),
        ("or_next", np.uint8),  # a bit for each comparison: the next belongs to the same requirement
        ("mandatory", np.uint8),  # likewise
        ("currency", np.uint8),
        ("technology", np.uint8),
        ("", np.uint8, (1,)),
        ("country", np.uint16),
        ("", np.uint8, (2,)),
        ("today", np.int32),  # day number, as `date.toordinal`
        ("deadline", np.int32),
        ("slot", np.uint8, (ASKS,)),
        ("", np.uint8, (4,)),
        ("low", np.float32, (ASKS,)),
        ("high", np.float32, (ASKS,)),
        ("language", np.uint16, (LANGUAGES_SPOKEN,)),
        ("languages", np.uint8),
        ("", np.uint8, (43,)),
    ]
)
"""Three lines of the processor's cache: what price, quantity and standards are compared with, attributes, languages."""

KEPT_LIST = np.dtype(
    [
        ("row", np.int32, (KEPT,)),  # places of offerings, best first; -1 behind the last
        ("score", np.uint8, (KEPT,)),
        ("length", np.uint8),
        ("has_floor", np.bool_),
        ("floor_score", np.uint8),
        ("floor_id", np.uint64, (ID_WORDS,)),
    ]
)
"""What is kept of a need's best: as `domain.shortlist.Standing`."""

NO_LIST = np.zeros((), KEPT_LIST)
NO_LIST["row"] = -1
"""The list of a need for which nothing is there."""

CURRENCIES = 256
CACHE_LINE = 64


def zeros(length: int, record: "np.dtype[np.void]") -> Array:
    """Records that begin where a line of the processor's cache does."""
    room = np.zeros(length * record.itemsize + CACHE_LINE, np.uint8)
    begin = -room.ctypes.data % CACHE_LINE
    return room[begin : begin + length * record.itemsize].view(record)


def words_of(id_: str) -> Words:
    """An id as numbers that compare as the text does; raises ValueError where it is too long for that."""
    raw = id_.encode()
    if len(raw) > 8 * ID_WORDS:
        raise ValueError(f"the id {id_[:60]!r} has more than {8 * ID_WORDS} bytes")
    return np.frombuffer(raw.ljust(8 * ID_WORDS, b"\0"), dtype=">u8").astype(np.uint64)


def ids_of(ids: Sequence[str]) -> Words:
    """The same for many, a row of words each."""
    parts = [id_.encode().ljust(8 * ID_WORDS, b"\0") for id_ in ids]
    if any(len(part) > 8 * ID_WORDS for part in parts):
        for id_ in ids:
            words_of(id_)
    return np.frombuffer(b"".join(parts), dtype=">u8").astype(np.uint64).reshape(-1, ID_WORDS)


def id_from(words: Words) -> str:
    """The id that was made into these numbers."""
    return words.astype(">u8").tobytes().rstrip(b"\0").decode()


def ids_from(words: Words) -> list[str]:
    """The same for many."""
    raw = words.astype(">u8").tobytes()
    return [raw[begin : begin + 8 * ID_WORDS].rstrip(b"\0").decode() for begin in range(0, len(raw), 8 * ID_WORDS)]


def grown(array: Array, capacity: int) -> Array:
    """The same array with room for `capacity` in its last dimension; what is new is zero."""
    if array.ndim == 1 and array.dtype.names:
        larger = zeros(capacity, array.dtype)
    else:
        larger = np.zeros((*array.shape[:-1], capacity), array.dtype)
    larger[..., : array.shape[-1]] = array
    return larger
