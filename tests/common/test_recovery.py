"""Work goes on after something died or fell silent, and nothing takes effect twice. How soon, `bench.recovery` measures."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from common.contracts.registry import CONTROL_TOPICS, TOPICS
from common.errors import TryAgain
from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from musubi import topics
from tests.brokers import Broker, make_fresh_topics
from tests.common.hop import HANDLERS, MIGRATIONS, NOTIFICATIONS, RATES, Seen, Source, looking_at, rate, running_hop, until
from tests.kafka_server import KafkaServer, NoKafka
from tests.postgres_server import PostgresServer
from tests.proxy import Mode, Proxy

LONG = 60.0


@pytest.fixture
def name() -> str:
    """A service name of its own for each test: it is schema and consumer group."""
    return f"hop_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that may be crashed."""
    server = PostgresServer({"fsync": "off"})
    server.start()
    yield server
    server.close()


@pytest.fixture
async def proxy(own_postgres: PostgresServer) -> AsyncIterator[Proxy]:
    """A network between us and that PostgreSQL."""
    async with Proxy(own_postgres.address) as between:
        yield between


async def _effects(seen: Seen, rates: int) -> None:
    """Wait until so many rates and what followed from them took effect, each once, in order."""

    async def there() -> bool:
        return len(await seen.effects(RATES)) >= rates and len(await seen.effects(NOTIFICATIONS)) >= rates

    await until(there, seconds=LONG)
    assert await seen.effects(RATES) == [("JPY", number) for number in range(1, rates + 1)]
    assert sorted(await seen.effects(NOTIFICATIONS)) == sorted((f"JPY-{number}", 1) for number in range(1, rates + 1))


def _quiet(name: str, settings: Settings) -> Service:
    service = Service(name, settings, migrations=MIGRATIONS, telemetry=Telemetry(name, log_level="CRITICAL"))
    service.on_events(HANDLERS)
    return service


async def test_postgresql_that_was_stopped_immediately_is_used_again_when_it_is_back(
    own_postgres: PostgresServer, kafka: Broker
) -> None:
    dsn = own_postgres.dsn()
    async with Source(dsn, kafka).running() as source, running_hop(dsn, kafka, "hop") as hop:
        await source.emit(rate("JPY"))
        async with looking_at(dsn, "hop") as seen:
            await _effects(seen, 1)
        await asyncio.to_thread(own_postgres.crash)
        await until(lambda: not hop.readiness()["database"], seconds=LONG)
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: all(hop.readiness().values()), seconds=LONG)
        await source.emit(rate("JPY"))
        async with looking_at(dsn, "hop") as seen:
            await _effects(seen, 2)


async def test_a_statement_that_waits_behind_a_silent_cut_ends_as_try_again_and_work_goes_on_afterwards(
    own_postgres: PostgresServer, proxy: Proxy, kafka: Broker
) -> None:
    direct, through = own_postgres.dsn(), own_postgres.dsn(port=proxy.port)
    async with (
        Source(direct, kafka).running() as source,
        running_hop(through, kafka, "hop") as hop,
        looking_at(direct, "hop") as seen,
    ):

        async def wait_for_an_answer() -> None:
            async with hop.database.connection() as connection:
                await connection.fetchval("select 1")
                await proxy.become(Mode.SILENT)
                await connection.fetchval("select 1")

        with pytest.raises(TryAgain):
            await asyncio.wait_for(wait_for_an_answer(), LONG)
        assert not hop.readiness()["database"]
        await source.emit(rate("JPY"))
        await proxy.become(Mode.PASS)
        await _effects(seen, 1)
        await until(lambda: all(hop.readiness().values()), seconds=LONG)


@pytest.mark.kafka
async def test_a_broker_that_was_killed_is_used_again_when_it_is_back(postgres: str, name: str) -> None:
    try:
        server = KafkaServer()
    except NoKafka as reason:
        pytest.skip(str(reason))
    try:
        await asyncio.to_thread(server.start)
        topics.apply(server.address, [*TOPICS.values(), *CONTROL_TOPICS.values()])
        broker = Broker(server.address, "", "real")
        async with (
            Source(postgres, broker).running() as source,
            running_hop(postgres, broker, name) as hop,
            looking_at(postgres, name) as seen,
        ):
            await source.emit(rate("JPY"))
            await _effects(seen, 1)
            await asyncio.to_thread(server.kill)
            await source.emit(rate("JPY"))
            await until(lambda: not hop.readiness()["broker"], seconds=LONG)
            await asyncio.to_thread(server.start)
            await _effects(seen, 2)
    finally:
        server.close()


@pytest.mark.kafka
async def test_an_instance_that_comes_back_has_its_partitions_at_once_whatever_the_session(
    postgres: str, real_kafka: Broker, name: str
) -> None:
    settings = Settings(
        postgres=postgres, kafka=real_kafka.address, migrate=True, instance="pod-0", session_timeout=240, watchdog=0
    )
    async with Source(postgres, real_kafka).running() as source:
        for life in (1, 2):
            service = _quiet(name, settings)
            async with service.lifespan(), looking_at(postgres, name) as seen:
                await source.emit(rate("JPY"))
                await _effects(seen, life)


@pytest.mark.kafka
async def test_a_log_that_is_shorter_than_before_is_read_from_its_beginning(postgres: str, real_kafka: Broker, name: str) -> None:
    for announced, more in ((5, 5), (6, 1)):
        async with (
            Source(postgres, real_kafka).running() as source,
            running_hop(postgres, real_kafka, name),
            looking_at(postgres, name) as seen,
        ):
            for _ in range(more):
                await source.emit(rate("JPY"))
            await _effects(seen, announced)
        make_fresh_topics(real_kafka)


async def test_told_to_stop_it_sends_what_it_committed_and_the_next_one_finds_nothing_to_do(
    postgres: str, any_kafka: Broker, name: str
) -> None:
    async with Source(postgres, any_kafka).running() as source:
        async with running_hop(postgres, any_kafka, name), looking_at(postgres, name) as seen:
            for _ in range(20):
                await source.emit(rate("JPY"))

            async def begun() -> bool:
                return bool(await seen.effects(RATES))

            await until(begun)
        async with looking_at(postgres, name) as seen:
            assert await seen.connection.fetchval("select count(*) from unsent") == 0
            running = await seen.connection.fetch(
                "select pid from pg_stat_activity where datname = current_database() and application_name = $1", f"musubi-{name}"
            )
            assert not running, "every session has ended"
        async with running_hop(postgres, any_kafka, name), looking_at(postgres, name) as seen:
            await _effects(seen, 20)


async def test_connections_that_are_given_up_end_their_statements_and_new_ones_are_made(postgres: str, kafka: Broker) -> None:
    async with running_hop(postgres, kafka, "hop") as hop:
        inside = asyncio.Event()

        async def wait_long() -> None:
            async with hop.database.connection() as connection:
                inside.set()
                await connection.execute("select pg_sleep(60)")

        waiting = asyncio.create_task(wait_long())
        await inside.wait()
        await hop.database.cut()
        with pytest.raises(TryAgain):
            await asyncio.wait_for(waiting, 20)
        async with hop.database.connection() as connection:
            assert await connection.fetchval("select 1") == 1
        with pytest.raises(asyncpg.UndefinedTableError):  # an error of ours stays what it is
            async with hop.database.connection() as connection:
                await connection.execute("select * from no_such_table")
