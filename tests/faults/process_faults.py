"""Faults of processes: they are killed, at random or at a named point, stopped and woken, hang, and are wrong about the time."""

import signal

from tests.faults.crash_points import CRASH_POINTS, HANGING, CrashPoint
from tests.faults.strikes import Strike
from tests.faults.supervisor import Watched

NTH = (1, 1, 1, 2, 2, 3, 5, 9)
"""Which call of a function is the last one."""
REACHED_WITHIN = 4.0
LONGEST_STOP = 15.0
HANG_SECONDS = 7.0
"""Longer than the deadline of handlers in the house."""


async def killed_at_random(strike: Strike) -> bool:
    """kill -9 of one process at any moment."""
    watched = _one(strike)
    await strike.wait(strike.chance.random())
    return watched is not None and watched.signal(signal.SIGKILL)


async def killed_at_a_point(strike: Strike) -> bool:
    """A process kills itself at a named point, if it comes by within some seconds."""
    watched = _one(strike)
    if watched is None:
        return False
    points = _passed_by(strike, watched)
    # Those that were tried less often come first, so that all have their turn.
    point = strike.chance.choices(points, [1 / (1 + strike.tried[point.name]) ** 2 for point in points])[0]
    strike.tried[point.name] += 1
    strike.busy.add(watched.name)
    try:
        return await (_killed_at_its_start if point.at_start else _killed_when_it_comes_by)(strike, watched, point)
    finally:
        strike.busy.discard(watched.name)


async def _killed_when_it_comes_by(strike: Strike, watched: Watched, point: CrashPoint) -> bool:
    house, before = strike.house, len(strike.house.notes(watched.name))
    house.order(watched.name, point.name, nth=strike.chance.choice(NTH), step=strike.chance.randint(1, 4))
    reached = await strike.wait_for(lambda: len(house.notes(watched.name)) > before, REACHED_WITHIN)
    house.order(watched.name)
    if reached:
        strike.points[point.name] += 1
    return reached


async def _killed_at_its_start(strike: Strike, watched: Watched, point: CrashPoint) -> bool:
    before = len(strike.house.notes(watched.name))
    watched.once = [f"--crash-at={point.name},1,{strike.chance.randint(1, 6)}"]
    watched.signal(signal.SIGKILL)
    reached = await strike.wait_for(lambda: len(strike.house.notes(watched.name)) > before, 3 * REACHED_WITHIN)
    if reached:
        strike.points[point.name] += 1
    return reached


def _passed_by(strike: Strike, watched: Watched) -> list[CrashPoint]:
    services = set(strike.house.services[watched.name])
    return [point for point in CRASH_POINTS.values() if services & set(point.services)]


async def all_killed_at_once(strike: Strike) -> bool:
    """As when the power fails: kill -9 of every process in one moment."""
    killed = [watched.signal(signal.SIGKILL) for watched in strike.house.processes.values()]
    return any(killed)


async def stopped_and_woken(strike: Strike) -> bool:
    """SIGSTOP, and SIGCONT when the others have long taken over: a zombie. Where there are no others, not for so long."""
    watched = _one(strike)
    if watched is None or not watched.signal(signal.SIGSTOP):
        return False
    pid = watched.pid
    try:
        await strike.wait(strike.some_seconds(1, LONGEST_STOP if len(strike.house.processes) > 1 else LONGEST_STOP / 3))
    finally:
        if watched.pid == pid:
            watched.signal(signal.SIGCONT)
    return True


async def ended_politely(strike: Strike) -> bool:
    """SIGTERM, as at every deployment."""
    watched = _one(strike)
    return watched is not None and watched.signal(signal.SIGTERM)


async def handler_hung(strike: Strike) -> bool:
    """A handler works on beyond its deadline."""
    readers = [name for name, services in strike.house.services.items() if set(services) & set(CRASH_POINTS[HANGING].services)]
    name = strike.chance.choice(readers)
    if name in strike.busy:
        return False
    strike.busy.add(name)
    before = len(strike.house.notes(name))
    strike.house.order(name, HANGING, hang=HANG_SECONDS)
    reached = await strike.wait_for(lambda: len(strike.house.notes(name)) > before, REACHED_WITHIN)
    if reached:
        await strike.wait(HANG_SECONDS)
    strike.house.order(name)
    strike.busy.discard(name)
    return reached


async def clock_jumped(strike: Strike) -> bool:
    """One process, or all, believe that it is earlier or later."""
    house = strike.house
    whom = [strike.chance.choice(list(house.processes))] if strike.chance.random() < 0.5 else list(house.processes)
    house.set_clock(strike.chance.choice((-200, -30, 45, 250, 3700)), *whom)
    try:
        await strike.wait(strike.some_seconds(1, 6))
    finally:
        house.set_clock(0, *whom)
    return True


def _one(strike: Strike) -> Watched | None:
    """A process that runs, and that no other hand works on; orders are one at a time."""
    running = [watched for name, watched in strike.house.processes.items() if watched.pid is not None and name not in strike.busy]
    return strike.chance.choice(running) if running else None
