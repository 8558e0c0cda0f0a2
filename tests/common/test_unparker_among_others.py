"""What happens while a parked event is tried: other un-parkers, newer versions, operators, a cut, trouble. Nothing is lost, twice
or out of order, and nobody waits for long. Real PostgreSQL.
"""

import asyncio

import pytest

from common.operating import mending
from common.operating.held import Cause
from tests.common.hop import NOTIFICATIONS, RATES
from tests.common.parked_bench import Bench, a_notification, a_rate, being_tried, work


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


async def test_an_unparker_that_keeps_to_its_own_leaves_what_is_anothers_however_much_of_that_is_overdue(bench: Bench) -> None:
    mine = {"lighting"}
    consumer, unparker = await bench.member(owns=lambda where: where[1] in mine)
    await bench.arrive(consumer, *(a_notification(f"pumps/{n}", 1, rule="poison") for n in range(100)))
    bench.later(seconds=0.1)
    await bench.arrive(consumer, *(a_notification(key, 1, rule="poison") for key in ("lighting/1", "lighting")))
    await bench.seen.cure("poison")
    bench.later(seconds=1)
    assert await work(unparker) == 2
    assert {key for key, *_ in await bench.waiting()} == {f"pumps/{n}" for n in range(100)}
    mine.clear()
    assert await work(unparker) == 0, "it owns nothing any more"
    mine.add("pumps")
    assert await work(unparker) == 100
    assert await bench.waiting() == []


async def test_when_a_newer_version_arrives_while_an_older_one_is_tried_only_the_newer_takes_effect(bench: Bench) -> None:
    consumer, _ = await bench.member()
    slow, trying = await being_tried(bench, consumer)
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
    _, trying = await being_tried(bench, consumer)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    assert (await bench.effects("JPY", RATES), await bench.waiting()) == ([], [("JPY", 1, "poison", 1)])
    assert await work(other) == 1
    assert await bench.effects("JPY", RATES) == [1]


async def test_an_event_that_somebody_changed_while_it_was_tried_is_tried_as_it_is_now(bench: Bench) -> None:
    consumer, _ = await bench.member()
    slow, trying = await being_tried(bench, consumer)
    body = a_rate("JPY", 1, per_usd="150").body
    await bench.seen.connection.execute("update parked set body = $1", body)
    slow.go_on.set()
    await trying
    assert await bench.effects("JPY", RATES) == [1]
    assert bench.outcomes("rolled-back", RATES) == 1
