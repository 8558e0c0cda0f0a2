"""What no verb of an operator does to a held event: without a reason, out of turn, while somebody else is at work on it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from common.errors import NotFound, Rejected
from common.messaging import cursors, parked
from common.messaging.gate import Move
from common.operating import audit, mending
from common.postgres import Database
from tests.common.mending_bench import (
    GOOD,
    GROUP,
    RATES,
    do,
    fact,
    given,
    last,
    refused,
    rows,
    state,
    trail,
    until_somebody_waits_for_a_lock,
    which,
)

# what is refused ------------------------------------------------------------------------------------------------------
VERBS: Sequence[tuple[Any, tuple[Any, ...]]] = ((mending.retry, ()), (mending.edit, (GOOD,)), (mending.skip, ()))


@pytest.mark.parametrize(("verb", "more"), VERBS)
async def test_every_act_asks_for_a_reason_that_people_can_read(database: Database, verb: Any, more: tuple[Any, ...]) -> None:
    await given(database, (state(), "poison"))
    for reason, slug in (
        ("  \n", "reason-missing"),
        ("x" * 501, "reason-too-long"),
        ("a\x00b", "reason-not-readable"),
    ):
        assert (await refused(database, verb, which(state()), *more, reason=reason)).slug == slug


@pytest.mark.parametrize(("verb", "more"), VERBS)
async def test_behind_the_head_of_a_key_nothing_can_be_done_in_a_topic_of_facts(
    database: Database, verb: Any, more: tuple[Any, ...]
) -> None:
    await given(database, (fact(3), "poison"), (fact(4), "behind"), last=2)
    error = await refused(database, verb, which(fact(4)), *more)
    assert error.slug == "not-the-head"
    assert "3" in error.detail["en"] and "3" in error.detail["ja"]


async def test_an_older_state_has_to_be_decided_before_a_newer_one_is_skipped(database: Database) -> None:
    await given(database, (state(3), "poison"), (state(5), "poison"))
    assert (await refused(database, mending.skip, which(state(5)))).slug == "not-the-head"
    await do(database, mending.retry, which(state(5)))


@pytest.mark.parametrize(("verb", "more"), VERBS)
async def test_an_event_that_has_just_taken_effect_is_left_alone_and_that_is_said(
    database: Database, verb: Any, more: tuple[Any, ...]
) -> None:
    await given(database, (state(2), "poison"), last=2)
    assert (await refused(database, verb, which(state(2)), *more)).slug == "went-on"
    async with database.transaction() as tx:
        await tx.execute("delete from parked")
    assert (await refused(database, verb, which(state(2)), *more)).slug == "went-on"


@pytest.mark.parametrize(("verb", "more"), VERBS)
async def test_a_superseded_and_a_skipped_event_are_no_more_touched(database: Database, verb: Any, more: tuple[Any, ...]) -> None:
    await given(database, (state(1), "superseded"), (state(2), "skipped"))
    assert (await refused(database, verb, which(state(1)), *more)).slug == "went-on"
    assert (await refused(database, verb, which(state(2)), *more)).slug == "skipped-already"


@pytest.mark.parametrize(("verb", "more"), VERBS)
async def test_what_was_never_here_is_not_found(database: Database, verb: Any, more: tuple[Any, ...]) -> None:
    with pytest.raises(NotFound):
        await do(database, verb, which(state(7)), *more)


# side by side ---------------------------------------------------------------------------------------------------------
async def test_while_an_event_is_being_tried_an_act_waits_a_little_and_is_then_told_kindly(database: Database) -> None:
    await given(database, (state(), "poison"))
    async with database.transaction() as tx:
        await tx.execute("update parked set next_try = now()")
    async with database.transaction() as unparker:
        await parked.take_overdue(unparker, GROUP, [RATES])
        error = await refused(database, mending.skip, which(state()))
    assert error.slug == "being-tried"


async def test_an_event_that_goes_on_while_an_act_waits_is_not_touched(database: Database) -> None:
    await given(database, (state(2), "poison"), last=1)
    locked = asyncio.Event()
    let_go = asyncio.Event()

    async def unparker() -> None:
        async with database.transaction() as tx:
            await parked.take(tx, GROUP, (RATES, "JPY"))
            locked.set()
            await let_go.wait()
            await cursors.move(tx, GROUP, {(RATES, "JPY"): Move(1, 2)})
            await tx.execute("delete from parked")

    trying = asyncio.create_task(unparker())
    await locked.wait()
    skipping = asyncio.create_task(do(database, mending.skip, which(state(2))))
    await until_somebody_waits_for_a_lock(database)
    let_go.set()
    with pytest.raises(Rejected) as caught:
        await skipping
    await trying
    assert caught.value.slug == "went-on"
    assert (await trail(database), await last(database, state())) == ([], 2)


async def test_of_two_acts_at_the_same_time_one_is_done_and_the_other_told(database: Database) -> None:
    await given(database, (fact(1), "poison"))
    results = await asyncio.gather(*(do(database, mending.skip, which(fact(1))) for _ in range(4)), return_exceptions=True)
    done = [result for result in results if isinstance(result, audit.Entry)]
    told = [result.slug for result in results if isinstance(result, Rejected)]
    assert (len(done), len(told)) == (1, 3)
    assert len(await trail(database)) == 1


async def test_the_cursor_moving_under_an_act_undoes_it(database: Database) -> None:
    """The consumer moves cursors without a lock on parked rows; whoever commits first wins."""
    await given(database, (state(3), "poison"), last=1)

    async with database.transaction() as consumer:
        await cursors.move(consumer, GROUP, {(RATES, "JPY"): Move(1, 4)})
        skipping = asyncio.create_task(do(database, mending.skip, which(state(3))))
        await until_somebody_waits_for_a_lock(database)
    with pytest.raises(Rejected) as caught:
        await skipping
    assert caught.value.slug == "being-tried"
    assert (await last(database, state()), await trail(database)) == (4, [])


async def test_a_newer_version_that_takes_effect_under_an_edit_undoes_it(database: Database) -> None:
    await given(database, (state(3), "poison"), last=1)
    async with database.transaction() as consumer:
        await cursors.move(consumer, GROUP, {(RATES, "JPY"): Move(1, 4)})
        await parked.supersede(consumer, GROUP, [state(4)])
        editing = asyncio.create_task(do(database, mending.edit, which(state(3)), GOOD))
        await until_somebody_waits_for_a_lock(database)
    with pytest.raises(Rejected) as caught:
        await editing
    assert caught.value.slug == "being-tried"
    assert ([row["reason"] for row in await rows(database)], await trail(database)) == (["superseded"], [])
