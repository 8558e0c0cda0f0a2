"""Duties: done when their time has come by the service's clock, once, and again later if they failed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest

from common import due, migrate
from common.due import Duty, DutyRunner
from common.postgres import Database
from common.telemetry import Telemetry
from common.transaction import Transaction

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def database(postgres: str, clock: SetClock) -> AsyncIterator[Database]:
    await migrate.apply(postgres, "needs", {"messaging": files("common") / "migrations" / "messaging"})
    database = Database(postgres, "needs", clock=clock)
    await database.open()
    yield database
    await database.close()


async def plan(database: Database, key: str, kind: str, after: timedelta) -> None:
    async with database.transaction() as tx:
        await due.schedule(tx, key, kind, tx.now + after)


async def work_through(runner: DutyRunner) -> None:
    while await runner.step():
        pass


async def test_a_duty_is_done_once_when_its_time_has_come(database: Database, clock: SetClock) -> None:
    done: list[Duty] = []

    async def close(duty: Duty, tx: Transaction) -> None:
        done.append(duty)

    runner = DutyRunner(database, {"close": close}, Telemetry("needs"))
    await plan(database, "n1", "close", timedelta(hours=1))
    await plan(database, "n2", "other", timedelta(0))  # nobody here does this kind
    await work_through(runner)
    assert done == []
    clock.now += timedelta(hours=1)
    await work_through(runner)
    await work_through(runner)
    assert [(duty.key, duty.kind, duty.at) for duty in done] == [("n1", "close", START + timedelta(hours=1))]
    assert done[0].id == due.duty_id("n1", "close", START + timedelta(hours=1))


async def test_planning_again_replaces_and_cancelling_removes(database: Database, clock: SetClock) -> None:
    done: list[str] = []

    async def close(duty: Duty, tx: Transaction) -> None:
        done.append(duty.key)

    runner = DutyRunner(database, {"close": close}, Telemetry("needs"))
    await plan(database, "n1", "close", timedelta(hours=1))
    await plan(database, "n1", "close", timedelta(hours=3))
    await plan(database, "n2", "close", timedelta(hours=1))
    async with database.transaction() as tx:
        await due.cancel(tx, "n2", "close")
    clock.now += timedelta(hours=2)
    await work_through(runner)
    assert done == []
    clock.now += timedelta(hours=2)
    await work_through(runner)
    assert done == ["n1"]


async def test_a_duty_that_fails_leaves_nothing_behind_and_is_tried_again_later(database: Database, clock: SetClock) -> None:
    tries: list[datetime] = []

    async def close(duty: Duty, tx: Transaction) -> None:
        tries.append(tx.now)
        await due.schedule(tx, "trace", "of a failure", tx.now)
        if len(tries) < 3:
            raise ValueError("not yet")

    runner = DutyRunner(database, {"close": close}, Telemetry("needs", log_level="ERROR"))
    await plan(database, "n1", "close", timedelta(0))
    for _ in range(10):
        await work_through(runner)
        clock.now += timedelta(seconds=1)
    assert tries == [START, START + timedelta(seconds=1), START + timedelta(seconds=6)]
    async with database.reading() as tx:
        assert [row["key"] for row in await tx.fetch("select key from due")] == ["trace"]


async def test_a_duty_may_plan_itself_anew(database: Database, clock: SetClock) -> None:
    done: list[datetime] = []

    async def remind(duty: Duty, tx: Transaction) -> None:
        done.append(duty.at)
        await due.schedule(tx, duty.key, duty.kind, duty.at + timedelta(days=1))

    runner = DutyRunner(database, {"remind": remind}, Telemetry("needs"))
    await plan(database, "n1", "remind", timedelta(0))
    for _ in range(3):
        await work_through(runner)
        clock.now += timedelta(days=1)
    assert done == [START, START + timedelta(days=1), START + timedelta(days=2)]


async def test_a_duty_and_a_change_of_the_same_thing_do_not_wait_for_each_other(database: Database) -> None:
    begun, locked = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def lock(tx: Transaction) -> None:
        await tx.execute("select pg_advisory_xact_lock(7)")

    async def close(duty: Duty, tx: Transaction) -> None:
        begun.set()
        await locked.wait()
        await lock(tx)
        done.append(duty.key)

    async def change() -> None:
        async with database.transaction() as tx:
            await begun.wait()
            await lock(tx)
            locked.set()
            await due.schedule(tx, "n1", "close", tx.now + timedelta(days=1))

    await plan(database, "n1", "close", timedelta(0))
    runner = DutyRunner(database, {"close": close}, Telemetry("needs"))
    await asyncio.gather(runner.step(), change())
    assert done == ["n1"]
    async with database.reading() as tx:
        rows = await tx.fetch("select at, attempts from due")
    assert [tuple(row) for row in rows] == [(START + timedelta(days=1), 0)]


async def test_two_processes_share_the_work_and_do_nothing_twice(database: Database) -> None:
    done: list[str] = []

    async def close(duty: Duty, tx: Transaction) -> None:
        done.append(duty.key)
        await tx.execute("select pg_sleep(0.002)")  # so that they meet

    for number in range(40):
        await plan(database, f"n{number:02}", "close", timedelta(0))
    runners = [DutyRunner(database, {"close": close}, Telemetry("needs")) for _ in range(4)]
    await asyncio.gather(*(work_through(runner) for runner in runners))
    assert sorted(done) == [f"n{number:02}" for number in range(40)]


async def test_a_process_does_only_its_own_duties_where_they_are_shared_out(database: Database, clock: SetClock) -> None:
    done: list[str] = []

    async def close(duty: Duty, tx: Transaction) -> None:
        done.append(duty.key)

    ours = ["lighting"]
    runner = DutyRunner(database, {"close": close}, Telemetry("needs"), ours=lambda: ours)
    for number in range(40):  # more than are looked at for one that nobody works on
        await plan(database, f"water/{number:02}", "close", timedelta(0))
    for key in ("lighting/1", "lightings/1", "lighting"):
        await plan(database, key, "close", timedelta(seconds=1))
    clock.now += timedelta(minutes=1)
    await work_through(runner)
    assert sorted(done) == ["lighting", "lighting/1"]
    ours[:] = ["water", "lightings"]
    await work_through(runner)
    assert len(done) == 43
