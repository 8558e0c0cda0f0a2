"""What aiokafka by itself cannot read does not end all reading: header names of any bytes, compressed batches, batches that
cannot be unpacked.
"""

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from common.messaging import unpacking
from common.messaging.message import Event, to_headers
from common.messaging.whole_batch import WholeBatch
from tests.brokers import Broker
from tests.common.hop import RATES, looking_at, running_hop, until
from tests.common.records import an_event

_CRC_AT, _COVERED_FROM = 17, 21


def rate(key: str) -> Event:
    return an_event(key=key, body=an_event().body.replace(b"JPY", key.encode()))


async def send_with_a_bad_name(producer: AIOKafkaProducer, *events: Event) -> None:
    """One batch of partition 0, whose first record has a header with a name that is not UTF-8, which no client library sends."""
    batch: Any = producer.create_batch()
    for n, event in enumerate(events):
        extra = [("QQQQ", b"x")] if n == 0 else []
        batch.append(key=event.key.encode(), value=event.body, timestamp=None, headers=[*to_headers(event), *extra])
    batch.close()
    content = bytearray(bytes(batch._build()).replace(b"QQQQ", b"\xff\xfeQQ"))
    content[_CRC_AT:_COVERED_FROM] = struct.pack(">I", calc_crc32c(bytes(content[_COVERED_FROM:])))
    batch._buffer = content
    await (await producer.send_batch(batch, RATES, partition=0))


async def send_changed(producer: AIOKafkaProducer, change: Callable[[bytearray], None], *events: Event) -> bytes:
    """One batch of partition 0, packed and then changed. Returns its bytes from the checksum on: the broker fills in what is
    before."""
    batch: Any = producer.create_batch()
    for event in events:
        batch.append(key=event.key.encode(), value=event.body, timestamp=None, headers=to_headers(event))
    batch.close()
    content = bytearray(bytes(batch._build()))
    change(content)
    batch._buffer = content
    await (await producer.send_batch(batch, RATES, partition=0))
    return bytes(content[_CRC_AT:])


def mend_the_checksum(content: bytearray) -> None:
    content[_CRC_AT:_COVERED_FROM] = struct.pack(">I", calc_crc32c(bytes(content[_COVERED_FROM:])))


def overwrite_the_middle(content: bytearray) -> None:
    content[70:80] = b"\xff" * 10
    mend_the_checksum(content)


def spoil_the_checksum(content: bytearray) -> None:
    content[_CRC_AT] ^= 1


def say_one_offset(content: bytearray) -> None:
    content[23:27] = struct.pack(">i", 0)
    mend_the_checksum(content)


async def test_a_header_name_that_is_not_utf_8_holds_nothing_up(postgres: str, any_kafka: Broker) -> None:
    name = f"names_{any_kafka.kind}"
    async with (
        running_hop(postgres, any_kafka, name),
        looking_at(postgres, name) as seen,
        AIOKafkaProducer(bootstrap_servers=any_kafka.address) as producer,
    ):
        await send_with_a_bad_name(producer, an_event(key="VND", id="no uuid"), rate("USD"))
        event = rate("THB")
        await producer.send_and_wait(RATES, event.body, key=b"THB", partition=0, headers=to_headers(event))

        async def all_there() -> bool:
            return await seen.effects() == [("USD", 1), ("THB", 1)]

        await until(all_there)
        (record,) = await seen.quarantined()
        assert b"\\\\xff\\\\xfeQQ" in record["headers"]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_compressed_batch_is_read_like_any_other(postgres: str, kafka: Broker, codec: str) -> None:
    """A producer may compress as it likes, and an operator may make the broker do it."""
    async with (
        running_hop(postgres, kafka, "hop"),
        looking_at(postgres, "hop") as seen,
        AIOKafkaProducer(bootstrap_servers=kafka.address, compression_type=codec) as producer,
    ):
        event = rate("THB")
        await producer.send_and_wait(RATES, event.body, key=b"THB", partition=0, headers=to_headers(event))

        async def there() -> bool:
            return await seen.effects() == [("THB", 1)]

        await until(there)


@pytest.mark.parametrize(
    ("codec", "change", "why"),
    [
        *((codec, overwrite_the_middle, "") for codec in ("gzip", "snappy", "lz4", "zstd", None)),
        ("gzip", spoil_the_checksum, "its checksum is wrong"),
    ],
)
async def test_a_batch_that_cannot_be_unpacked_becomes_one_record_in_quarantine(
    postgres: str, kafka: Broker, codec: str | None, change: Callable[[bytearray], None], why: str
) -> None:
    """A real Kafka refuses such batches; the embedded broker takes them, and a disk may spoil one later."""
    async with (
        running_hop(postgres, kafka, "hop"),
        looking_at(postgres, "hop") as seen,
        AIOKafkaProducer(bootstrap_servers=kafka.address, compression_type=codec) as producer,
    ):
        bytes_ = await send_changed(producer, change, rate("VND"), rate("USD"), rate("EUR"))
        event = rate("THB")
        await producer.send_and_wait(RATES, event.body, key=b"THB", partition=0, headers=to_headers(event))

        async def there() -> bool:
            return await seen.effects() == [("THB", 1)]

        await until(there)
        (record,) = await seen.quarantined()
        assert record["reason"].startswith("a batch that cannot be unpacked: ")
        assert why in record["reason"]
        assert record["body"].endswith(bytes_)


def test_whatever_bytes_a_batch_is_of_it_is_read_or_becomes_one_record() -> None:
    """Nor does any end the process: aiokafka's quick reader of numbers does not look where the bytes end."""
    unpacking.take_any()
    chance = random.Random(1)
    read = unreadable = 0
    for n in range(4000):
        builder = DefaultRecordBatchBuilder(2, n % 5, 0, -1, -1, -1, 100_000)
        for offset in range(5):
            body = b"v" * chance.randint(0, 300)
            builder.append(offset=offset, timestamp=1, key=b"key", value=body, headers=[("name", b"value")])
        content = bytearray(bytes(builder.build()))
        for _ in range(chance.choice([1, 1, 3, 20])):
            content[chance.randrange(_COVERED_FROM, len(content))] = chance.randrange(256)
        mend_the_checksum(content)
        batch: Any = fetcher.MemoryRecords(bytes(content)).next_batch()
        records = list(batch)
        whole = [record for record in records if isinstance(record.value, WholeBatch)]
        assert not whole or (len(records) == 1 and whole[0].offset == batch.next_offset - 1 and whole[0].value == content)
        read += not whole
        unreadable += bool(whole)
    assert read > 500
    assert unreadable > 500


async def test_a_batch_that_says_fewer_offsets_than_it_has_records_is_read_whole(postgres: str, kafka: Broker) -> None:
    async with (
        running_hop(postgres, kafka, "hop"),
        looking_at(postgres, "hop") as seen,
        AIOKafkaProducer(bootstrap_servers=kafka.address) as producer,
    ):
        await send_changed(producer, say_one_offset, rate("VND"), rate("USD"))
        await send_changed(producer, lambda content: None, rate("THB"))

        async def there() -> bool:
            return await seen.effects() == [("VND", 1), ("USD", 1), ("THB", 1)]

        await until(there)
