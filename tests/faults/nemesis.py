"""Breaks the house from a seed, in every way it knows, some ways at the same time; each fault is bounded, mended and counted."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from tests.faults import process_faults, world_faults
from tests.faults.house import House
from tests.faults.mail_faults import KINDS
from tests.faults.strikes import Fault, Strike
from tests.proxy import Mode


class Choice(NamedTuple):
    """A fault by the name under which it is counted, and how often it is drawn beside the others of its hand."""

    kind: str
    weight: float
    fault: Fault


KILLS = ("kill -9 at random", "kill -9 at a crash point", "kill -9 of all at once")
"""The kinds that kill processes of ours."""
BROKER_RESTARTS = ("Kafka killed and started again",)

PROCESSES = [
    Choice("kill -9 at random", 3, process_faults.killed_at_random),
    Choice("kill -9 at a crash point", 8, process_faults.killed_at_a_point),
    Choice("kill -9 of all at once", 0.4, process_faults.all_killed_at_once),
    Choice("stopped and woken (SIGSTOP, SIGCONT)", 1.5, process_faults.stopped_and_woken),
    Choice("ended politely (SIGTERM)", 0.5, process_faults.ended_politely),
    Choice("a handler hung", 0.4, process_faults.handler_hung),
]
WORLD = [
    Choice("PostgreSQL stopped at once and started again", 1, world_faults.postgres_stopped),
    Choice("a session's process in PostgreSQL killed", 1, world_faults.postgres_session_killed),
    Choice("sessions ended by PostgreSQL", 2, world_faults.sessions_ended),
    *(
        Choice(f"network to PostgreSQL: {mode}", 0.7, partial(world_faults.network_to_postgres, mode=mode))
        for mode in (Mode.REFUSE, Mode.CUT, Mode.SILENT, Mode.SLOW)
    ),
]
KAFKA = [
    Choice(BROKER_RESTARTS[0], 2, world_faults.broker_killed),
    Choice("Kafka stopped and woken", 0.7, world_faults.broker_frozen),
    Choice("strangers joined a group and left", 1.5, world_faults.members_came_and_went),
    Choice("somebody joined under a process's name", 0.7, world_faults.twin_came),
    *(
        Choice(f"network to Kafka: {mode}", 0.7, partial(world_faults.network_to_kafka, mode=mode))
        for mode in (Mode.REFUSE, Mode.CUT, Mode.SILENT, Mode.SLOW)
    ),
]
SMALL = [
    Choice("a clock jumped", 2, process_faults.clock_jumped),
    *(Choice(f"mail server: {mood}", 1, partial(world_faults.mail_server_moody, mood=mood)) for mood in KINDS),
]


class Nemesis:
    """Hands at work at once: on processes (two, where there are many), on the world outside, on clocks and mail.

    What they draw comes from `seed`."""

    def __init__(self, house: House, seed: int, *, pace: float = 1.0) -> None:
        """`pace` 2 leaves pauses twice as long between the faults."""
        self.counts: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        """Faults that were tried and did not come to pass, such as a crash point that nobody came by."""
        self.logs_lost = 0
        """How often the embedded broker's log was lost with its process; counted among the kills."""
        self._tried: Counter[str] = Counter()
        self._busy: set[str] = set()
        self._house = house
        self._seed = seed
        self._pace = pace

    async def run_until(self, stop: asyncio.Event) -> None:
        """Break and mend until `stop` is set; then mend everything. Bounded: each fault ends soon after `stop`."""
        real = self._house.kind == "real"
        async with asyncio.TaskGroup() as hands:
            for number in range(2 if real else 1):
                hands.create_task(self._hand(f"processes {number}", PROCESSES, stop, 0.5, 3 if real else 6))
            hands.create_task(self._hand("PostgreSQL", WORLD, stop, 2, 6))
            if real:
                hands.create_task(self._hand("Kafka", KAFKA, stop, 2, 6))
            hands.create_task(self._hand("small", SMALL, stop, 1, 4))
        await self.heal()

    async def _hand(self, name: str, choices: Sequence[Choice], stop: asyncio.Event, least: float, most: float) -> None:
        strike = Strike(self._house, random.Random(f"{self._seed} {name}"), stop, self.points, self._tried, self._busy)
        # Every kind once, in a random order, before chance decides alone: a short campaign has them all.
        first = strike.chance.sample(choices, len(choices))
        while not stop.is_set():
            await strike.wait(self._pace * strike.chance.uniform(least, most))
            if stop.is_set():
                return
            choice = first.pop() if first else strike.chance.choices(choices, [one.weight for one in choices])[0]
            begun = time.time()
            came_to_pass = await choice.fault(strike)
            self._note(name, choice.kind, begun, came_to_pass)
            (self.counts if came_to_pass else self.missed)[choice.kind] += 1
            if came_to_pass and self._house.kind == "embedded" and choice.kind in KILLS:
                self.logs_lost += 1

    def _note(self, hand: str, kind: str, begun: float, came_to_pass: bool) -> None:
        """Into the journal, to compare with the logs of the services: when, for how long, by which hand, what."""
        at = datetime.fromtimestamp(begun).strftime("%H:%M:%S.%f")[:-3]  # noqa: DTZ006  the services log in local time, too
        with (self._house.folder / "nemesis.log").open("a") as journal:
            missed = "" if came_to_pass else " (did not come to pass)"
            journal.write(f"{at} {time.time() - begun:6.2f} s  {hand:<12} {kind}{missed}\n")

    async def heal(self) -> None:
        """Everything runs and no fault is left."""
        house = self._house
        house.mailbox.mood = ""
        for proxy in (house.postgres_proxy, house.kafka_proxy):
            if proxy is not None and proxy.mode is not Mode.PASS:
                await proxy.become(Mode.PASS)
        house.set_clock(0)
        for watched in house.processes.values():
            watched.once = []
            watched.signal(signal.SIGCONT)
        await house.ready(within=90)
