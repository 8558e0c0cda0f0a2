"""The operator's verbs on held events, on a real database: what each changes, what it refuses and how it says so."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from common.errors import NotFound, Rejected
from common.messaging import cursors, parked
from common.messaging.gate import Move, Parked, Refusal
from common.messaging.message import Event
from common.operating import audit, held, mending, replay_store
from common.operating.held import Cause, EventId
from common.postgres import Database
from tests.common.records import an_event

GROUP = "hop"
RATES = "catalog.exchange-rates"
NOTIFICATIONS = "notify.notifications"
WHO = {"actor": "an-operator", "reason": "the unit is known now"}


def state(sequence: int = 1, key: str = "JPY") -> Event:
    """A rate: each is the whole state of its key."""
    return an_event(sequence=sequence, key=key, id=f"01939c5e-0000-7000-8000-{sequence:012d}")


def fact(sequence: int) -> Event:
    """A notification: every one counts."""
    body = (
        b'{"id":"n","recipient_id":"r","recipient_kind":"office","need_id":"n","offering_id":"o","rule":"a test","why":{},'
        b'"issued_at":"2026-11-01T00:00:00Z"}'
    )
    return an_event(
        topic=NOTIFICATIONS, key="n", sequence=sequence, type="notification.issued.v1", body=body,
        id=f"01939c5e-0000-7000-8000-{sequence:012d}",
    )  # fmt: skip


async def given(database: Database, *waiting: tuple[Event, str] | tuple[Event, str, Refusal], last: int = 0) -> None:
    """Events that wait, their key's cursor at `last`."""
    async with database.transaction() as tx:
        if last:
            event = waiting[0][0]
            await cursors.move(tx, GROUP, {(event.topic, event.key): Move(0, last)})
        await parked.park(tx, GROUP, [Parked(each[0], each[1], *each[2:]) for each in waiting], {})
        await tx.execute("update parked set next_try = now() + interval '1 hour', attempts = 5")
        await tx.execute("update parked set next_try = 'infinity' where reason = 'behind'")


def which(event: Event) -> EventId:
    return EventId(event.topic, event.key, event.sequence)


async def rows(database: Database) -> list[dict[str, Any]]:
    async with database.reading() as tx:
        found = await tx.fetch("select *, next_try <= now() as due from parked order by topic, key, sequence")
        return [dict(row) for row in found]


async def trail(database: Database) -> list[audit.Entry]:
    async with database.reading() as tx:
        assert await audit.verify(tx) == []
        return await audit.about(tx, {})


async def last(database: Database, event: Event) -> int:
    async with database.reading() as tx:
        return (await held.standing_of(tx, GROUP, which(event))).last


async def refused(database: Database, verb: Any, *what: Any, **how: Any) -> Rejected:
    """The refusal, in both languages; nothing was changed or written down."""
    before, acts = await rows(database), await trail(database)
    with pytest.raises(Rejected) as caught:
        async with database.transaction() as tx:
            await verb(tx, GROUP, *what, **{**WHO, **how})
    assert caught.value.detail.keys() == {"en", "ja"}
    assert (await rows(database), await trail(database)) == (before, acts)
    return caught.value


async def do(database: Database, verb: Any, *what: Any, **how: Any) -> audit.Entry:
    async with database.transaction() as tx:
        return await verb(tx, GROUP, *what, **{**WHO, **how})


# retry ----------------------------------------------------------------------------------------------------------------
async def test_a_retried_event_is_due_now_and_begins_its_waits_anew(database: Database) -> None:
    await given(database, (state(), "poison", Refusal("/unit", "no")))
    await do(database, mending.retry, which(state()))
    (row,) = await rows(database)
    assert (row["due"], row["attempts"], row["reason"], row["error"]) == (True, 0, "poison", "no")
    (entry,) = await trail(database)
    assert (entry.actor, entry.action, entry.reason) == ("an-operator", "retry", "the unit is known now")
    assert entry.subject == {"topic": RATES, "key": "JPY", "sequence": 1}


async def test_a_dead_event_lives_again(database: Database) -> None:
    await given(database, (fact(1), "poison"))
    async with database.transaction() as tx:
        await tx.execute("update parked set next_try = 'infinity'")
    async with database.reading() as tx:
        assert [row.dead for row in await held.causes(tx, GROUP)] == [True]
    await do(database, mending.retry, which(fact(1)))
    assert [row["due"] for row in await rows(database)] == [True]


async def test_all_events_of_one_cause_are_retried_and_no_others(database: Database) -> None:
    unit = [(state(key=key), "poison", Refusal(f"/tiers/{n}/unit", key)) for n, key in enumerate(("a", "b", "c"))]
    await given(database, *unit, (state(key="d"), "poison", Refusal("/currency", "no")), (state(key="e"), "poison"))
    async with database.reading() as tx:
        causes = {row.cause.cause: row.amount for row in await held.causes(tx, GROUP)}
    assert causes == {"/tiers/*/unit": 3, "/currency": 1, "": 1}
    cause = Cause(RATES, state().type, "poison", "/tiers/*/unit")
    entry = await do(database, mending.retry_all, cause)
    assert [row["key"] for row in await rows(database) if row["due"]] == ["a", "b", "c"]
    assert entry.subject["count"] == 3
    async with database.reading() as tx:
        assert await audit.about(tx, {"events": [[RATES, "b", 1]]}) == [entry]


async def test_names_that_a_sender_chose_make_no_causes(database: Database) -> None:
    chosen = ["xx", "yy", "[key]", "a~1b", "3"]
    pointers = [
        *(f"/names/{name}/[key]" for name in chosen),
        *(f"/why/0/values/{name}/str" for name in chosen if name != "[key]"),
        *(f"/names/{name * 500}"[:500] for name in "ab"),
        "/" * 500,
        *(f"/names/{language}" for language in ("ja", "zh-Hant", "xyz-12345678")),
    ]
    await given(database, *[(state(key=str(n)), "poison", Refusal(pointer, "no")) for n, pointer in enumerate(pointers)])
    async with database.reading() as tx:
        causes = {row.cause.cause: row.amount for row in await held.causes(tx, GROUP)}
    assert causes.pop("/*") == 1
    assert causes.pop("/*/[key]/[key]") == 1  # whoever is called so
    assert causes == {"/names/*/[key]": 4, "/why/*/values/*/str": 4, "/names/*": 5}


async def test_errors_of_one_kind_are_one_cause_whatever_they_say(database: Database) -> None:
    errors = ["KeyError('a')", "KeyError('b')", "the key is a, but the data is about b", "the key is c, but the data is about d"]
    await given(database, *[(state(key=str(n)), "poison", Refusal("", error)) for n, error in enumerate(errors)])
    async with database.reading() as tx:
        assert {row.cause.cause: row.amount for row in await held.causes(tx, GROUP)} == {"KeyError": 2, "the key is": 2}


async def test_where_nothing_is_left_of_a_cause_that_is_said(database: Database) -> None:
    error = await refused(database, mending.retry_all, Cause(RATES, "a", "poison", "/unit"))
    assert error.slug == "nothing-of-this-cause"


# edit -----------------------------------------------------------------------------------------------------------------
GOOD = '{"currency": "JPY", "per_usd": 155.250, "as_of": "2026-11-02", "source": "a test"}'


async def test_an_edited_event_has_the_new_body_and_keeps_the_one_that_arrived(database: Database) -> None:
    await given(database, (state(), "poison", Refusal("/as_of", "no")))
    await do(database, mending.edit, which(state()), GOOD)
    await do(database, mending.edit, which(state()), GOOD.replace("11-02", "11-03"))
    (row,) = await rows(database)
    assert row["body"] == b'{"currency":"JPY","per_usd":155.250,"as_of":"2026-11-03","source":"a test"}'
    assert row["original"] == state().body
    assert (row["reason"], row["due"], row["attempts"], row["error"], row["pointer"]) == ("fetched", True, 0, None, None)
    second, first = await trail(database)
    assert (first.before, first.after, second.before) == (state().body, second.before, first.after)
    assert second.after == row["body"]


@pytest.mark.parametrize(
    ("text", "pointers"),
    [
        ('{"currency": "XXQ", "per_usd": -1, "as_of": "2026"}', {"/currency", "/per_usd", "/as_of", "/source"}),
        (GOOD.replace("JPY", "USD"), {""}),
        (GOOD.replace("155.250", "NaN"), {"/per_usd"}),
        (GOOD.replace("{", '{"currency": "VND", '), {"/currency"}),
        (GOOD.replace("a test", "a\\u0000test"), {"/source"}),
        ("[]", {""}),
    ],
)
async def test_a_body_that_breaks_the_contract_is_refused_with_each_place(
    database: Database, text: str, pointers: set[str]
) -> None:
    await given(database, (state(), "poison"))
    error = await refused(database, mending.edit, which(state()), text)
    assert {fault.pointer for fault in error.faults} == pointers
    assert all(fault.detail.keys() == {"en", "ja"} for fault in error.faults)


async def test_broken_json_is_refused_with_line_and_column(database: Database) -> None:
    await given(database, (state(), "poison"))
    error = await refused(database, mending.edit, which(state()), '{"currency": "JPY",\n "per_usd" 1}')
    assert "line 2, column 12" in error.faults[0].detail["en"]
    assert "2行12文字目" in error.faults[0].detail["ja"]


async def test_an_empty_body_is_refused(database: Database) -> None:
    await given(database, (state(), "poison"))
    assert (await refused(database, mending.edit, which(state()), " \n")).slug == "not-json"


async def test_a_body_beyond_what_the_broker_takes_is_refused(database: Database) -> None:
    await given(database, (fact(1), "poison"))
    why = '"why": {"en": "' + "x" * 10_000 + '"},' + f'"more": "{"x" * 900_000}",'
    text = fact(1).body.decode().replace('"why":{},', why)
    assert (await refused(database, mending.edit, which(fact(1)), text)).slug == "too-large"


async def test_an_edit_that_changes_nothing_is_refused(database: Database) -> None:
    await given(database, (state(), "poison"))
    text = state().body.decode().replace(",", ",\r\n  ")
    assert (await refused(database, mending.edit, which(state()), text)).slug == "nothing-changed"


# skip -----------------------------------------------------------------------------------------------------------------
async def test_a_skipped_event_lets_its_key_go_on_and_is_kept(database: Database) -> None:
    await given(database, (fact(3), "poison"), (fact(4), "behind"), (fact(5), "behind"), last=2)
    await do(database, mending.skip, which(fact(3)))
    assert await last(database, fact(3)) == 3
    assert [(row["sequence"], row["reason"], row["due"]) for row in await rows(database)][:2] == [
        (3, "skipped", False), (4, "behind", True),
    ]  # fmt: skip
    async with database.reading() as tx:
        assert (await held.standing_of(tx, GROUP, which(fact(3)))).head == 4


async def test_missing_events_can_be_gone_on_without(database: Database) -> None:
    await given(database, (fact(5), "gap"), (fact(6), "behind"), last=2)
    entry = await do(database, mending.skip, which(fact(5)))
    assert await last(database, fact(5)) == 4
    first = (await rows(database))[0]
    assert (first["sequence"], first["reason"], first["due"]) == (5, "fetched", True)
    assert (entry.action, entry.subject["first"], entry.subject["last"]) == ("go-on", 3, 4)


async def test_the_first_event_of_a_key_can_be_skipped(database: Database) -> None:
    await given(database, (fact(1), "poison"))
    await do(database, mending.skip, which(fact(1)))
    assert await last(database, fact(1)) == 1


async def test_a_skipped_state_never_takes_effect_and_a_newer_one_still_can(database: Database) -> None:
    await given(database, (state(3), "poison"), (state(5), "poison"), last=1)
    await do(database, mending.skip, which(state(3)))
    assert await last(database, state()) == 3
    assert [row["reason"] for row in await rows(database)] == ["skipped", "poison"]
    await do(database, mending.skip, which(state(5)))
    assert await last(database, state()) == 5


# go on without what is missing, in every key --------------------------------------------------------------------------
GAPS = Cause(NOTIFICATIONS, fact(1).type, "gap", "events")
MISSING = Refusal("", "events 1 to 4 of this key are missing")


async def test_every_key_of_a_cause_goes_on_without_what_is_missing_and_no_other_does(database: Database) -> None:
    keys = [fact(5)._replace(key=key) for key in ("a", "b", "c", "d")]
    await given(database, *[(event, "gap", MISSING) for event in keys], (fact(3)._replace(key="e"), "poison"))
    async with database.transaction() as tx:
        await cursors.move(tx, GROUP, {(NOTIFICATIONS, "b"): Move(0, 2), (NOTIFICATIONS, "c"): Move(0, 4)})
        await tx.execute("update parked set attempts = 0 where key = 'd'")
    entry = await do(database, mending.go_on_all, GAPS)
    assert [await last(database, event) for event in keys] == [4, 4, 4, 0], "nothing is missing of c, d was not asked for yet"
    assert [(row["key"], row["due"]) for row in await rows(database) if row["reason"] == "fetched"] == [("a", True), ("b", True)]
    assert (entry.action, entry.subject["count"]) == ("go-on-all", 2)
    assert entry.subject["gaps"] == [[NOTIFICATIONS, "a", 1, 4], [NOTIFICATIONS, "b", 3, 4]]
    async with database.reading() as tx:
        decided = await replay_store.decided(tx, GROUP, [NOTIFICATIONS])
    assert decided == {(NOTIFICATIONS, "a"): [(1, 4)], (NOTIFICATIONS, "b"): [(3, 4)]}


async def test_where_nothing_is_missing_there_is_nothing_to_go_on_without(database: Database) -> None:
    await given(database, (fact(1), "poison", Refusal("", "events")))
    assert (await refused(database, mending.go_on_all, GAPS)).slug == "nothing-to-go-on-without"
    assert (await refused(database, mending.go_on_all, GAPS, reason="")).slug == "reason-missing"


async def test_what_was_missing_comes_while_a_key_is_let_go_on_and_nothing_is_lost(database: Database) -> None:
    await given(database, (fact(5), "gap", MISSING), last=3)
    async with database.transaction() as consumer:
        await cursors.move(consumer, GROUP, {(NOTIFICATIONS, "n"): Move(3, 4)})
        going_on = asyncio.create_task(do(database, mending.go_on_all, GAPS))
        await _until_somebody_waits_for_a_lock(database)
    with pytest.raises(Rejected) as caught:
        await going_on
    assert caught.value.slug == "being-tried"
    assert (await last(database, fact(5)), [row["reason"] for row in await rows(database)]) == (4, ["gap"])


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
    await _until_somebody_waits_for_a_lock(database)
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
        await _until_somebody_waits_for_a_lock(database)
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
        await _until_somebody_waits_for_a_lock(database)
    with pytest.raises(Rejected) as caught:
        await editing
    assert caught.value.slug == "being-tried"
    assert ([row["reason"] for row in await rows(database)], await trail(database)) == (["superseded"], [])


async def _until_somebody_waits_for_a_lock(database: Database) -> None:
    async with asyncio.timeout(4):
        while True:
            async with database.connection() as connection:
                waiting = await connection.fetchval(
                    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
                )
            if waiting:
                return
            await asyncio.sleep(0.02)
