"""How needs and offerings lie in memory: numbers in columns, side by side, so that a kernel reads thousands in a microsecond.

What every pair looks at first lies in *hot* columns of 64-bit words, one column after the other; the rest of a side lies in one
*cold* record, which is only read if the hot columns leave it a chance. Sets (countries, standards, languages) are bits; what
each bit, number and slot stands for says the field's `Lexicon`.
"""

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Array = npt.NDArray[Any]

BLOCK = 64
"""Offerings that share one set of bounds."""
COUNTRY_WORDS = 2
ID_WORDS = 5
SLOTS = 8
"""Attributes of a field that are compared by number; requirements on others are judged by the plain rules."""
TIERS = 6
ASKS = 8
"""Single comparisons that a need's requirements come to; `in` with three values comes to three a slot."""
KEPT = 24
"""As `domain.shortlist.KEPT`: how many are kept of a need's best."""
NOT_STATED = np.nan


class O(IntEnum):  # noqa: E742 - read as `O.SERVED`: a column of offerings
    """The hot columns of offerings. A free place has no reach, so no need's country finds it."""

    TECHNOLOGIES = 0
    SERVED = 1  # COUNTRY_WORDS words
    REACHED = 3  # COUNTRY_WORDS words: served or of interest
    STANDARDS = 5
    LANGUAGES = 6  # none: not stated
    LEAD_TIME = 7  # days; -1: not stated


OFFERING_COLUMNS = 8

OFFERING = np.dtype(
    [
        ("id", np.uint64, (ID_WORDS,)),
        ("minimum", np.float64),
        ("maximum", np.float64),
        ("values", np.float64, (SLOTS,)),
        ("from_quantity", np.float64, (TIERS,)),  # infinite beyond the last tier
        ("unit_price", np.float64, (TIERS,)),
        ("tiers", np.uint8),  # 0: no price is stated
        ("currency", np.uint8),
        ("incremental", np.bool_),
        ("wide", np.bool_),  # it does not fit in here: the plain rules judge it
    ]
)


class N(IntEnum):
    """The hot columns of needs. A free place has no technology."""

    TECHNOLOGY = 0  # one bit
    COUNTRY = 1  # number of the country's bit
    STANDARDS = 2
    STANDARDS_ASKED = 3  # how many
    LANGUAGES = 4
    DAYS_LEFT = 5
    FLOOR = 6  # the score that an offering needs at least to be kept
    FLAGS = 7  # LOOSE, STALE


NEED_COLUMNS = 8

LOOSE = 1
"""The need does not fit in here: only technology, country and time are looked at before the plain rules judge."""
STALE = 2
"""Exchange rates have changed since its list was searched: scores on the list may be others than a pair would have now."""

NEED = np.dtype(
    [
        ("id", np.uint64, (ID_WORDS,)),
        ("quantity", np.float64),
        ("budget", np.float64),
        ("low", np.float64, (ASKS,)),
        ("high", np.float64, (ASKS,)),
        ("slot", np.uint8, (ASKS,)),
        ("or_next", np.uint8, (ASKS,)),  # the next comparison belongs to the same requirement
        ("mandatory", np.uint8, (ASKS,)),
        ("asks", np.uint8),
        ("requirements", np.uint8),
        ("currency", np.uint8),
        ("any_country", np.bool_),  # its country has no bit: only the plain rules can tell
        ("today", np.int32),  # day number, as `date.toordinal`
        ("deadline", np.int32),
    ]
)

KEPT_LIST = np.dtype(
    [
        ("row", np.int32, (KEPT,)),  # places of offerings, best first
        ("score", np.uint8, (KEPT,)),
        ("length", np.uint8),
        ("has_floor", np.bool_),
        ("floor_score", np.uint8),
        ("floor_id", np.uint64, (ID_WORDS,)),
    ]
)
"""What is kept of a need's best: as `domain.shortlist.Standing`."""

BOUNDS = np.dtype(
    [
        ("technologies", np.uint64),
        ("served", np.uint64, (COUNTRY_WORDS,)),
        ("reached", np.uint64, (COUNTRY_WORDS,)),
        ("standards", np.uint64),
        ("languages", np.uint64),
        ("no_language", np.bool_),  # somebody states none
        ("wide", np.bool_),
        ("no_lead_time", np.bool_),
        ("currency", np.uint8),  # of all that state a price; MIXED
        ("lead_time", np.int64),  # the shortest that is stated
        ("cheapest", np.float64),  # the lowest unit price of any tier
        ("lowest", np.float64, (SLOTS,)),
        ("highest", np.float64, (SLOTS,)),
    ]
)
"""The best that any offering of a block can have of everything."""

MIXED = 255


def words_of(id_: str) -> Words:
    """An id as numbers that compare as the text does; raises ValueError where it is too long for that."""
    raw = id_.encode()
    if len(raw) > 8 * ID_WORDS:
        raise ValueError(f"the id {id_[:60]!r} has more than {8 * ID_WORDS} bytes")
    return np.frombuffer(raw.ljust(8 * ID_WORDS, b"\0"), dtype=">u8").astype(np.uint64)


def id_from(words: Words) -> str:
    """The id that was made into these numbers."""
    return words.astype(">u8").tobytes().rstrip(b"\0").decode()


def grown(array: Array, capacity: int) -> Array:
    """The same array with room for `capacity` in its last dimension; what is new is zero."""
    larger = np.zeros((*array.shape[:-1], capacity), array.dtype)
    larger[..., : array.shape[-1]] = array
    return larger
