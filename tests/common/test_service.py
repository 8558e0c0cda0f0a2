"""A service starts beside a broker that is away, keeps working when loops fail, and stops in time."""

import asyncio
import time

import pytest

from common.background import Loop
from common.errors import TryAgain
from common.postgres import Database
from common.service import CannotStart, Service
from common.settings import Settings
from common.telemetry import Telemetry
from musubi import embedded_postgres
from tests.brokers import Broker
from tests.common.hop import HANDLERS, MIGRATIONS, looking_at, rate, running_hop, settings, until


async def test_without_a_broker_it_answers_requests_says_it_is_not_ready_and_stops_in_time(postgres: str, free_port: int) -> None:
    alone = Settings(postgres=postgres, kafka=f"127.0.0.1:{free_port}", migrate=True)
    service = Service("hop", alone, migrations=MIGRATIONS, telemetry=Telemetry("hop", log_level="CRITICAL"))
    service.on_events(HANDLERS)
    async with service.lifespan():
        async with service.database.transaction() as tx:  # what people do is accepted and waits in the outbox
            tx.emit(rate("JPY"))
        assert service.readiness() == {"database": True, "migrations": True, "broker": False, "topics": True, "consumer": False}
        begun = time.monotonic()
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize(("there", "advice"), [(False, "MUSUBI_POSTGRES right"), (True, "run `musubi migrate`")])
async def test_a_service_whose_database_does_not_become_usable_gives_up_and_says_what_to_do(
    there: bool, advice: str, postgres: str, free_port: int
) -> None:
    where = postgres if there else f"postgresql://127.0.0.1:{free_port}/musubi"
    alone = Settings(postgres=where, kafka=f"127.0.0.1:{free_port}")
    quiet = Telemetry("hop", log_level="CRITICAL")
    service = Service("hop", alone, migrations=MIGRATIONS, telemetry=quiet, patience=0)
    with pytest.raises(CannotStart, match=advice):
        async with service.lifespan():
            pass


async def test_it_is_ready_when_database_broker_and_events_are(postgres: str, kafka: Broker) -> None:
    async with running_hop(postgres, kafka, "hop") as service:
        assert service.readiness() == {"database": True, "migrations": True, "broker": True, "topics": True, "consumer": True}


async def test_a_second_process_of_a_service_stands_by_and_both_take_requests(postgres: str, kafka: Broker) -> None:
    quiet = Telemetry("needs", log_level="ERROR")
    one, other = (Service("needs", settings(postgres, kafka), migrations=MIGRATIONS, telemetry=quiet) for _ in range(2))
    async with running_hop(postgres, kafka, "hop"), looking_at(postgres, "hop") as seen, one.lifespan(), other.lifespan():
        for service in (one, other, one, other):
            async with service.database.transaction() as tx:
                tx.emit(rate("JPY"))

        async def all_there() -> bool:
            return await seen.effects() == [("JPY", number) for number in range(1, 5)]

        await until(all_there)


async def test_a_background_step_that_fails_is_run_again_and_waking_runs_it_at_once() -> None:
    runs: list[int] = []

    async def step() -> bool:
        runs.append(len(runs))
        if len(runs) == 1:
            raise ValueError("once")
        return len(runs) < 3

    loop = Loop("test", step, every=3600, told=Telemetry("needs", log_level="CRITICAL"))
    task = asyncio.create_task(loop.run())
    loop.wake()
    await until(lambda: len(runs) >= 3)
    loop.wake()
    await until(lambda: len(runs) == 4)
    task.cancel()


async def test_while_the_database_is_away_callers_are_told_to_try_again() -> None:
    with embedded_postgres.temporary() as server:
        database = Database(server.dsn(), "needs")
        await database.open()
    with pytest.raises(TryAgain, match="does not answer"):
        async with database.reading():
            pass
    await database.close()
    with pytest.raises(TryAgain):
        async with database.transaction():
            pass
