"""A group with events that wait, on a real PostgreSQL and without a broker: consumers, un-parkers, and a clock to move."""

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiokafka import ConsumerRecord

from common import migrate
from common.contracts.catalog import ExchangeRatePublished
from common.contracts.values import Fact
from common.messaging import cursors
from common.messaging.consumer import Arrived, Consumer, Handler
from common.messaging.control import Resend
from common.messaging.cursors import Ownership, Partition
from common.messaging.gate import LaneKey
from common.messaging.message import Event, to_headers
from common.messaging.unparker import Unparker
from common.postgres import Database
from common.telemetry import Telemetry
from common.transaction import Transaction
from tests.common.hop import HANDLERS, NOTIFICATIONS, RATES, Seen, notification
from tests.common.records import an_event

MESSAGING = Path(migrate.__file__).parent / "migrations" / "messaging"


class Bench:
    """A group with its consumer and its un-parker, without a broker; time stands still until it is moved."""

    def __init__(self, postgres: str, seen: Seen, stack: AsyncExitStack) -> None:
        self.seen = seen
        self.now = datetime(2026, 11, 24, 3, tzinfo=UTC)
        self.asked: list[Resend] = []
        self.told = Telemetry("hop", log_level="CRITICAL")
        self._postgres = postgres
        self._stack = stack
        self._owned = Ownership("life")
        self._offset = 0

    async def member(
        self, handlers: Mapping[type[Fact], Handler] = HANDLERS, *, owns: Callable[[LaneKey], bool] | None = None
    ) -> tuple[Consumer, Unparker]:
        """Another process of the group; `owns` as for an un-parker."""
        database = Database(self._postgres, "hop", clock=lambda: self.now)
        await database.open()
        self._stack.push_async_callback(database.close)
        consumer = Consumer(database, "hop", handlers, self.told)
        return consumer, Unparker(database, consumer, self._ask, self.told, owns=owns)

    async def _ask(self, resend: Resend) -> None:
        self.asked.append(resend)

    async def arrive(self, consumer: Consumer, *events: Event, patient: bool = True) -> None:
        """These events are the next batch."""
        part = Partition(events[0].topic, 0)
        if part not in self._owned.generations:
            async with consumer.database.transaction() as tx:
                [claim] = await cursors.claim(tx, "hop", "life", [part])
            self._owned.generations[part] = claim.generation
        records = [a_delivery(event, self._offset + n) for n, event in enumerate(events)]
        self._offset += len(events)
        await consumer.store(records, {part: self._offset}, self._owned, patient=patient)

    def later(self, **span: float) -> None:
        """Time goes on."""
        self.now += timedelta(**span)

    async def effects(self, key: str, topic: str = NOTIFICATIONS) -> list[int]:
        """The sequences of a key that took effect, in order."""
        return [sequence for name, sequence in await self.seen.effects(topic) if name == key]

    async def waiting(self) -> list[tuple[str, int, str, int]]:
        """Key, sequence, reason and attempts of what is parked."""
        return [(row["key"], row["sequence"], row["reason"], row["attempts"]) for row in await self.seen.parked()]

    async def letters(self) -> list[tuple[str, str, int]]:
        """What the feed of dead letters was told: cause, key, sequence."""
        rows = await self.seen.connection.fetch("select body from outbox where topic = 'dead-letters' order by batch, n")
        bodies = [json.loads(row["body"]) for row in rows]
        return [(body["cause"], body["key"]["value"], body["sequence"]) for body in bodies]

    def outcomes(self, outcome: str, topic: str = NOTIFICATIONS) -> float:
        """How often the un-parker met with this outcome."""
        labels = {"topic": topic, "outcome": outcome}
        return self.told.registry.get_sample_value("musubi_parked_events_retried_total", labels) or 0


def a_delivery(event: Event, offset: int) -> ConsumerRecord[bytes, bytes]:
    """An event as aiokafka hands it over."""
    key, headers = event.key.encode(), tuple(to_headers(event))
    return ConsumerRecord(event.topic, 0, offset, 1_764_000_000_000, 0, key, event.body, None, len(key), len(event.body), headers)


def a_notification(key: str, sequence: int, *, rule: str = "r") -> Event:
    """An event of the dense topic; `rule` "poison" and "database" fail until they are cured."""
    event = an_event(topic=NOTIFICATIONS, key=key, sequence=sequence, id=str(uuid.uuid4()), type="notification.issued.v1")
    return event._replace(body=notification(key, rule=rule).model_dump_json().encode())


def a_rate(key: str, sequence: int, *, source: str = "s", per_usd: str = "1.5") -> Event:
    """An event of a state topic."""
    body = {"currency": key, "per_usd": per_usd, "as_of": "2026-11-01", "source": source}
    return an_event(topic=RATES, key=key, sequence=sequence, id=str(uuid.uuid4()), body=json.dumps(body).encode())


async def work(unparker: Unparker) -> int:
    """Do everything that is due; how many steps it took."""
    steps = 0
    while await unparker.step():
        steps += 1
        assert steps < 1000
    return steps


class Slow:
    """A handler of rates that waits until it is told to go on, once, then records as usual."""

    def __init__(self) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, events: Sequence[Arrived[Any]], tx: Transaction) -> None:
        await HANDLERS[ExchangeRatePublished](events, tx)
        if not self.reached.is_set():
            self.reached.set()
            await self.go_on.wait()


async def being_tried(bench: Bench, consumer: Consumer) -> tuple[Slow, asyncio.Task[int]]:
    """The parked first rate of JPY is in the hands of an un-parker whose handler waits; and what that un-parker is at."""
    slow = Slow()
    _, unparker = await bench.member({ExchangeRatePublished: slow})
    await bench.arrive(consumer, a_rate("JPY", 1, source="poison"))
    await bench.seen.cure("poison")
    bench.later(seconds=1)
    trying = asyncio.create_task(work(unparker))
    await slow.reached.wait()
    return slow, trying
