"""Crash points name what exists, and a process really dies where it was told to."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.crash_points import CRASH_POINTS, HANGING, CrashPoint, Trigger, When, wrap
from tests.faults.orders import Order, Orders
from tests.faults.run import MAKERS

HERE = __name__
seen: list[str] = []


class Died(BaseException):
    """Stands for the end of the process."""


def note() -> None:
    seen.append("note")


async def work() -> str:
    seen.append("begun")
    await asyncio.sleep(0)
    seen.append("half")
    await asyncio.sleep(0)
    seen.append("done")
    return "result"


@asynccontextmanager
async def context() -> AsyncIterator[str]:
    seen.append("entered")
    yield "inside"
    seen.append("leaving")
    await asyncio.sleep(0)
    seen.append("left")


def test_every_crash_point_names_something_that_exists_and_there_are_many() -> None:
    assert len(MAKERS) == 6  # importing them: whatever refers to a function is there when it is replaced
    wrong = []
    for point in CRASH_POINTS.values():
        try:
            wrap(point, Trigger())()
        except Exception as error:  # noqa: BLE001  all of them are wanted at once
            wrong.append(f"{point.name}: {error!r}")
    assert wrong == []
    assert len(CRASH_POINTS) >= 30
    assert HANGING in CRASH_POINTS
    assert {service for point in CRASH_POINTS.values() for service in point.services} == set(MAKERS)


@pytest.mark.parametrize(
    ("when", "step", "expected"),
    [("before", 1, []), ("within", 1, ["begun"]), ("within", 2, ["begun", "half"]), ("after", 1, ["begun", "half", "done"])],
)
async def test_a_function_is_left_before_in_the_middle_or_after(when: When, step: int, expected: list[str]) -> None:
    async def call() -> str:
        return await work()

    assert await until_death("work", when, step, call) == expected
    assert await work() == "result"


@pytest.mark.parametrize(
    ("when", "expected"),
    [("before", []), ("within", ["entered", "leaving"]), ("after", ["entered", "leaving", "left"])],
)
async def test_a_context_is_left_before_it_is_entered_while_it_ends_or_after(when: When, expected: list[str]) -> None:
    async def call() -> None:
        async with context() as inside:
            assert inside == "inside"

    assert await until_death("context", when, 1, call) == expected


@pytest.mark.parametrize(("when", "expected"), [("before", []), ("after", ["note"])])
async def test_a_function_that_does_not_wait_is_left_before_or_after(when: When, expected: list[str]) -> None:
    async def call() -> None:
        note()

    assert await until_death("note", when, 1, call) == expected


async def test_an_order_counts_calls_and_is_obeyed_once() -> None:
    died = []
    trigger = Trigger(die=lambda: died.append(len(seen)))
    undo = wrap(CrashPoint(f"{HERE}:note", "after", ()), trigger)
    try:
        seen.clear()
        trigger.take(Order(f"{HERE}.note:after", nth=3))
        for _ in range(6):
            note()
    finally:
        undo()
    assert died == [3]


async def until_death(name: str, when: When, step: int, call: Callable[[], object]) -> list[str]:
    """What was seen until it died at this point."""

    def die() -> None:
        raise Died

    point = CrashPoint(f"{HERE}:{name}", when, ())
    trigger = Trigger(die=die)
    undo = wrap(point, trigger)
    seen.clear()
    trigger.take(Order(point.name, step=step))
    try:
        with pytest.raises(Died):
            await call()  # pyright: ignore[reportGeneralTypeIssues]
    finally:
        undo()
    return list(seen)


async def test_a_process_kills_itself_at_the_point_that_it_is_told(postgres: str, tmp_path: Path) -> None:
    point = "migrate.apply:within"
    arguments = ["needs", f"--crash-at={point},1,3", f"--notes={tmp_path / 'notes'}", "--at-most=60"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.run", *arguments,
        env={**os.environ, "MUSUBI_POSTGRES": postgres, "MUSUBI_KAFKA": "127.0.0.1:1", "MUSUBI_MIGRATE": "true"},
        cwd=Path(__file__).parent.parent.parent,
    )  # fmt: skip
    assert await asyncio.wait_for(process.wait(), 30) == -signal.SIGKILL
    assert point in (tmp_path / "notes").read_text()


def test_orders_are_read_as_they_were_written(tmp_path: Path) -> None:
    orders = Orders(Order("outbox.append:after", 2, 3, 4.5, number=7), ahead=-30)
    (tmp_path / "orders").write_text(orders.as_text())
    assert Orders.read(tmp_path / "orders") == orders
    assert Orders.read(tmp_path / "nothing").order.point == ""
