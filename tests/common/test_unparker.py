"""Parked events go on by themselves: once, in their key's order, and without holding any other key up. Real PostgreSQL."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from common import migrate
from common.contracts.catalog import ExchangeRatePublished
from common.contracts.values import Fact
from common.messaging import cursors
from common.messaging.consumer import Arrived, Consumer, Handler
from common.messaging.control import Resend
from common.messaging.cursors import Ownership, Partition
from common.messaging.message import Event, to_headers
from common.messaging.unparker import Unparker
from common.operating import mending
from common.operating.held import Cause, EventId
from common.postgres import Database
from common.telemetry import Telemetry
from common.transaction import Transaction
from tests.common.hop import HANDLERS, MIGRATIONS, NOTIFICATIONS, RATES, Seen, looking_at, notification
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

    async def member(self, handlers: Mapping[type[Fact], Handler] = HANDLERS) -> tuple[Consumer, Unparker]:
        """Another process of the group."""
        database = Database(self._postgres, "hop", clock=lambda: self.now)
        await database.open()
        self._stack.push_async_callback(database.close)
        consumer = Consumer(database, "hop", handlers, self.told)
        return consumer, Unparker(database, consumer, self._ask, self.told)

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


@pytest.fixture
async def bench(postgres: str) -> AsyncIterator[Bench]:
    await migrate.apply(postgres, "hop", {"messaging": MESSAGING, "hop": MIGRATIONS})
    async with AsyncExitStack() as stack, looking_at(postgres, "hop") as seen:
        yield Bench(postgres, seen, stack)


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


async def test_a_cured_event_takes_effect_and_all_that_stood_behind_it_follow_in_order(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_notification("a", 1, rule="poison"), a_notification("a", 2), a_notification("b", 1))
    await bench.arrive(consumer, a_notification("a", 3))
    await work(unparker)
    assert await bench.effects("a") == []
    await bench.seen.cure("poison")
    bench.later(seconds=1)
    assert await work(unparker) == 1  # the whole run at once
    assert await bench.effects("a") == [1, 2, 3]
    assert await bench.waiting() == []
    await bench.arrive(consumer, a_notification("a", 4))
    assert await bench.effects("a") == [1, 2, 3, 4]


async def test_what_keeps_failing_is_given_up_after_eleven_more_attempts_and_waits_for_a_person(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_notification("a", 1, rule="poison"), a_notification("a", 2))
    for attempts, seconds in enumerate([1, 5, 30, 120, 600, *[3600] * 6], 1):
        bench.later(seconds=seconds - 0.1)
        await work(unparker)
        assert (await bench.waiting())[0] == ("a", 1, "poison", attempts)
        bench.later(seconds=0.1)
        await work(unparker)
    assert await bench.waiting() == [("a", 1, "poison", 12), ("a", 2, "behind", 0)]
    bench.later(days=400)
    assert await work(unparker) == 0
    assert await bench.letters() == [("poison", "a", 1), ("dead", "a", 1)]
    assert bench.outcomes("failed") == 10
    assert bench.outcomes("dead") == 1

    await bench.seen.cure("poison")
    async with consumer.database.transaction() as tx:
        await mending.retry(tx, "hop", EventId(NOTIFICATIONS, "a", 1), actor="somebody", reason="the rule was mended")
    await work(unparker)
    assert await bench.effects("a") == [1, 2]


async def test_a_group_that_is_new_to_a_shortened_topic_goes_on_in_every_key_after_one_word(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    keys = [f"k{n}" for n in range(40)]
    await bench.arrive(consumer, *(a_notification(key, sequence) for key in keys for sequence in (7, 8)))
    bench.later(seconds=1)
    assert await work(unparker) == 40
    trying = asyncio.create_task(work(unparker))  # side by side: none may be lost, done twice or out of order
    async with consumer.database.transaction() as tx:
        cause = Cause(NOTIFICATIONS, "notification.issued.v1", "gap", "events")
        entry = await mending.go_on_all(tx, "hop", cause, actor="somebody", reason="it is gone")
    await bench.arrive(consumer, *(a_notification(key, sequence) for key in keys for sequence in (6, 9)))
    await trying
    bench.later(seconds=1)
    await work(unparker)
    assert entry.subject["count"] == 40
    assert [await bench.effects(key) for key in keys] == [[7, 8, 9]] * 40, "what was missing comes too late"
    assert await bench.waiting() == []


async def test_what_is_missing_is_asked_for_and_when_it_has_come_the_key_goes_on_at_once(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_notification("a", 1), a_notification("a", 4), a_notification("a", 5), a_notification("a", 7))
    assert await work(unparker) == 0  # it may only be late
    bench.later(seconds=1)
    await work(unparker)
    assert bench.asked == [Resend(NOTIFICATIONS, "a", 2, 3)]
    await bench.arrive(consumer, a_notification("a", 2))
    assert await work(unparker) == 0
    await bench.arrive(consumer, a_notification("a", 3))
    await work(unparker)
    assert await bench.effects("a") == [1, 2, 3, 4, 5]
    assert bench.asked == [Resend(NOTIFICATIONS, "a", 2, 3), Resend(NOTIFICATIONS, "a", 6, 6)]
    await bench.arrive(consumer, a_notification("a", 6))
    await work(unparker)
    assert await bench.effects("a") == [1, 2, 3, 4, 5, 6, 7]
    assert await bench.waiting() == []


async def test_missing_and_late_in_one_batch_need_no_asking(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_notification("a", 3), a_notification("a", 1), a_notification("a", 2))
    await work(unparker)
    assert (await bench.effects("a"), bench.asked) == ([1, 2, 3], [])


async def test_a_source_is_asked_again_by_the_same_waits_and_then_a_person_is_needed(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_notification("a", 2))
    for seconds in (1, 1, 5, 30, 120, 600, *[3600] * 6):
        bench.later(seconds=seconds)
        await work(unparker)
    assert bench.asked == [Resend(NOTIFICATIONS, "a", 1, 1)] * 12
    bench.later(days=400)
    assert await work(unparker) == 0
    assert await bench.letters() == [("dead", "a", 2)]
    await bench.arrive(consumer, a_notification("a", 1))  # it comes nevertheless
    await work(unparker)
    assert await bench.effects("a") == [1, 2]


async def test_an_event_that_fails_once_what_was_missing_has_come_begins_its_waits_anew(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_notification("a", 2, rule="poison"))
    for seconds in (1, 1, 5):
        bench.later(seconds=seconds)
        await work(unparker)
    assert await bench.waiting() == [("a", 2, "gap", 3)]
    await bench.arrive(consumer, a_notification("a", 1))
    await work(unparker)
    assert await bench.waiting() == [("a", 2, "poison", 1)]
    assert await bench.letters() == [("poison", "a", 2)]


async def test_of_a_long_run_with_one_poison_in_the_middle_all_before_it_take_effect_together(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    run = [a_notification("a", n, rule="poison" if n == 701 else "database" if n == 1 else "r") for n in range(1, 1301)]
    await bench.arrive(consumer, *run, patient=False)
    assert await bench.effects("a") == []
    await bench.seen.cure("database")
    bench.later(seconds=1)
    assert await work(unparker) == 2  # 500, then 200 and the poison
    assert await bench.effects("a") == list(range(1, 701))
    assert (await bench.waiting())[:2] == [("a", 701, "poison", 1), ("a", 702, "behind", 0)]
    await bench.seen.cure("poison")
    bench.later(seconds=1)
    assert await work(unparker) == 2
    assert await bench.effects("a") == list(range(1, 1301))


async def test_what_stands_behind_is_looked_at_once_and_not_again(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_notification("a", 1, rule="poison"))
    bench.later(seconds=1)
    await work(unparker)
    await bench.arrive(consumer, *(a_notification("a", n) for n in range(2, 1200)))
    bench.later(seconds=1)
    assert await work(unparker) == 1
    assert bench.outcomes("failed") == 1  # the head's own time has not come
    bench.later(seconds=1)
    assert await work(unparker) == 0


async def test_of_a_state_topic_older_versions_are_tried_lowest_first_and_a_newer_one_heals(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_rate("JPY", 1, source="poison"), a_rate("JPY", 2, source="poison"))
    await bench.arrive(consumer, a_rate("VND", 1, per_usd="-7"), a_rate("VND", 2, source="poison"))
    bench.later(seconds=1)
    await work(unparker)
    assert await bench.waiting() == [
        ("JPY", 1, "poison", 2), ("JPY", 2, "poison", 2), ("VND", 1, "poison", 2), ("VND", 2, "poison", 2),
    ]  # fmt: skip
    await bench.seen.cure("poison")
    bench.later(seconds=5)
    await work(unparker)
    assert await bench.effects("JPY", RATES) == [1, 2]
    assert await bench.effects("VND", RATES) == [2]
    assert await bench.waiting() == [("VND", 1, "superseded", 3)]
    assert await bench.seen.connection.fetchval("select pointer from parked") == "/per_usd"


async def test_a_version_that_is_given_up_does_not_hold_a_newer_one(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_rate("JPY", 1, per_usd="-7"))
    for _ in range(12):
        bench.later(hours=1)
        await work(unparker)
    await bench.arrive(consumer, a_rate("JPY", 2, source="poison"))
    await bench.seen.cure("poison")
    bench.later(seconds=1)
    await work(unparker)
    assert await bench.effects("JPY", RATES) == [2]
    assert await bench.waiting() == [("JPY", 1, "superseded", 12)]


async def test_a_parked_version_that_arrives_again_and_takes_effect_is_not_parked_any_more(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    event = a_rate("JPY", 1, source="poison")
    await bench.arrive(consumer, event)
    await bench.arrive(consumer, event)  # fails again: told once
    assert await bench.letters() == [("poison", "JPY", 1)]
    await bench.seen.cure("poison")
    await bench.arrive(consumer, event)
    bench.later(hours=1)
    await work(unparker)
    assert (await bench.effects("JPY", RATES), await bench.waiting()) == ([1], [])


async def test_two_unparkers_side_by_side_share_the_keys_and_double_nothing(bench: Bench) -> None:
    consumer, one = await bench.member()
    _, other = await bench.member()
    keys = [f"k{n}" for n in range(40)]
    await bench.arrive(consumer, *(a_notification(key, n, rule="poison") for n in range(1, 4) for key in keys))
    await bench.seen.cure("poison")
    bench.later(seconds=1)
    steps = await asyncio.gather(work(one), work(other))
    assert min(steps) > 0
    for key in keys:
        assert await bench.effects(key) == [1, 2, 3]
    assert await bench.waiting() == []


class Slow:
    """A handler of rates that waits until it is told to go on, once, then records as usual."""

    def __init__(self) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, events: Sequence[Arrived[Any]], tx: Transaction) -> None:
        await HANDLERS[ExchangeRatePublished](events, tx)
        if not self.reached.is_set():
            self.reached.set()
            await self.go_on.wait()


async def test_when_a_newer_version_arrives_while_an_older_one_is_tried_only_the_newer_takes_effect(bench: Bench) -> None:
    consumer, _ = await bench.member()
    slow = Slow()
    _, unparker = await bench.member({ExchangeRatePublished: slow})
    await bench.arrive(consumer, a_rate("JPY", 1, source="poison"))
    await bench.seen.cure("poison")
    bench.later(seconds=1)
    trying = asyncio.create_task(work(unparker))
    await slow.reached.wait()
    async with asyncio.timeout(5):  # the consumer does not wait for the un-parker's handler
        await bench.arrive(consumer, a_rate("JPY", 2))
    slow.go_on.set()
    await trying
    assert await bench.effects("JPY", RATES) == [2]
    assert await bench.waiting() == [("JPY", 1, "superseded", 1)]
    assert bench.outcomes("rolled-back", RATES) == 1


async def test_when_a_consumer_keeps_a_cursor_the_unparker_gives_way_and_comes_again(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_rate("JPY", 1), a_rate("JPY", 2, source="poison"), a_rate("EUR", 1, source="poison"))
    await bench.seen.cure("poison")
    bench.later(seconds=2)
    async with consumer.database.transaction() as tx:
        await tx.execute("select from inbox_cursor where key = 'JPY' for update")
        assert await unparker.step()
        assert await unparker.step()
        assert await bench.effects("EUR", RATES) == [1]
    await work(unparker)
    assert await bench.effects("JPY", RATES) == [1, 2]


async def test_a_key_that_always_brings_trouble_is_poison_in_the_end_and_the_others_do_not_wait_for_it(bench: Bench) -> None:
    consumer, unparker = await bench.member()
    await bench.arrive(consumer, a_notification("bad", 1, rule="poison"), a_notification("bad", 2, rule="database"))
    await bench.arrive(consumer, a_notification("good", 1, rule="poison"))
    await bench.seen.cure("poison")
    bench.later(seconds=1)
    await work(unparker)
    assert await bench.effects("good") == [1]
    assert await bench.effects("bad") == []  # rolled back together with the first
    for _ in range(5):
        assert ("bad", 2, "behind", 0) in await bench.waiting()
        bench.later(seconds=30)
        await work(unparker)
    assert bench.outcomes("rolled-back") == 5
    assert await bench.effects("bad") == [1]
    assert await bench.waiting() == [("bad", 2, "poison", 1)]
    await bench.seen.cure("database")
    bench.later(seconds=1)
    await work(unparker)
    assert await bench.effects("bad") == [1, 2]


async def test_a_step_that_is_cut_off_in_the_middle_changes_nothing_and_holds_nothing(bench: Bench) -> None:
    consumer, other = await bench.member()
    slow = Slow()
    _, unparker = await bench.member({ExchangeRatePublished: slow})
    await bench.arrive(consumer, a_rate("JPY", 1, source="poison"))
    await bench.seen.cure("poison")
    bench.later(seconds=1)
    trying = asyncio.create_task(unparker.step())
    await slow.reached.wait()
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    assert (await bench.effects("JPY", RATES), await bench.waiting()) == ([], [("JPY", 1, "poison", 1)])
    assert await work(other) == 1
    assert await bench.effects("JPY", RATES) == [1]


async def test_an_event_that_somebody_changed_while_it_was_tried_is_tried_as_it_is_now(bench: Bench) -> None:
    consumer, _ = await bench.member()
    slow = Slow()
    _, unparker = await bench.member({ExchangeRatePublished: slow})
    await bench.arrive(consumer, a_rate("JPY", 1, source="poison"))
    await bench.seen.cure("poison")
    bench.later(seconds=1)
    trying = asyncio.create_task(work(unparker))
    await slow.reached.wait()
    body = a_rate("JPY", 1, per_usd="150").body
    await bench.seen.connection.execute("update parked set body = $1", body)
    slow.go_on.set()
    await trying
    assert await bench.effects("JPY", RATES) == [1]
    assert bench.outcomes("rolled-back", RATES) == 1
