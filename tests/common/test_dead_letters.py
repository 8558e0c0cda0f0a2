"""The feed of what could not be handled: what it says, with which headers, and that it stays small and apart by service."""

import asyncio
import json
import struct
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from common.contracts.messaging import RecordDeadLettered
from common.contracts.registry import TOPICS
from common.exact_json import dump, load
from common.messaging import dead_letters, kafka_log, outbox
from common.messaging.dead_letters import Origin
from common.messaging.gate import Parked, Refusal
from common.messaging.message import MAX_BODY, Broken, Event, to_headers
from common.transaction import Transaction
from tests.brokers import Broker
from tests.common.hop import RATES, Source, looking_at, rate, running_hop, until
from tests.common.records import HandMade, a_record, an_event

NOW = datetime(2026, 11, 24, 3, 5, tzinfo=UTC)
FEED = RecordDeadLettered.topic
REFUSED = Refusal("/per_usd", "/per_usd: 12 yen is no number")


def announced(held: Parked | Broken, *, group: str = "matching", **more: Any) -> tuple[Event, RecordDeadLettered]:
    """What goes to the outbox for this."""
    tx = Transaction(None, NOW, source=f"/services/{group}")
    dead_letters.announce(tx, group, held, **more)
    (event,) = tx.emitted
    return event, load(RecordDeadLettered, event.body)


def test_an_event_that_failed_is_told_with_its_place_and_reason() -> None:
    event, letter = announced(Parked(an_event(), "poison", REFUSED), origin=Origin(3, 17, 1_795_000_000_123))
    assert (letter.group, letter.cause, letter.reason, letter.pointer) == ("matching", "poison", REFUSED.error, "/per_usd")
    assert (letter.original_topic, letter.sequence, letter.event_type) == (RATES, 1, "exchange-rate.published.v1")
    assert letter.key and letter.key.value == "JPY"
    assert letter.body and json.loads(letter.body.value)["currency"] == "JPY"
    assert (event.topic, event.key, event.causation_id) == (FEED, f"matching:{RATES}:JPY", an_event().id)


def test_the_headers_are_those_of_spring_kafka_in_its_encodings() -> None:
    event, _ = announced(Parked(an_event(), "poison", REFUSED), origin=Origin(3, 17, 1_795_000_000_123))
    headers = dict(dead_letters.headers(event))
    assert headers["kafka_dlt-original-topic"] == RATES.encode()
    assert headers["kafka_dlt-original-consumer-group"] == b"matching"
    assert struct.unpack(">i", headers["kafka_dlt-original-partition"]) == (3,)
    assert struct.unpack(">q", headers["kafka_dlt-original-offset"]) == (17,)
    assert struct.unpack(">q", headers["kafka_dlt-original-timestamp"]) == (1_795_000_000_123,)
    assert headers["kafka_dlt-exception-fqcn"] == b"BrokenContract"
    assert b"/per_usd" in headers["kafka_dlt-exception-message"]


def test_an_event_given_up_says_so_and_names_the_kind_of_error() -> None:
    event, letter = announced(Parked(an_event(), "poison", Refusal("", "KeyError('JPY')")), cause="dead")
    headers = dict(dead_letters.headers(event))
    assert letter.cause == "dead"
    assert headers["kafka_dlt-exception-fqcn"] == b"KeyError"
    assert "kafka_dlt-original-offset" not in headers


def test_no_header_repeats_what_a_record_says() -> None:
    secret = "taro@city.example"
    broken = Broken(HandMade(RATES, secret.encode(), secret.encode(), ((secret, secret.encode()),)), f"unknown type {secret}")
    for held in (Parked(an_event(), "poison", Refusal("/contacts/0/email", f"{secret} is no address")), broken):
        event, letter = announced(held)
        assert secret in letter.reason
        assert secret not in event.key
        assert all(secret.encode() not in value for _, value in [*to_headers(event), *dead_letters.headers(event)])


def test_a_record_that_is_no_event_is_told_whatever_it_holds() -> None:
    event, letter = announced(Broken(HandMade(RATES, b"\xff\x00", b"\x00\xfe", (), 2, 5), "not JSON: \ud800"))
    assert letter.cause == "quarantined"
    assert letter.key and (letter.key.encoding, letter.key.value) == ("base64", "/wA=")
    assert letter.body and (letter.body.encoding, letter.body.value) == ("base64", "AP4=")
    assert (event.key, letter.sequence) == (f"matching:{RATES}/2", None)
    _, empty = announced(Broken(HandMade(RATES, None, None, ()), "no key"))
    assert (empty.key, empty.body) == (None, None)


@pytest.mark.parametrize("body", [b"\x01" * 900_000, "“”".encode() * 150_000, b"\xff" * 1_000_000, b'"' * 900_000])
def test_what_is_told_of_the_largest_record_is_small_enough_to_be_sent(body: bytes) -> None:
    event, letter = announced(Broken(HandMade(RATES, body, body, ()), "not JSON: " + "\x01" * 10_000))
    assert len(event.body) < MAX_BODY
    assert letter.body and letter.body.cut and letter.body.size == len(body)


def test_two_services_never_number_the_same_stream_and_a_long_key_is_shortened() -> None:
    keys = [announced(Parked(an_event(key=key), "poison", REFUSED), group=group)[0].key
            for group in ("matching", "notify") for key in ("k" * 254 + "1", "k" * 254 + "2", "JPY")]  # fmt: skip
    assert len(set(keys)) == 6
    assert all(len(key) <= 255 for key in keys)


def test_an_event_whose_body_cannot_be_read_stops_no_relay() -> None:
    event, _ = announced(Parked(an_event(), "poison", REFUSED))
    assert dead_letters.headers(event._replace(body=b"{")) == []
    assert dead_letters.headers(an_event()) == []


def test_any_service_produces_the_feed_and_no_service_reads_it() -> None:
    assert TOPICS[FEED].is_produced_by("needs") and TOPICS[FEED].is_produced_by("notify")
    assert TOPICS[FEED].readers == ()


# on a broker ----------------------------------------------------------------------------------------------------------


async def feed(broker: Broker) -> list[ConsumerRecord]:
    """All records of the feed."""
    async with kafka_log.opened(broker.address) as log:
        return [record async for records in log.read(await log.whole([FEED])) for record in records]


async def write(broker: Broker, records: Sequence[HandMade]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    await producer.start()
    try:
        for record in records:
            headers = [(name, value) for name, value in record.headers if value is not None]
            await producer.send_and_wait(record.topic, record.value, record.key, record.partition, headers=headers)
    finally:
        await producer.stop()


async def in_the_feed(broker: Broker, amount: int) -> list[ConsumerRecord]:
    """Wait until the feed has so many records."""
    found: list[ConsumerRecord] = []

    async def there() -> bool:
        found[:] = await feed(broker)
        return len(found) >= amount

    await until(there)
    return found


async def test_poison_and_what_is_no_event_appear_in_the_feed_with_the_headers_of_each_service(
    postgres: str, any_kafka: Broker
) -> None:
    one, two = (f"hop_{uuid.uuid4().hex[:8]}" for _ in range(2))
    body = {"currency": "JPY", "per_usd": "1.5", "as_of": "2026-11-01", "source": "poison"}
    poison = a_record(an_event(id=str(uuid.uuid4()), body=json.dumps(body).encode()))
    no_event = HandMade(RATES, b"EUR", b"{", (), partition=1)
    async with running_hop(postgres, any_kafka, one), running_hop(postgres, any_kafka, two):
        await write(any_kafka, [poison, no_event])
        records = await in_the_feed(any_kafka, 4)
        await asyncio.sleep(0)
    assert len(records) == 4
    for group in (one, two):
        mine = [record for record in records if (record.key or b"").startswith(f"{group}:".encode())]
        assert {record.key for record in mine} == {f"{group}:{RATES}:JPY".encode(), f"{group}:{RATES}/1".encode()}
        for record in mine:
            headers = dict(record.headers)
            assert headers["kafka_dlt-original-topic"] == RATES.encode()
            assert headers["kafka_dlt-original-consumer-group"] == group.encode()
            assert struct.unpack(">i", headers["kafka_dlt-original-partition"]) == (int(b"/1" in (record.key or b"")),)
            assert struct.unpack(">q", headers["kafka_dlt-original-offset"]) == (0,)
            assert struct.unpack(">q", headers["kafka_dlt-original-timestamp"])[0] > 1_700_000_000_000
            assert headers["ce_sequence"] == b"1"
        causes = {load(RecordDeadLettered, record.value or b"").cause for record in mine}
        assert causes == {"poison", "quarantined"}


async def test_what_is_sent_again_has_the_same_headers(postgres: str, kafka: Broker) -> None:
    async with Source(postgres, kafka).running() as source, looking_at(postgres, "source") as seen:
        async with source.database.transaction() as tx:
            dead_letters.announce(tx, "source", Parked(an_event(), "poison", REFUSED), origin=Origin(3, 17, 5))
            tx.emit(rate("JPY"))
        (first,) = await in_the_feed(kafka, 1)
        await seen.connection.execute("insert into unsent (batch) select distinct batch from outbox on conflict do nothing")
        await source.emit(rate("EUR"))
        _, again = await in_the_feed(kafka, 2)
        stored = await outbox.load(seen.connection, [1])
    assert again.headers == first.headers and again.value == first.value
    assert stored[1][0].body == first.value
    assert len(dump(load(RecordDeadLettered, first.value or b""))) == len(first.value or b"")
