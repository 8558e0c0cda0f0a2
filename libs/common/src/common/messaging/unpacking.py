"""Lets aiokafka read whatever brokers take from any producer: records whose header names are not UTF-8, batches that cannot be
unpacked.

aiokafka raises for both: the reading of all topics ends, and ends again at each new start, so that one such batch would hold up a
whole group. There is no public way to say what shall become of it.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords

from common.messaging import header_names
from common.messaging.whole_batch import WholeBatch

_LENGTH_AT, _OVERHEAD, _MAGIC_AT, _COUNT_AT = 8, 12, 16, 57
"""A batch begins with its offset (8 bytes) and the length of what follows (4 bytes). A later byte is the version of its format;
since version 2 its records are counted, and numbered from that offset on."""


class _OneRecord(NamedTuple):
    """A batch that could not be unpacked, in place of its records."""

    offset: int
    value: WholeBatch
    timestamp: int
    timestamp_type: int | None = None
    key: None = None
    checksum: None = None
    headers: tuple[()] = ()


class _Batch:
    """A batch as aiokafka reads it, quickly; where a name cannot be read, once more by its slow reader; where that is in vain,
    one record for the whole batch. That stands at the batch's last offset, so that it is after all that was read of it before."""

    def __init__(self, batch: Any, content: memoryview) -> None:
        self._batch = batch
        self._content = content
        (self._first,) = struct.unpack_from(">q", content)
        self._is_numbered = content[_MAGIC_AT] >= 2
        (count,) = struct.unpack_from(">i", content, _COUNT_AT) if self._is_numbered else (1,)
        self.next_offset = max(batch.next_offset, self._first + max(count, 1))  # what it says itself may be too low

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def validate_crc(self) -> bool:
        """A wrong checksum, too, is told record by record: to fetch it again and again helps nobody."""
        return True

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(self._unpacked())
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  anybody may have packed it, and some unpackers raise no mere Exception
            whole = WholeBatch.of(self._content, self._first, f"{type(error).__name__}: {error}"[:200])
            return iter([_OneRecord(self.next_offset - 1, whole, getattr(self._batch, "max_timestamp", 0))])

    def _unpacked(self) -> Sequence[Any]:
        if not self._batch.validate_crc():
            raise ValueError("its checksum is wrong")
        try:
            records = list(self._batch)
        except UnicodeDecodeError:
            records = header_names.records_of(self._content)
        before = self._first - 1 if self._is_numbered else -1
        for record in records:  # one too low would be left out without a word, one too high would lead past what follows
            if not before < record.offset < self.next_offset:
                raise ValueError("its records are not numbered in order")
            before = record.offset
        return records


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
    """From now on, in this process."""
    fetcher.MemoryRecords = _Records  # pyright: ignore[reportAttributeAccessIssue, reportPrivateImportUsage]
