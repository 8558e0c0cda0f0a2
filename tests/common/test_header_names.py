"""Records that aiokafka by itself cannot read do not end all reading: header names of any bytes, compressed batches."""

import struct
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from common.message import Event, to_headers
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
