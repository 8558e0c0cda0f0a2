"""Reads a batch whose records have headers with names that are not UTF-8, which aiokafka cannot: there is no public way to say
how names are decoded.
"""

from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.util import decode_varint_py


class _Lenient(bytearray):
    """Bytes whose parts become text whatever they are: what is not UTF-8 shows as `\\xff`."""

    def __getitem__(self, where: Any) -> Any:
        part = super().__getitem__(where)
        return _Lenient(part) if isinstance(where, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


def records_of(content: memoryview) -> list[Any]:
    """The records of a batch, by aiokafka's slow reader. Raises whatever it raises for bytes that are no batch."""
    slow = _DefaultRecordBatchPy(content)
    slow._maybe_uncompress()
    slow._buffer = _Lenient(slow._buffer)
    # The quick reader of numbers that it takes by itself does not look where the bytes end: a number that points beyond them
    # would end the process.
    records = [slow._read_msg(decode_varint_py) for _ in range(slow._num_records)]
    if slow._pos != len(slow._buffer):
        raise ValueError("more bytes than records")
    return records
