"""The operator's verbs on held events, on a real database: what each changes, and what it refuses of its own."""

import asyncio

import pytest

from common.errors import Rejected
from common.messaging import cursors
from common.messaging.gate import Move, Refusal
from common.operating import audit, held, mending, replay_store
from common.operating.held import Cause
from common.postgres import Database
from tests.common.mending_bench import (
    GOOD,
    GROUP,
    NOTIFICATIONS,
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
        await until_somebody_waits_for_a_lock(database)
    with pytest.raises(Rejected) as caught:
        await going_on
    assert caught.value.slug == "being-tried"
    assert (await last(database, fact(5)), [row["reason"] for row in await rows(database)]) == (4, ["gap"])
