"""A batch of records that cannot be unpacked, so that all of it goes into quarantine as one record."""

from typing import Self

from common.messaging.message import Record

CANNOT_BE_UNPACKED = "a batch that cannot be unpacked"


class WholeBatch(bytes):
    """The batch's bytes as the broker gave them, in place of a record's value. A type of its own: no producer can send one."""

    first: int
    """The batch's first offset; the record stands at its last one."""
    reason: str

    @classmethod
    def of(cls, content: bytes | memoryview, first: int, error: str) -> Self:
        """`error` is what the unpacking said."""
        whole = cls(content)
        whole.first = first
        whole.reason = f"{CANNOT_BE_UNPACKED}: {error}"
        return whole


def first_offset(record: Record) -> int:
    """The first offset that this record stands for: its own, except for a batch's."""
    return record.value.first if isinstance(record.value, WholeBatch) else record.offset
