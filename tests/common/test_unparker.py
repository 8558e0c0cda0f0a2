"""Parked events go on by themselves: once, in their key's order, and without holding any other key up. Real PostgreSQL."""

from common.messaging.control import Resend
from common.operating import mending
from common.operating.held import EventId
from tests.common.hop import NOTIFICATIONS, RATES
from tests.common.parked_bench import Bench, a_notification, a_rate, work


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
