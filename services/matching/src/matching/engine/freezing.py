"""Fields as bytes, and back: a process that starts need not pack and search everything anew.

A field that was frozen and thawed finds the same, now and after any change: its places, bits and numbers are those of before.
What was frozen under another `form` is of no use.
"""

import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from common import vocabulary
from matching.domain.facets import WEIGHTS
from matching.domain.sides import as_json, need_from, offering_from
from matching.engine.field import Field
from matching.engine.layout import KEPT_LIST, NEED, NEED_MAPS, OFFERING, OFFERING_MAPS, SLOTS, Array
from matching.engine.market import Market

_EDITION = 1
"""Goes up when something changes that `form` does not see, such as what a column means."""
CHUNK = 4 * 2**20
"""Bytes of a piece before it is compressed."""
_FASTEST = 1


class Frozen(NamedTuple):
    """Everything of some fields that share a market. `about` is JSON; arrays belong to nobody else."""

    about: Mapping[str, Any]
    arrays: Mapping[str, Array]


def form(group: str) -> str:
    """What has to be the same where a group is thawed: how it lies in memory, the points, its technologies."""
    codes = [code for code, one in vocabulary.technologies().items() if one.group == group]
    layouts = [str(record.descr) for record in (OFFERING, NEED, KEPT_LIST)]
    parts = [_EDITION, WEIGHTS, SLOTS, OFFERING_MAPS, NEED_MAPS, *layouts, *codes]
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def freeze(fields: Mapping[str, Field], market: Market) -> Frozen:
    """A copy of the fields of a group, by unit, as they were kept last: nothing may be changed since `begin`."""
    about: dict[str, Any] = {"currencies": market.currencies.known, "fields": {}}
    arrays: dict[str, Array] = {}
    for number, (unit, field) in enumerate(fields.items()):
        about["fields"][unit] = {
            "lexicon": field.lexicon.frozen(),
            "whole offerings": {place: as_json(one) for place, one in field.offerings.whole.items()},
            "whole needs": {place: as_json(one) for place, one in field.needs.whole.items()},
        }
        arrays |= {f"{number} offerings {name}": array for name, array in field.offerings.frozen().items()}
        arrays |= {f"{number} needs {name}": array for name, array in field.needs.frozen().items()}
        arrays[f"{number} lists"] = field.lists.copy()
    return Frozen(about, arrays)


def thaw(group: str, frozen: Frozen, market: Market) -> dict[str, Field]:
    """The fields of a group, by unit. The market gets the currencies that they know; nothing else may have used it."""
    market.know(frozen.about["currencies"])
    fields: dict[str, Field] = {}
    for number, (unit, about) in enumerate(frozen.about["fields"].items()):
        field = fields[unit] = Field(group, unit, market)
        field.lexicon.thaw(about["lexicon"])
        field.offerings.thaw(_named(frozen.arrays, f"{number} offerings "), _whole(about["whole offerings"], offering_from))
        field.needs.thaw(_named(frozen.arrays, f"{number} needs "), _whole(about["whole needs"], need_from))
        field.have_names()
        field.take_lists(frozen.arrays[f"{number} lists"])
    return fields


def to_chunks(frozen: Frozen) -> Iterator[bytes]:
    """Compressed pieces, in order."""
    about = np.frombuffer(json.dumps(frozen.about).encode(), np.uint8)
    plain = {name: array.view(np.uint8) if array.dtype.names else array for name, array in frozen.arrays.items()}
    whole = io.BytesIO()
    np.savez(whole, allow_pickle=False, about=about, **plain)
    data = whole.getbuffer()
    for begin in range(0, len(data), CHUNK):
        yield zlib.compress(data[begin : begin + CHUNK], _FASTEST)


def from_chunks(chunks: Iterable[bytes]) -> Frozen:
    """Raises ValueError where they are not all there, or damaged."""
    try:
        with np.load(io.BytesIO(b"".join(map(zlib.decompress, chunks))), allow_pickle=False) as read:
            arrays = {name: read[name] for name in read.files}
            return Frozen(json.loads(arrays.pop("about").tobytes()), arrays)
    except Exception as error:
        raise ValueError(f"not frozen fields: {error!r}") from error


def _named(arrays: Mapping[str, Array], begin: str) -> dict[str, Array]:
    return {name.removeprefix(begin): array for name, array in arrays.items() if name.startswith(begin)}


def _whole(kept: Mapping[str, str], read: Any) -> dict[int, Any]:
    return {int(place): read(text) for place, text in kept.items()}
