"""The promise on a broker: every event takes effect once, in order per key, whatever else arrives. Embedded and real alike."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from importlib.resources import files

import pytest
from aiokafka import AIOKafkaProducer

from common import migrate
from common.contracts.registry import TOPICS
from common.messaging.consumer import HANDLER_SECONDS, seconds_for
from common.messaging.gate import Halving
from common.messaging.publisher import Publisher
from common.postgres import Database
from common.service import Service
from common.telemetry import Telemetry
from tests.brokers import Broker
from tests.common.hop import (
    HANDLERS,
    MIGRATIONS,
    NOTIFICATIONS,
    RATES,
    Seen,
    Source,
    looking_at,
    notification,
    rate,
    running_hop,
    settings,
    until,
)
from tests.common.records import HandMade, a_record, an_event


@pytest.fixture
def name() -> str:
    """A service name of its own for each test: it is schema and consumer group."""
    return f"hop_{uuid.uuid4().hex[:8]}"


async def write(broker: Broker, records: Sequence[HandMade], *, partition: int = 0) -> None:
    """Put records into a topic as they are, all in one partition."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    await producer.start()
    try:
        for record in records:
            headers = [(name, value) for name, value in record.headers]
            await producer.send_and_wait(record.topic, record.value, record.key, partition, headers=headers)  # pyright: ignore
    finally:
        await producer.stop()


def a_rate(currency: str, sequence: int, *, source: str = "s", **changes: str) -> HandMade:
    """The record of a rate, with an id of its own."""
    body = {"currency": currency, "per_usd": "1.5", "as_of": "2026-11-01", "source": source} | changes
    return a_record(an_event(key=currency, sequence=sequence, id=str(uuid.uuid4()), body=json.dumps(body).encode()))


def a_notification(id_: str, sequence: int, *, rule: str = "r") -> HandMade:
    """The record of an event of the dense topic."""
    event = an_event(topic=NOTIFICATIONS, key=id_, sequence=sequence, id=str(uuid.uuid4()), type="notification.issued.v1")
    return a_record(event._replace(body=notification(id_, rule=rule).model_dump_json().encode()))


async def reached(seen: Seen, key: str, sequence: int, *, topic: str = RATES) -> None:
    """Wait until an event took effect."""

    async def there() -> bool:
        return (key, sequence) in await seen.effects(topic)

    await until(there)


async def test_what_a_source_announces_takes_effect_once_and_in_order(postgres: str, any_kafka: Broker, name: str) -> None:
    async with (
        Source(postgres, any_kafka).running() as source,
        running_hop(postgres, any_kafka, name),
        looking_at(postgres, name) as seen,
    ):
        for _ in range(20):
            await source.emit(*(rate(currency) for currency in ("JPY", "VND", "EUR")))
        for currency in ("JPY", "VND", "EUR"):
            await reached(seen, currency, 20)
        effects = await seen.effects()
        for currency in ("JPY", "VND", "EUR"):
            assert [sequence for key, sequence in effects if key == currency] == list(range(1, 21))
        for number in range(1, 21):  # what the hop announced came back to it
            await reached(seen, f"JPY-{number}", 1, topic=NOTIFICATIONS)


async def test_the_same_event_twice_takes_effect_once(postgres: str, any_kafka: Broker, name: str) -> None:
    async with running_hop(postgres, any_kafka, name) as service, looking_at(postgres, name) as seen:
        await write(any_kafka, [a_rate("JPY", 1), a_rate("JPY", 1), a_rate("JPY", 2), a_rate("JPY", 1), a_rate("JPY", 2)])
        await write(any_kafka, [a_rate("JPY", 1), a_rate("EUR", 1)])
        await reached(seen, "EUR", 1)
        assert [effect for effect in await seen.effects() if effect[0] == "JPY"] == [("JPY", 1), ("JPY", 2)]
        outcome = {"topic": RATES, "outcome": "repeat"}
        await until(lambda: (service.telemetry.registry.get_sample_value("musubi_events_total", outcome) or 0) >= 4)


async def test_poison_waits_with_its_key_and_every_other_key_goes_on(postgres: str, any_kafka: Broker, name: str) -> None:
    records = [a_notification("a", 1), a_notification("bad", 1, rule="poison"), a_notification("bad", 2), a_notification("b", 1)]
    async with running_hop(postgres, any_kafka, name), looking_at(postgres, name) as seen:
        await write(any_kafka, records)
        await write(any_kafka, [a_notification("bad", 3), a_notification("c", 1)])
        await reached(seen, "c", 1, topic=NOTIFICATIONS)
        assert sorted(await seen.effects(NOTIFICATIONS)) == [("a", 1), ("b", 1), ("c", 1)]
        waiting = [(row["key"], row["sequence"], row["reason"]) for row in await seen.parked()]
        assert waiting == [("bad", 1, "poison"), ("bad", 2, "behind"), ("bad", 3, "behind")]
        [head, *_] = await seen.parked()
        assert "poison" in head["error"]
        assert head["body"] == records[1].value


async def test_a_missing_event_of_a_dense_topic_holds_its_key_until_it_arrives(
    postgres: str, any_kafka: Broker, name: str
) -> None:
    async with running_hop(postgres, any_kafka, name), looking_at(postgres, name) as seen:
        await write(any_kafka, [a_notification("a", 1), a_notification("a", 3), a_notification("b", 1)])
        await reached(seen, "b", 1, topic=NOTIFICATIONS)
        assert [(row["sequence"], row["reason"]) for row in await seen.parked()] == [(3, "gap")]
        await write(any_kafka, [a_notification("a", 2)])
        await reached(seen, "a", 2, topic=NOTIFICATIONS)


async def test_when_poison_is_cured_its_key_goes_on_by_itself_and_in_order(postgres: str, any_kafka: Broker, name: str) -> None:
    async with running_hop(postgres, any_kafka, name), looking_at(postgres, name) as seen:
        await write(any_kafka, [a_notification("a", 1, rule="poison"), a_notification("a", 2), a_notification("a", 3)])
        await until(seen.parked)
        await seen.cure("poison")
        await reached(seen, "a", 3, topic=NOTIFICATIONS)
        assert await seen.effects(NOTIFICATIONS) == [("a", 1), ("a", 2), ("a", 3)]
        assert not await seen.parked()


async def test_what_the_broker_lost_is_asked_for_and_comes_from_its_source_again(
    postgres: str, any_kafka: Broker, name: str
) -> None:
    service = Service(name, settings(postgres, any_kafka), migrations=MIGRATIONS, telemetry=Telemetry(name))
    mine = TOPICS[NOTIFICATIONS]._replace(producer=name, readers=(name,))
    service.on_events(HANDLERS, topics=TOPICS | {NOTIFICATIONS: mine})
    await migrate.apply(postgres, name, {"messaging": files("common") / "migrations" / "messaging"})
    async with looking_at(postgres, name) as seen:
        database = Database(postgres, name)  # tells no relay
        await database.open()
        for _ in range(5):
            async with database.transaction() as tx:
                tx.emit(notification("a"))
        await database.close()
        await seen.connection.execute("delete from unsent where batch in (2, 3)")  # as if they had been sent, and lost
        async with service.lifespan():
            await reached(seen, "a", 5, topic=NOTIFICATIONS)
        assert await seen.effects(NOTIFICATIONS) == [("a", number) for number in range(1, 6)]
        assert not await seen.parked()


async def test_data_that_breaks_its_contract_is_parked_with_item_field_and_reason(
    postgres: str, any_kafka: Broker, name: str
) -> None:
    bad = a_rate("VND", 1, per_usd="-7")
    async with running_hop(postgres, any_kafka, name), looking_at(postgres, name) as seen:
        await write(any_kafka, [a_rate("JPY", 1), bad, a_rate("EUR", 1)])
        await reached(seen, "EUR", 1)
        [row] = await seen.parked()
        assert (row["topic"], row["key"], row["sequence"], row["pointer"]) == (RATES, "VND", 1, "/per_usd")
        assert "greater than 0" in row["error"]
        assert row["body"] == bad.value
        assert sorted(await seen.effects()) == [("EUR", 1), ("JPY", 1)]


async def test_in_a_state_topic_a_newer_version_heals_its_key_and_the_bad_one_is_kept(
    postgres: str, any_kafka: Broker, name: str
) -> None:
    async with running_hop(postgres, any_kafka, name), looking_at(postgres, name) as seen:
        await write(any_kafka, [a_rate("VND", 1, per_usd="-7")])
        await until(seen.parked)
        await write(any_kafka, [a_rate("VND", 2)])
        await reached(seen, "VND", 2)
        [row] = await seen.parked()
        assert (row["sequence"], row["reason"], row["pointer"]) == (1, "superseded", "/per_usd")
        await write(any_kafka, [a_rate("VND", 1, per_usd="-7"), a_rate("VND", 3)])  # and it comes to nothing if it comes again
        await reached(seen, "VND", 3)
        assert await seen.effects() == [("VND", 2), ("VND", 3)]


async def test_records_that_are_no_events_are_kept_byte_for_byte_and_the_partition_goes_on(
    postgres: str, any_kafka: Broker, name: str
) -> None:
    good = a_notification("n", 1)
    junk = [
        HandMade(NOTIFICATIONS, b"k", b"hello", ()),
        HandMade(NOTIFICATIONS, None, b"\xff\xfe", (("ce_id", b"\xff"), ("x", b"\x00"))),
        good._replace(value=b"{"),
        good._replace(value=b'{"id": NaN}'),
        good._replace(value=b'"\xff"'),
        good._replace(value=b"[" * 50_000),
        good._replace(value=None),
        good._replace(key=b"a\x00b"),
        good._replace(key=b"k" * 5000),
        a_record(an_event(topic=NOTIFICATIONS), ce_type=b"notification.unheard-of.v1"),
        a_record(an_event(topic=NOTIFICATIONS), ce_type=b"\xff"),
        a_record(an_event(topic=NOTIFICATIONS), ce_type=None),
        a_record(an_event(topic=NOTIFICATIONS), ce_sequence=b"-1"),
    ]
    async with running_hop(postgres, any_kafka, name), looking_at(postgres, name) as seen:
        await write(any_kafka, [*junk, good])
        await reached(seen, "n", 1, topic=NOTIFICATIONS)
        rows = await seen.quarantined()
        assert [(row["key"], row["body"]) for row in rows] == [(record.key, record.value) for record in junk]
        assert all(row["reason"] for row in rows)
        assert json.loads(rows[1]["headers"]) == [["ce_id", "/w=="], ["x", "AA=="]]
        assert ["ce_type", None] in json.loads(rows[11]["headers"])
        assert not await seen.parked()


async def test_trouble_with_the_database_is_not_the_events_fault(postgres: str, any_kafka: Broker, name: str) -> None:
    async with running_hop(postgres, any_kafka, name) as service, looking_at(postgres, name) as seen:
        await write(any_kafka, [a_rate("JPY", 1), a_rate("VND", 1, source="database"), a_rate("JPY", 2)])

        def rolled_back() -> bool:
            return (service.telemetry.registry.get_sample_value("musubi_batches_rolled_back_total") or 0) >= 2

        await until(rolled_back)
        assert ("VND", 1) not in await seen.effects()
        await seen.cure("database")
        await reached(seen, "JPY", 2)
        await reached(seen, "VND", 1)
        assert sorted(await seen.effects()) == [("JPY", 1), ("JPY", 2), ("VND", 1)]
        assert not await seen.parked()


async def test_an_event_that_always_brings_trouble_is_parked_in_the_end_although_the_other_partitions_do_well(
    postgres: str, kafka: Broker, name: str
) -> None:
    async with running_hop(postgres, kafka, name), looking_at(postgres, name) as seen:
        await write(kafka, [a_rate("VND", 1, source="database"), a_rate("EUR", 1)], partition=0)
        sequence = 0
        while not await seen.parked():  # the other transaction succeeds all the time
            sequence += 1
            await write(kafka, [a_rate("JPY", sequence)], partition=1)
            await asyncio.wait_for(reached(seen, "JPY", sequence), 20)
        [row] = await seen.parked()
        assert (row["key"], row["reason"]) == ("VND", "poison")
        await reached(seen, "EUR", 1)


async def test_a_database_whose_sessions_are_cut_loses_nothing(postgres: str, any_kafka: Broker, name: str) -> None:
    async with (
        Source(postgres, any_kafka).running() as source,
        running_hop(postgres, any_kafka, name),
        looking_at(postgres, name) as seen,
    ):
        for number in range(1, 31):
            await source.emit(rate("JPY"))
            if number % 10 == 0:
                await seen.connection.execute(
                    """select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and application_name = $1""",
                    f"musubi-{name}",
                )
        await reached(seen, "JPY", 30)
        assert await seen.effects() == [("JPY", number) for number in range(1, 31)]
        await reached(seen, "JPY-30", 1, topic=NOTIFICATIONS)


async def test_an_event_as_large_as_may_be_gets_through(postgres: str, any_kafka: Broker) -> None:
    publisher = Publisher(any_kafka.address)
    big = an_event(body=b'"' + b"x" * 899_000 + b'"')
    try:
        await publisher.publish([an_event(), big, an_event(sequence=2)])
    finally:
        await publisher.close()


def test_an_event_that_hangs_is_found_among_two_thousand_before_the_broker_loses_patience() -> None:
    events = [an_event(key=f"k{n}") for n in range(2000)]
    work, waited = Halving(events, ()), 0.0
    while part := work.next():
        if events[700] in part:
            waited += seconds_for(len(part), len(events))
            work.failed("TimeoutError()")
        else:
            work.succeeded()
    assert waited < 100  # Kafka's max.poll.interval.ms is 300 s
    assert seconds_for(1, 1) == HANDLER_SECONDS
