"""Small stories in which a certain mistake would show: each ends at rest, and gives every anomaly that the verdict finds."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from common.clock import rfc3339
from common.exact_json import dump
from common.messaging.consumer import Consumer
from common.messaging.message import Event, Partition
from common.messaging.publisher import Publisher
from tests.common.hop import until
from tests.eventually import eventually
from tests.faults import poison
from tests.faults.counter import COUNTED, DEADLOCK, POISON, SAID, SET, NumberSaid
from tests.faults.lab import Lab
from tests.faults.mail_faults import DROP_AFTER_DATA
from tests.faults.partners import CORNERS
from tests.faults.rest import cure
from tests.faults.verdict import Anomaly

Scenario = Callable[[Lab], Awaitable[list[Anomaly]]]

KEYS = [f"key-{number}" for number in range(12)]
"""Enough that every partition has some."""


async def killed_while_it_handles(lab: Lab) -> list[Anomaly]:
    """A reader dies between the fence and the effect; nothing comes after these events."""
    async with lab.life("counter", "tally"):
        await lab.say(lab.numbers(*KEYS))
        await everything_counted(lab, len(KEYS))
        await stopped_at(lab, "cursors.advance:after", lab.say(lab.numbers(*KEYS)))
    return await a_new_life(lab)


async def slow_to_commit(lab: Lab) -> list[Anomaly]:
    """A transaction takes its time between its last word and the commit; others come after it and are done before it."""
    async with lab.life("counter", "tally"):
        with lab.stopped_at("outbox.append:after", seconds=0.7) as stopped:
            slow = lab.begin(lab.say(lab.numbers("slow", "shared")))
            await stopped()
            await lab.say(lab.numbers("quick"))
            await asyncio.gather(slow, lab.say(lab.numbers("shared")))
        return await lab.rest()


async def everything_twice(lab: Lab) -> list[Anomaly]:
    """A relay dies before it could note what the broker had acknowledged; later both topics are replayed from the beginning."""
    async with lab.life("counter", "tally"):
        await lab.say(lab.numbers(*KEYS) + lab.numbers(*KEYS, kind=SET))
        await lab.say(lab.numbers(*KEYS) + lab.numbers(*KEYS, kind=SET))
        await everything_counted(lab, 4 * len(KEYS))
        await stopped_at(lab, "publisher.Publisher.publish:after", lab.say(lab.numbers(*KEYS)))
    async with lab.life("counter", "tally"):
        await lab.rest_only()
        await lab.replay(SAID, SET)
        await lab.say(lab.numbers("the last one"))
        return await lab.rest()


async def killed_before_it_sends(lab: Lab) -> list[Anomaly]:
    """A relay dies with a batch in its hand."""
    async with lab.life("counter", "tally"):
        await stopped_at(lab, "publisher.Publisher.publish:before", lab.say(lab.numbers(*KEYS)))
    return await a_new_life(lab)


async def two_processes_send(lab: Lab) -> list[Anomaly]:
    """A relay hesitates with a batch in its hand, a second process of the service beside it, while newer versions are stored."""
    async with lab.life("counter", "tally"), lab.another_relay("counter") as other:
        await eventually(
            lambda: lab.rows("counter", ASKS_FOR_THE_LEAD), lambda rows: rows or other.leading, within=10, what="two relays"
        )
        with lab.stopped_at("publisher.Publisher.publish:before") as stopped:
            await lab.say(lab.numbers(*KEYS, kind=SET))
            await stopped()
            await lab.say(lab.numbers(*KEYS, kind=SET))
            with suppress(AssertionError):  # only by mistake the other one sends meanwhile
                await everything_sent(lab, within=3)
            stopped.go_on()
        return await lab.rest(whole_log=True)


async def killed_before_the_commit(lab: Lab) -> list[Anomaly]:
    """A process dies while it takes in two requests: one right before its events are appended, one right after. The partner, who
    has no answers, sends the same again."""
    first, second = lab.numbers("a", "b"), lab.numbers("c", "d")
    async with lab.life("counter", "tally"):
        await stopped_at(lab, "outbox.append:before", lab.say(first), answered=False)
        await stopped_at(lab, "outbox.append:after", lab.say(second), answered=False)
    async with lab.life("counter", "tally"):
        await lab.say(first)
        await lab.say(second)
        return await lab.rest()


async def junk_among_events(lab: Lab) -> list[Anomaly]:
    """Every kind of junk between good events."""
    async with lab.life("counter", "tally"):
        await lab.say(lab.numbers(*KEYS))
        await lab.throw_in(lab.junk())
        await lab.say(lab.numbers(*KEYS))
        return await lab.rest(whole_log=True)


async def a_log_is_lost(lab: Lab) -> list[Anomaly]:
    """The broker comes back as another one, before a reader has read everything of the old one; the new log is not laid out like
    the old one, because that held junk."""
    async with lab.life("counter"):
        async with lab.life("tally"):
            await lab.throw_in(lab.bad_json(COUNTED, 40))
            await lab.say(lab.numbers(*KEYS))
            await lab.rest_only()
        await lab.say(lab.numbers(*KEYS))
        await everything_counted(lab, 2 * len(KEYS), "counter")
        await everything_sent(lab)
    lab.lose_the_log()
    async with lab.life("counter"):
        await everything_sent(lab)
        async with lab.life("tally"):
            return await lab.rest()


async def a_log_is_shortened(lab: Lab) -> list[Anomaly]:
    """The broker comes back under its old name with nothing in its log; readers stand beyond its end, and because of the junk in
    the old log also beyond what is written next."""
    async with lab.life("counter", "tally"):
        await lab.throw_in(lab.bad_json(SAID, 40))
        for _ in range(3):
            await lab.say(lab.numbers(*KEYS))
        await lab.rest_only()
    lab.lose_the_log(renamed=False)
    async with lab.life("counter", "tally"):
        await lab.say(lab.numbers(*KEYS))
        return await lab.rest()


async def a_reader_of_another_life_wakes_up(lab: Lab) -> list[Anomaly]:
    """A reader hangs in a batch while the broker loses its log and another one takes over, and goes on when that one has begun.
    The new log is longer in the end, and laid out otherwise, because the old one held junk."""
    async with lab.life("tally"):
        async with lab.life("counter"):
            await lab.throw_in(lab.bad_json(COUNTED, 40))
            await lab.say(lab.numbers(*KEYS))
            await everything_counted(lab, len(KEYS))
            with lab.stopped_at("consumer.Consumer.store:before", only=half_of_the_tally) as zombie:
                await lab.say(lab.numbers(*KEYS))
                await zombie()
        lab.lose_the_log()
        async with lab.life("counter"):
            await lab.say(lab.numbers(*(f"new-{number}" for number in range(100))))
            await everything_counted(lab, 2 * len(KEYS) + 100, "counter")
            await everything_sent(lab)
            with lab.stopped_at("consumer.Consumer.store:before", only=half_of_the_tally) as heir:
                async with lab.life("tally"):
                    await heir()
                    await zombie.goes_on()
            async with lab.life("tally"):
                return await lab.rest()


async def poison_among_good_ones(lab: Lab) -> list[Anomaly]:
    """In one batch, a key's second event cannot be handled and its third comes behind; so of a state, whose third is good."""
    async with lab.life("counter", "tally"):
        bad = f"{POISON}0"
        with lab.stopped_at("publisher.Publisher.publish:before", seconds=0.5):
            await lab.say(
                [*lab.numbers("ill", *KEYS), *lab.numbers("ill", trouble=bad), *lab.numbers("ill", *KEYS),
                 *lab.numbers("ill", kind=SET), *lab.numbers("ill", kind=SET, trouble=bad), *lab.numbers("ill", kind=SET)]
            )  # fmt: skip
        with suppress(AssertionError):  # a mistake may keep it from waiting
            await eventually(lambda: lab.rows("counter", "select from parked where reason = 'poison'"), within=4)
        await cure(lab.dsn, [bad])
        return await lab.rest()


async def an_event_is_missing(lab: Lab) -> list[Anomaly]:
    """An event never reaches Kafka, as if a broker had lost it; the next one of its key does."""
    async with lab.life("counter", "tally"):
        with lab.stopped_at("publisher.Publisher.publish:before") as stopped:
            await lab.say(lab.numbers(*KEYS))
            await stopped()
            await lab.say(lab.numbers(*KEYS))
            await lab.execute("counter", "delete from unsent")
            await publish(lab, await lab.stored("counter", SAID, sequence=2))
            await eventually(lambda: lab.rows("counter", "select from parked where reason = 'gap'"), within=5, what="a gap")
    return await a_new_life(lab)


async def one_event_always_meets_a_deadlock(lab: Lab) -> list[Anomaly]:
    """An event over which PostgreSQL always stumbles, and good ones in its partition, while other partitions move on without end.
    It is nobody's; the others must not wait for it."""
    async with lab.life("counter", "tally"):
        await publish(lab, [number_event(lab, f"{poison.JUNK}ill", f"{DEADLOCK}0")])
        for _ in range(28):
            await lab.say(lab.numbers(*KEYS))
            await asyncio.sleep(0.25)
        return await lab.rest(within=1.5)


async def a_partner_stumbles(lab: Lab) -> list[Anomaly]:
    """A partner sends again what was accepted, sends what is older than what stands, and has no answer while a process dies."""
    cities = [lab.world.municipality(f"city-{number}", "JP", "Asia/Tokyo") for number in range(5)]
    async with lab.life("needs", "notify"):
        await lab.publish(cities)
        await lab.publish_again(cities)
        await lab.publish([lab.world.late(city) for city in cities], expected="superseded")
        newer = [lab.world.municipality(f"city-{number}", "JP", "Asia/Tokyo") for number in range(5)]
        await stopped_at(lab, "outbox.append:before", lab.publish(newer), answered=False)
    return await a_new_life(lab, "needs", "notify")


async def a_mail_server_hangs_up(lab: Lab) -> list[Anomaly]:
    """The mail server takes the first mails and hangs up before it says so; they are sent again."""
    corner = CORNERS[0]
    lab.mailbox.mood = DROP_AFTER_DATA
    async with lab.life("needs", "catalog", "matching", "notify"):
        for batch in lab.world.beginning():
            await lab.publish(batch)
        await lab.publish([lab.world.need(corner, 0)])
        await lab.publish([lab.world.offering(corner, 0)])
        await until(lambda: lab.mailbox.met[DROP_AFTER_DATA] >= 1)
        lab.mailbox.mood = ""
        return await lab.rest(within=20)


# what the stories are made of --------------------------------------------------------------------------------------------
ASKS_FOR_THE_LEAD = """select from pg_stat_activity
    where datname = current_database() and state = 'idle' and query like 'select pg_try_advisory_lock(%'"""
"""The sessions of relays that stand by."""


def half_of_the_tally(consumer: Consumer, records: object, after: Mapping[Partition, int], owned: object) -> bool:
    """Of the two batches that a reader has side by side, always the same one."""
    return consumer.group == "tally" and min(after).number % 2 == 0


async def stopped_at(lab: Lab, point: str, saying: Coroutine[Any, Any, None], *, answered: bool = True) -> None:
    """Something is said, and who comes by the crash point first because of it gets no further: it dies with its life. Not
    `answered`: the one who says it waits for its answer in vain."""
    with lab.stopped_at(point) as stopped:
        if answered:
            await saying
        else:
            lab.begin(saying)
        await stopped()


async def a_new_life(lab: Lab, *services: str) -> list[Anomaly]:
    """What is found when all has come to rest in it."""
    async with lab.life(*(services or ("counter", "tally"))):
        return await lab.rest()


async def everything_counted(lab: Lab, amount: int, *services: str) -> None:
    """Wait until so many events have taken effect, there or at both."""
    for service in services or ("counter", "tally"):
        await eventually(
            lambda service=service: lab.rows(service, "select from effect"), lambda rows: len(rows) >= amount, within=10,
            what=f"{amount} effects at {service}",
        )  # fmt: skip


async def everything_sent(lab: Lab, *, within: float = 10) -> None:
    """Wait until the broker has acknowledged all that the counter announced."""
    await eventually(
        lambda: lab.rows("counter", "select from unsent"), lambda rows: not rows, within=within, what="nothing unsent"
    )


async def publish(lab: Lab, events: list[Event]) -> None:
    """Put these into Kafka past the relay."""
    publisher = Publisher(lab.broker.address)
    try:
        await publisher.publish(events)
    finally:
        await publisher.close()


def number_event(lab: Lab, key: str, trouble: str) -> Event:
    """An event of a key that nobody announced."""
    body = dump(NumberSaid(key=key, number=1, trouble=trouble))
    return Event(SAID, key, 1, "00000000-0000-4000-8000-000000000001", NumberSaid.type, "/nobody", rfc3339(lab.clock()), body)
