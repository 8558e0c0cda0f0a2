"""Lets aiokafka read records whose header names are not UTF-8, which brokers take from any producer.

aiokafka decodes the names itself and raises: the reading of all topics ends, and ends again at each new start, so that one such
record would hold up a whole group. There is no public way to say how they are decoded.
"""

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_AT, _OVERHEAD = 8, 12
"""A batch begins with its offset (8 bytes) and the length of what follows (4 bytes)."""


class _Lenient(bytearray):
    """Bytes whose parts become text whatever they are: what is not UTF-8 shows as `\\xff`."""

    def __getitem__(self, where: Any) -> Any:
        part = super().__getitem__(where)
        return _Lenient(part) if isinstance(where, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


class _Batch:
    """A batch as aiokafka reads it, quickly; where a name cannot be read, once more by its slow reader."""

    def __init__(self, batch: Any, content: memoryview) -> None:
        self._batch = batch
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            slow = _DefaultRecordBatchPy(self._content)
            slow._maybe_uncompress()
            slow._buffer = _Lenient(slow._buffer)
            return iter(list(slow))


class _Records:
    """What a broker answered, batch by batch."""

    def __init__(self, content: bytes) -> None:
        self._records = MemoryRecords(content)
        self._content = memoryview(content)
        self._begin = 0
        self.has_next = self._records.has_next
        self.size_in_bytes = self._records.size_in_bytes

    def next_batch(self) -> _Batch | None:
        batch = self._records.next_batch()
        if batch is None:
            return None
        (length,) = struct.unpack_from(">i", self._content, self._begin + _LENGTH_AT)
        content = self._content[self._begin : self._begin + _OVERHEAD + length]
        self._begin += len(content)
        return _Batch(batch, content)


def take_any() -> None:
    """From now on, in this process, whatever a header is named."""
    fetcher.MemoryRecords = _Records  # pyright: ignore[reportAttributeAccessIssue, reportPrivateImportUsage]
