"""How old the oldest thing is that waits, also where the reader stands still or there is none. Real PostgreSQL."""

import ctypes
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from common import freshness, latency, migrate
from common.clock import utc_now
from common.freshness import Age, Freshness
from common.messaging.broker import Broker as KafkaAddress
from common.messaging.consumer import Consumer
from common.messaging.message import event_of
from common.postgres import Database
from common.telemetry import Telemetry
from common.transaction import Transaction
from matching.latency import ProposalLatency
from notify.latency import InboxLatency
from tests.brokers import Broker
from tests.common.hop import HANDLERS, MIGRATIONS, NOTIFICATIONS, RATES, Seen, Source, looking_at, rate, running_hop, until
from tests.eventually import eventually

UNPROCESSED = "musubi_oldest_unprocessed_event_seconds"


class Looking:
    """A group's freshness, looked at by a process that does not read."""

    def __init__(self, postgres: str, broker: Broker, group: str) -> None:
        self.group = group
        self.registry = CollectorRegistry()
        self.database = Database(postgres, group)
        told = Telemetry(group, log_level="ERROR")
        self.freshness = Freshness(self.database, KafkaAddress(broker.address, broker.incarnation), self.registry)
        self.freshness.reads(Consumer(self.database, group, HANDLERS, told))

    async def unprocessed(self, topic: str = RATES) -> float | None:
        await self.freshness.look_at_log()
        return self.registry.get_sample_value(UNPROCESSED, {"group": self.group, "topic": topic})

    async def unless_the_broker_settles(self) -> float | None:
        """Of topics made just now a real broker may not yet know who leads."""
        try:
            return await self.unprocessed()
        except KafkaError:
            return None

    async def told(self, name: str, **labels: str) -> float | None:
        await self.freshness.look_at_database()
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
async def name() -> str:
    return f"hop_{uuid.uuid4().hex[:8]}"


@asynccontextmanager
async def looking(postgres: str, broker: Broker, name: str) -> AsyncIterator[Looking]:
    """With the group's tables; nobody reads yet."""
    await migrate.apply(postgres, name, {"messaging": files("common") / "migrations" / "messaging", name: MIGRATIONS})
    found = Looking(postgres, broker, name)
    await found.database.open()
    try:
        yield found
    finally:
        await found.database.close()


async def test_an_event_grows_old_until_its_group_has_dealt_with_it(postgres: str, any_kafka: Broker, name: str) -> None:
    async with Source(postgres, any_kafka).running() as source, looking(postgres, any_kafka, name) as look:
        assert await eventually(look.unless_the_broker_settles, lambda age: age is not None) == 0
        await source.emit(rate("JPY"))
        first = await eventually(look.unprocessed, what="an age, though nobody has ever read")
        second = await look.unprocessed()
        assert second is not None
        assert first is not None
        assert second >= first + freshness.GRACE_SECONDS
        assert await look.unprocessed(NOTIFICATIONS) == 0
        async with running_hop(postgres, any_kafka, name):
            assert await eventually(look.unprocessed, lambda age: age == 0) == 0


async def test_a_batch_that_is_tried_in_vain_grows_old(postgres: str, kafka: Broker, name: str) -> None:
    async with (
        Source(postgres, kafka).running() as source,
        looking(postgres, kafka, name) as look,
        running_hop(postgres, kafka, name),
        looking_at(postgres, name) as seen,
    ):
        await source.emit(rate("JPY", source="database"))
        assert await eventually(look.unprocessed, lambda age: (age or 0) > 1.5)
        await seen.cure("database")
        assert await eventually(look.unprocessed, lambda age: age == 0) == 0


async def test_only_what_is_not_dealt_with_counts_however_old_the_rest_is(postgres: str, kafka: Broker, name: str) -> None:
    """The oldest unread record's own time is told, not the log's beginning or end."""
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    async with looking(postgres, kafka, name) as look:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
        await producer.start()
        for hours in (0, 1):
            moment = an_hour_ago + timedelta(hours=hours)
            await producer.send_and_wait(RATES, b"{}", partition=0, timestamp_ms=int(moment.timestamp() * 1000))
        await producer.stop()
        age = await look.unprocessed()
        assert age is not None
        assert 3600 <= age < 3700
        async with looking_at(postgres, name) as seen:
            await seen.connection.execute(
                """insert into consumer_offset (grp, topic, part, incarnation, next) values ($1, $2, 0, $3, 1)""",
                name, RATES, kafka.incarnation,
            )  # fmt: skip
            age = await look.unprocessed()
            assert age is not None
            assert age < 100
            await seen.connection.execute("update consumer_offset set incarnation = 'another life'")
        age = await look.unprocessed()
        assert age is not None
        assert age >= 3600


async def test_where_the_broker_was_too_slow_to_say_since_when_it_is_asked_again(postgres: str, kafka: Broker, name: str) -> None:
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    async with looking(postgres, kafka, name) as look:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
        await producer.start()
        await producer.send_and_wait(RATES, b"{}", partition=0, timestamp_ms=int(an_hour_ago.timestamp() * 1000))
        await producer.stop()
        with _refusing_to_fetch(kafka):
            guess = await look.unprocessed()
        assert guess is not None
        assert guess < 100
        age = await look.unprocessed()
        assert age is not None
        assert 3600 <= age < 3700


@contextmanager
def _refusing_to_fetch(kafka: Broker) -> Iterator[None]:
    """While the block runs, this embedded broker says to every fetch that somebody else leads the partition."""
    assert kafka.embedded
    library, cluster = kafka.embedded._library, ctypes.c_void_p(kafka.embedded._cluster)
    fetch, often, not_leader = ctypes.c_int16(1), 1000, 6
    errors = (ctypes.c_int * often)(*[not_leader] * often)
    library.rd_kafka_mock_push_request_errors_array(cluster, fetch, ctypes.c_size_t(often), errors)
    yield
    library.rd_kafka_mock_clear_request_errors(cluster, fetch)


async def test_the_outbox_grows_old_while_nobody_sends(postgres: str, kafka: Broker) -> None:
    async with Source(postgres, kafka).silent() as source:
        look = Looking(postgres, kafka, "source")
        await look.database.open()
        assert await look.told("musubi_oldest_unsent_batch_seconds") == 0
        await source.emit(rate("JPY"))
        await source.emit(rate("USD"))
        await _set_back(postgres, "source", "update outbox set stored_at = now() - interval '1 hour' where key = 'JPY'")
        age = await look.told("musubi_oldest_unsent_batch_seconds")
        assert age is not None
        assert 3600 <= age < 3700
        await _set_back(postgres, "source", "delete from unsent where batch = (select min(batch) from unsent)")
        age = await look.told("musubi_oldest_unsent_batch_seconds")
        assert age is not None
        assert age < 100
        await look.database.close()


async def test_what_is_held_is_told_by_reason_with_its_amount_and_age(postgres: str, kafka: Broker, name: str) -> None:
    async with (
        Source(postgres, kafka).running() as source,
        running_hop(postgres, kafka, name) as hop,
        looking_at(postgres, name) as seen,
    ):
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
        await producer.start()
        await producer.send_and_wait(RATES, b"no event")
        await producer.stop()
        await source.emit(rate("JPY", source="poison"))
        await until(lambda: _both(seen))
        await seen.connection.execute("update parked set first_at = now() - interval '1 hour', next_try = 'infinity'")
        look = Looking(postgres, kafka, name)
        await look.database.open()
        assert await look.told("musubi_parked_events", reason="dead") == 1
        value = look.registry.get_sample_value
        assert value("musubi_parked_events", {"reason": "poison"}) == 0
        assert value("musubi_quarantined_records") == 1
        oldest = value("musubi_oldest_held_seconds", {"reason": "dead"})
        assert oldest is not None
        assert 3600 <= oldest < 3700
        oldest = value("musubi_oldest_held_seconds", {"reason": "quarantine"})
        assert oldest is not None
        assert 0 < oldest < 100
        assert hop.telemetry.registry.get_sample_value("musubi_events_total", {"topic": RATES, "outcome": "quarantined"}) == 1
        await look.database.close()


async def _both(seen: Seen) -> bool:
    return bool(await seen.parked() and await seen.quarantined())


async def test_who_cannot_look_claims_nothing_and_says_for_how_long(postgres: str, kafka: Broker, name: str) -> None:
    async with looking(postgres, kafka, name) as look:
        assert await look.told("musubi_oldest_unsent_batch_seconds") == 0
        assert await look.unprocessed() == 0
        blind = Looking(postgres, Broker("127.0.0.1:1", "", "real"), name)
        with pytest.raises(Exception):  # noqa: B017  of aiokafka's errors and of the system's
            await blind.unprocessed()
    value = blind.registry.get_sample_value
    assert value("musubi_oldest_unsent_batch_seconds") is None
    assert value(UNPROCESSED, {"group": name, "topic": RATES}) is None
    before = value("musubi_freshness_look_age_seconds", {"at": "log"})
    after = value("musubi_freshness_look_age_seconds", {"at": "log"})
    assert before is not None
    assert after is not None
    assert after > before


async def test_a_question_that_takes_too_long_is_given_up(postgres: str, kafka: Broker, name: str) -> None:
    async def slow(tx: Transaction) -> float:
        return await tx.fetchval("select 1::float8 from pg_sleep(60)")

    async with looking(postgres, kafka, name) as look:
        look.freshness.watch(Age("slow", "Sleeps", slow))
        with pytest.raises(asyncpg.QueryCanceledError):
            await look.told("slow")


def test_how_long_a_proposal_took_is_counted_from_the_event_that_led_to_it() -> None:
    registry = CollectorRegistry()
    began = utc_now()
    need = _event("needs.needs", "n", "need", (began - timedelta(seconds=4)).isoformat().replace("+00:00", "Z"))
    announced = [_event("matching.proposals", "l1", "list", "", cause="n"), _event("matching.proposals", "l2", "list", "")]
    ProposalLatency(registry, lambda: began).note([need], announced)
    labels = {"topic": "needs.needs"}
    assert registry.get_sample_value("musubi_proposal_latency_seconds_count", labels) == 1
    assert registry.get_sample_value("musubi_proposal_latency_seconds_sum", labels) == pytest.approx(4, abs=0.01)


def test_how_long_an_inbox_item_took_is_counted_from_the_moment_that_the_partner_was_answered() -> None:
    registry = CollectorRegistry()
    accepted = "01936b5c-7a00-7000-8000-000000000001"
    drawn = latency.drawn_at(accepted)
    assert drawn is not None
    listed = _event("matching.proposals", "l", "list", "", cause=accepted)
    of_a_day = _event("matching.proposals", "d", "list", "")  # a day had passed: there is no event to count from
    announced = [_event("notify.notifications", "a", "x", "", cause="l"), _event("notify.notifications", "b", "x", "", cause="d")]
    InboxLatency(registry, lambda: drawn + timedelta(seconds=2)).note([listed, of_a_day], announced)
    assert registry.get_sample_value("musubi_inbox_latency_seconds_count") == 1
    assert registry.get_sample_value("musubi_inbox_latency_seconds_sum") == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("other", ["", "x", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"])
def test_an_id_that_is_not_of_our_kind_says_no_time(other: str) -> None:
    assert latency.drawn_at(other) is None


def _event(topic: str, id_: str, key: str, time: str, *, cause: str = ""):
    return event_of((topic, key, 1, id_, "x.v1", "/s", time, b"{}", b"", "", cause))


async def _set_back(postgres: str, schema: str, sql: str) -> None:
    connection = await asyncpg.connect(postgres, server_settings={"search_path": schema})
    await connection.execute(sql)
    await connection.close()
