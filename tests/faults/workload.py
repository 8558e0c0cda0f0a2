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
from typing import Any

import httpx
from aiokafka.errors import KafkaError

from tests.faults import poison
from tests.faults.counter import DEADLOCK, POISON, SAID, SET, TOPICS
from tests.faults.ledger import Answer, Ledger, Sent
from tests.faults.partners import World, cloud_event

BATCH = "application/cloudevents-batch+json"
ANSWER_SECONDS = 8
GIVEN_UP = 0.08
"""The share of batches that are not sent again when the first attempt had no answer."""
TO_BE_TRIED_AGAIN = ("time_too_old", "time_ahead", "unknown_municipality", "unknown_company")
"""Refusals that may pass: somebody's clock is wrong, or something else has to come first."""
ILL_EVERY = 20
"""Every 20th key has events over which the handler fails until they are cured."""
WAVE_SECONDS = 15.0
"""For so long all trouble has the same name; the campaign cures name after name."""
LOOK_BACK = 200
"""Batches that are remembered, to be repeated."""


@dataclass
class Surroundings:
    """Where everything is; the embedded broker moves with each of its lives."""

    origins: dict[str, list[str]]
    partner_key: str
    kafka: str
    has_a_limit: bool = True
    """Whether the broker refuses records of 10 MB. The embedded one takes them, and drops others for them."""


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

    ledger: Ledger
    where: Surroundings
    seed: int
    rates: Rates = field(default_factory=Rates)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._stop = asyncio.Event()
        self._calm = asyncio.Event()
        self._begun = time.monotonic()
        self._world = World(self.seed)

    def stop(self) -> None:
        """Begin nothing new; what has no answer yet is still sent again."""
        self._stop.set()

    def all_is_well(self) -> None:
        """No more faults: from now on nothing is given up."""
        self._calm.set()

    async def run(self) -> None:
        """Until `stop`, and until everything that is not given up was answered."""
        limits = httpx.Limits(max_connections=20, keepalive_expiry=5)
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, limits=limits, trust_env=False) as http:
            for batch in self._world.beginning():
                await self._partner_batch(http, batch)
            async with asyncio.TaskGroup() as lanes:
                for number in range(COUNTER_LANES):
                    lanes.create_task(self._count(http, number))
                lanes.create_task(self._cheap(http, "needs"))
                lanes.create_task(self._cheap(http, "catalog"))
                lanes.create_task(self._dear(http))
                lanes.create_task(self._junk())
                lanes.create_task(self._replay_once())

    # lanes -----------------------------------------------------------------------------------------------------------
    async def _count(self, http: httpx.AsyncClient, lane: int) -> None:
        choose = random.Random(f"counter {self.seed} {lane}")
        keys = [f"{lane}-{number}" for number in range(KEYS_OF_A_LANE)]
        numbers: Counter[tuple[str, str]] = Counter()
        earlier: list[list[Sent]] = []
        pace = self._pace(self.rates.counter / COUNTER_LANES)
        while not self._stop.is_set():
            batch = [self._number(choose, keys, numbers) for _ in range(choose.randint(10, 60))]
            if await self._send(http, batch, self._ask_counter, give_up=choose.random() < GIVEN_UP):
                earlier.append(batch)
                del earlier[:-LOOK_BACK]
            throw = choose.random()
            if earlier and throw < 0.06:  # the same again: the last one, or one from long ago
                await self._again(http, choose.choice((earlier[-1], earlier[0])), self._ask_counter)
            elif earlier and throw < 0.10:
                changed = [event._replace(number=event.number + 1_000_000) for event in choose.choice(earlier)]
                await self._must_be_refused(http, changed, self._ask_counter)
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

    async def _cheap(self, http: httpx.AsyncClient, service: str) -> None:
        choose = random.Random(f"cheap {self.seed} {service}")
        earlier: list[list[Sent]] = []
        pace = self._pace(self.rates.cheap / 2)
        while not self._stop.is_set():
            batch = self._world.cheap(service, choose.randint(5, 20))
            await self._partner_lane(http, choose, batch, earlier)
            await pace(len(batch))

    async def _dear(self, http: httpx.AsyncClient) -> None:
        choose = random.Random(f"dear {self.seed}")
        earlier: list[list[Sent]] = []
        pace = self._pace(self.rates.dear)
        while not self._stop.is_set():
            batch = self._world.dear()
            await self._partner_lane(http, choose, batch, earlier)
            await pace(len(batch))

    async def _partner_lane(
        self, http: httpx.AsyncClient, choose: random.Random, batch: list[Sent], earlier: list[list[Sent]]
    ) -> None:
        if await self._partner_batch(http, batch):
            earlier.append(batch)
            del earlier[:-LOOK_BACK]
        if not earlier:
            return
        throw = choose.random()
        if throw < 0.05:
            await self._again(http, choose.choice((earlier[-1], earlier[0])), self._ask_partner)
        elif throw < 0.10:
            await self._must_be_refused(http, list(map(self._world.other_body, choose.choice(earlier))), self._ask_partner)
        elif throw < 0.15:
            late = [self._world.late(event) for event in earlier[-1]]
            await self._send(http, late, self._ask_partner, expected="superseded")
        elif throw < 0.20:
            await self._send(http, [self._world.broken(earlier[-1][0])], self._ask_partner, expected="refused")

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

    # sending ---------------------------------------------------------------------------------------------------------
    async def _partner_batch(self, http: httpx.AsyncClient, batch: list[Sent]) -> bool:
        return await self._send(http, batch, self._ask_partner)

    async def _send(
        self,
        http: httpx.AsyncClient,
        batch: list[Sent],
        ask: "Ask",
        *,
        expected: str = "accepted",
        give_up: bool = False,
    ) -> bool:
        """Send until all are answered for good; False if it was given up. Answers other than `expected` are complained of."""
        left = batch
        first = True
        while left:
            self.ledger.sending(left)
            answers = await ask(http, left)
            if answers is None:
                self.counts["no answer"] += 1
                if give_up and not self._calm.is_set():
                    self.counts["given up"] += len(left)
                    return False
                first = False
                await asyncio.sleep(0.2)
                continue
            settled, again = self._judge(left, answers, expected, first=first)
            self.ledger.answered(settled)
            self.counts.update(said for _, outcome, said in settled if outcome != "ok")
            self.counts["accepted"] += sum(outcome == "ok" and said != "superseded" for _, outcome, said in settled)
            if again:
                await asyncio.sleep(0.5)
            left = again
        return True

    def _judge(self, sent: Sequence[Sent], answers: "Answers", expected: str, *, first: bool) -> tuple[list[Answer], list[Sent]]:
        """What is settled, and what has to be sent again."""
        settled: list[Answer] = []
        again: list[Sent] = []
        for event, (status, said) in zip(sent, answers, strict=True):
            if status == "refused" and said in TO_BE_TRIED_AGAIN:
                self.counts[said] += 1
                again.append(event)
                continue
            meant = ("superseded" if said == "superseded" else "accepted") if status in ("accepted", "repeat") else status
            if meant != expected or (status == "repeat" and first):
                self.ledger.complain("answer", f"{event.kind}/{event.subject}", f"{status} {said} for {event.id}, not {expected}")
            settled.append(Answer(event.id, "fail" if status == "refused" else "ok", said))
        return settled, again

    async def _again(self, http: httpx.AsyncClient, batch: list[Sent], ask: "Ask") -> None:
        """What was accepted before is sent once more: each has to be a repeat."""
        answers = await self._insist(http, batch, ask)
        self.counts["repeats"] += len(batch)
        for event, (status, said) in zip(batch, answers, strict=True):
            if status != "repeat":
                self.ledger.complain("repeat", f"{event.kind}/{event.subject}", f"{status} {said} for {event.id} sent again")

    async def _must_be_refused(self, http: httpx.AsyncClient, batch: list[Sent], ask: "Ask") -> None:
        """Ids that were accepted, with other content."""
        answers = await self._insist(http, batch, ask)
        self.counts["other bodies"] += len(batch)
        for event, (status, said) in zip(batch, answers, strict=True):
            if status != "refused":
                self.ledger.complain("other body", f"{event.kind}/{event.subject}", f"{status} {said} for {event.id} again")

    async def _insist(self, http: httpx.AsyncClient, batch: list[Sent], ask: "Ask") -> "Answers":
        while True:
            answers = await ask(http, batch)
            if answers is not None:
                return answers
            await asyncio.sleep(0.5)

    async def _ask_counter(self, http: httpx.AsyncClient, batch: Sequence[Sent]) -> "Answers | None":
        names = ("id", "topic", "key", "number", "trouble")
        body = [dict(zip(names, (e.id, e.kind, e.subject, e.number, e.trouble), strict=True)) for e in batch]
        answer = await self._post(http, "counter", body, "application/json")
        return answer and [(said, said) for said in answer]

    async def _ask_partner(self, http: httpx.AsyncClient, batch: Sequence[Sent]) -> "Answers | None":
        answer = await self._post(http, batch[0].service, [cloud_event(event) for event in batch], BATCH)
        return answer and [_understood(result) for result in answer]

    async def _post(self, http: httpx.AsyncClient, service: str, body: list[Any], kind: str) -> list[Any] | None:
        """The results, or None where it is not known what became of the request."""
        origin = random.choice(self.where.origins[service])
        headers = {"authorization": f"Bearer {self.where.partner_key}", "content-type": kind, "accept-language": "en"}
        try:
            answer = await http.post(f"{origin}/api/{service}/v1/events", json=body, headers=headers)
            if answer.status_code not in (202, 207, 422):
                self.counts[f"status {answer.status_code}"] += 1
                return None
            return answer.json()["results"]
        except (httpx.HTTPError, ValueError, KeyError):
            return None

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


COUNTER_LANES = 4
KEYS_OF_A_LANE = 60
Answers = list[tuple[str, str]]
"""One for each event: the status, and what was said beside it (the effect, or the code of the refusal)."""
Ask = Callable[[httpx.AsyncClient, Sequence[Sent]], Awaitable[Answers | None]]


def _understood(result: dict[str, Any]) -> tuple[str, str]:
    if result["status"] == "refused":
        return "refused", result["errors"][0]["code"] if result["errors"] else "?"
    return ("accepted" if result["status"] == "superseded" else result["status"]), result["effect"] or "superseded"
