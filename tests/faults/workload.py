"""Sends events as fast as it is told and as carefully as a good partner would; every attempt and answer goes into the ledger.

No answer means: sent again with the same ids until there is one, or, now and then, given up and for ever unknown. In between it
does what partners do wrong: repeats, old ids, ids with another body, events that come late, data that breaks its contract; and
it throws junk into Kafka. Every answer that must never be given is written down as a complaint.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError

from tests.faults import poison
from tests.faults.counter import DEADLOCK, POISON, SAID, SET, TOPICS
from tests.faults.ledger import Sent
from tests.faults.partners import World
from tests.faults.sending import Sender

COUNTER_LANES = 4
KEYS_OF_A_LANE = 60
GIVEN_UP = 0.08
"""The share of batches that are not sent again when the first attempt had no answer."""
ILL_EVERY = 20
"""Every 20th key has events over which the handler fails until they are cured."""
WAVE_SECONDS = 15.0
"""For so long all trouble has the same name; the campaign cures name after name."""
LOOK_BACK = 200
"""Batches that are remembered, to be repeated."""


@dataclass
class Rates:
    """How much is sent: events a second for the counter, for cheap things and for the whole chain, and junk for 100 events."""

    counter: float = 150
    cheap: float = 20
    dear: float = 1.5
    junk: float = 1.0


@dataclass
class Workload:
    """All lanes together. A key belongs to one lane, and a lane sends one batch after the other."""

    sender: Sender
    seed: int
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        self.ledger, self.where, self.counts = self.sender.ledger, self.sender.where, self.sender.counts
        self._stop = asyncio.Event()
        self._begun = time.monotonic()
        self._world = World(self.seed)

    def stop(self) -> None:
        """Begin nothing new; what has no answer yet is still sent again."""
        self._stop.set()

    async def run(self) -> None:
        """Until `stop`, and until everything that is not given up was answered."""
        for batch in self._world.beginning():
            await self.sender.send(batch, self.sender.ask_partner)
        async with asyncio.TaskGroup() as lanes:
            for number in range(COUNTER_LANES):
                lanes.create_task(self._count(number))
            lanes.create_task(self._cheap("needs"))
            lanes.create_task(self._cheap("catalog"))
            lanes.create_task(self._dear())
            lanes.create_task(self._junk())
            lanes.create_task(self._replay_once())

    # lanes -----------------------------------------------------------------------------------------------------------
    async def _count(self, lane: int) -> None:
        choose = random.Random(f"counter {self.seed} {lane}")
        keys = [f"{lane}-{number}" for number in range(KEYS_OF_A_LANE)]
        numbers: Counter[tuple[str, str]] = Counter()
        earlier: list[list[Sent]] = []
        pace = self._pace(self.rates.counter / COUNTER_LANES)
        while not self._stop.is_set():
            batch = [self._number(choose, keys, numbers) for _ in range(choose.randint(10, 60))]
            if await self.sender.send(batch, self.sender.ask_counter, give_up=choose.random() < GIVEN_UP):
                earlier.append(batch)
                del earlier[:-LOOK_BACK]
            throw = choose.random()
            if earlier and throw < 0.06:  # the same again: the last one, or one from long ago
                await self.sender.again(choose.choice((earlier[-1], earlier[0])), self.sender.ask_counter)
            elif earlier and throw < 0.10:
                changed = [event._replace(number=event.number + 1_000_000) for event in choose.choice(earlier)]
                await self.sender.must_be_refused(changed, self.sender.ask_counter)
            await pace(len(batch))

    def _number(self, choose: random.Random, keys: Sequence[str], numbers: Counter[tuple[str, str]]) -> Sent:
        kind = SAID if choose.random() < 0.7 else SET
        place = choose.randrange(len(keys))
        key, trouble = keys[place], ""
        if place % ILL_EVERY == 0:
            key = f"ill-{key}"
            if kind == SAID and choose.random() < 0.2:
                trouble = f"{DEADLOCK if choose.random() < 0.02 else POISON}{self.wave()}"
        numbers[kind, key] += 1
        return Sent(str(uuid.uuid4()), "counter", kind, key, numbers[kind, key], trouble=trouble)

    def wave(self) -> int:
        """The number that is part of the trouble's name just now."""
        return int((time.monotonic() - self._begun) / WAVE_SECONDS)

    async def _cheap(self, service: str) -> None:
        choose = random.Random(f"cheap {self.seed} {service}")
        earlier: list[list[Sent]] = []
        pace = self._pace(self.rates.cheap / 2)
        while not self._stop.is_set():
            batch = self._world.cheap(service, choose.randint(5, 20))
            await self._partner_lane(choose, batch, earlier)
            await pace(len(batch))

    async def _dear(self) -> None:
        choose = random.Random(f"dear {self.seed}")
        earlier: list[list[Sent]] = []
        pace = self._pace(self.rates.dear)
        while not self._stop.is_set():
            batch = self._world.dear()
            await self._partner_lane(choose, batch, earlier)
            await pace(len(batch))

    async def _partner_lane(self, choose: random.Random, batch: list[Sent], earlier: list[list[Sent]]) -> None:
        if await self.sender.send(batch, self.sender.ask_partner):
            earlier.append(batch)
            del earlier[:-LOOK_BACK]
        if not earlier:
            return
        throw = choose.random()
        if throw < 0.05:
            await self.sender.again(choose.choice((earlier[-1], earlier[0])), self.sender.ask_partner)
        elif throw < 0.10:
            await self.sender.must_be_refused(list(map(self._world.other_body, choose.choice(earlier))), self.sender.ask_partner)
        elif throw < 0.15:
            late = [self._world.late(event) for event in earlier[-1]]
            await self.sender.send(late, self.sender.ask_partner, expected="superseded")
        elif throw < 0.20:
            await self.sender.send([self._world.broken(earlier[-1][0])], self.sender.ask_partner, expected="refused")

    async def _junk(self) -> None:
        choose = random.Random(f"junk {self.seed}")
        done = 0.0
        while not self._stop.is_set():
            try:
                async with poison.producing(self.where.kafka) as producer:
                    while not self._stop.is_set():
                        wanted = self.counts["accepted"] * self.rates.junk / 100
                        records = [self._one_junk(choose) for _ in range(min(20, int(wanted - done)))]
                        life = self.where.kafka
                        for landed in await poison.throw_in(producer, records):
                            record, part, offset = landed
                            self.ledger.thrown_in(record.topic, part, offset, life, record.kind, record.key)
                            self.counts["junk"] += 1
                        done += len(records)
                        if records and choose.random() < 0.02:
                            topic = choose.choice(poison.TARGETS)
                            if not await poison.is_refused_as_too_large(producer, topic) and self.where.has_a_limit:
                                self.ledger.complain("too large", topic, "the broker took a record of 10 MB")
                            self.counts["too large"] += 1
                        if life != self.where.kafka:
                            break
                        await asyncio.sleep(0.5)
            except (KafkaError, TimeoutError, OSError):
                await asyncio.sleep(1)

    def _one_junk(self, choose: random.Random) -> poison.Record:
        kind = choose.choice(poison.KINDS)
        if kind == "as large as the broker takes" and choose.random() > 0.1:  # each fills a fifth of an embedded partition
            kind = "bad JSON"
        return poison.make(choose, kind)

    async def _replay_once(self) -> None:
        """All records of some topic appended to it once more, some time into the run."""
        choose = random.Random(f"replay {self.seed}")
        topics = [name for name in TOPICS if TOPICS[name].readers]
        enough = 2000 + choose.randrange(2000)
        while not self._stop.is_set():
            if self.counts["accepted"] > enough:
                topic = choose.choice(topics)
                try:
                    async with poison.producing(self.where.kafka) as producer:
                        again = await poison.replay(self.where.kafka, producer, topic)
                except (KafkaError, TimeoutError, OSError):
                    again = 0
                if again:
                    self.counts["replayed"] = again
                    self.ledger.note("replayed", f"{topic}, {again} records")
                    return
            await asyncio.sleep(1)

    def _pace(self, rate: float) -> Callable[[int], Awaitable[None]]:
        """Waits so long after so many events that no more than `rate` a second are sent; no debt is kept."""
        next_at = time.monotonic()

        async def wait(events: int) -> None:
            nonlocal next_at
            next_at = max(next_at, time.monotonic() - 1) + events / rate
            pause = next_at - time.monotonic()
            if pause > 0:
                try:
                    async with asyncio.timeout(pause):
                        await self._stop.wait()
                except TimeoutError:
                    pass

        return wait
