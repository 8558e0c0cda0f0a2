"""The audit's chain: it grows in order whoever writes, and whatever is done to it behind our back is found and named."""

import asyncio

import asyncpg
import pytest

from common.operating import audit
from common.operating.audit import Witness
from common.postgres import Database

ROWS = 6


async def write(database: Database, rows: int = ROWS) -> list[Witness]:
    """Write acts; what the log would say of them."""
    told = []
    for n in range(1, rows + 1):
        async with database.transaction() as tx:
            subject = {"topic": "a.topic", "key": "鍵 1", "sequence": n}
            written = await audit.append(
                tx, actor="somebody", action="edit", subject=subject, reason=f"the {n}th", before=b"old", after=None
            )
        told.append(Witness(written.number, written.hash))
    return told


async def findings(database: Database, witnesses: list[Witness] | None = None) -> list[audit.Finding]:
    async with database.reading() as tx:
        return await audit.verify(tx, witnesses or [])


async def behind_our_back(postgres: str, *statements: str) -> None:
    """As somebody who may do everything in this database and takes the trigger away first."""
    connection = await asyncpg.connect(postgres, server_settings={"search_path": "hop"})
    try:
        for statement in ("alter table audit disable trigger all", *statements):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_untouched_chain_is_sound_and_so_is_an_empty_one(database: Database) -> None:
    assert await findings(database) == []
    told = await write(database)
    assert await findings(database, told) == []


async def test_a_chain_longer_than_one_reading_is_sound(database: Database) -> None:
    async with database.transaction() as tx:
        for n in range(1005):
            await audit.append(tx, actor="a", action="skip", subject={"n": n}, reason="many")
    assert await findings(database) == []


async def test_acts_written_at_the_same_time_stand_in_one_row_without_gaps(database: Database) -> None:
    await asyncio.gather(*(write(database, 5) for _ in range(6)))
    async with database.reading() as tx:
        assert [entry.number for entry in await audit.about(tx, {}, 100)] == list(range(30, 0, -1))
        assert await audit.verify(tx) == []


async def test_an_act_that_is_rolled_back_leaves_neither_a_row_nor_a_gap(database: Database) -> None:
    await write(database, 2)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            await audit.append(tx, actor="a", action="skip", subject={}, reason="never")
            raise ZeroDivisionError
    await write(database, 1)
    assert await findings(database) == []
    async with database.reading() as tx:
        assert [entry.number for entry in await audit.about(tx, {})] == [3, 2, 1]


@pytest.mark.parametrize("statement", ["update audit set reason = 'other'", "delete from audit", "truncate audit"])
async def test_the_table_itself_refuses_to_be_changed(database: Database, statement: str) -> None:
    await write(database)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        async with database.transaction() as tx:
            await tx.execute(statement)


ALTERATIONS = {
    "number": "update audit set number = 99 where number = 3",
    "at": "update audit set at = at + interval '1 microsecond' where number = 3",
    "actor": "update audit set actor = 'somebody ' where number = 3",
    "action": "update audit set action = 'skip' where number = 3",
    "subject": """update audit set subject = subject || '{"sequence": 4}' where number = 3""",
    "subject, an integer written as a fraction": """update audit set subject = subject || '{"sequence": 3.0}' where number = 3""",
    "subject, a key more": """update audit set subject = subject || '{"more": null}' where number = 3""",
    "reason": "update audit set reason = '' where number = 3",
    "before": "update audit set before = null where number = 3",
    "after": "update audit set after = '' where number = 3",
    "from one column into the next": "update audit set actor = 'some', action = 'bodyedit' where number = 3",
    "previous": "update audit set previous = hash where number = 3",
    "hash": "update audit set hash = previous where number = 3",
}


@pytest.mark.parametrize("column", ALTERATIONS)
async def test_an_altered_column_is_found_in_its_row(database: Database, postgres: str, column: str) -> None:
    await write(database)
    await behind_our_back(postgres, ALTERATIONS[column])
    found = await findings(database)
    assert found and found[0].number == 3, found


@pytest.mark.parametrize("gone", [1, 3, 5])
async def test_a_row_removed_from_the_middle_or_the_beginning_is_named(database: Database, postgres: str, gone: int) -> None:
    await write(database)
    await behind_our_back(postgres, f"delete from audit where number = {gone}")
    assert (await findings(database))[0] == audit.Finding(gone, f"missing: {gone}")


async def test_a_row_removed_and_the_later_ones_numbered_anew_is_found(database: Database, postgres: str) -> None:
    await write(database)
    await behind_our_back(
        postgres,
        "delete from audit where number = 3",
        *(f"update audit set number = {n - 1} where number = {n}" for n in (4, 5, 6)),
    )
    assert (await findings(database))[0].number == 3


async def test_a_row_put_in_is_found(database: Database, postgres: str) -> None:
    await write(database)
    shift = [f"update audit set number = {n + 1} where number = {n}" for n in (6, 5, 4)]
    copy = """insert into audit
        select 4, at, 'mallory', action, subject, reason, before, after, hash, hash from audit where number = 3"""
    await behind_our_back(postgres, *shift, copy)
    assert (await findings(database))[0].number == 4


async def test_a_row_put_in_before_the_first_is_found(database: Database, postgres: str) -> None:
    await write(database)
    await behind_our_back(
        postgres,
        "insert into audit select 0, at, actor, action, subject, reason, before, after, previous, hash from audit limit 1",
    )
    assert (await findings(database))[0] == audit.Finding(0, "put in: numbers begin at 1")


async def test_two_rows_that_changed_places_are_found(database: Database, postgres: str) -> None:
    await write(database)
    await behind_our_back(
        postgres,
        "update audit set number = 100 where number = 3",
        "update audit set number = 3 where number = 4",
        "update audit set number = 4 where number = 100",
    )
    assert {finding.number for finding in await findings(database)} >= {3, 4}


async def test_a_row_changed_with_its_own_hash_made_anew_breaks_the_chain_behind_it(database: Database, postgres: str) -> None:
    await write(database)
    async with database.reading() as tx:
        third = await audit.entry(tx, 3)
    assert third is not None
    forged = audit.hash_of(third._replace(reason="another")).hex()
    await behind_our_back(postgres, f"update audit set reason = 'another', hash = '\\x{forged}' where number = 3")
    assert [finding.number for finding in await findings(database)] == [4]


async def test_the_newest_rows_gone_are_found_by_the_log_alone(database: Database, postgres: str) -> None:
    told = await write(database)
    await behind_our_back(postgres, "delete from audit where number > 4")
    assert await findings(database) == []  # a chain cannot see it
    found = await findings(database, told)
    assert [finding.number for finding in found] == [5]
    assert "the newest row here is 4" in found[0].what


async def test_a_chain_made_anew_from_a_row_on_is_found_by_the_log_alone(database: Database, postgres: str) -> None:
    told = await write(database)
    await behind_our_back(postgres, "delete from audit where number > 4")
    async with database.transaction() as tx:
        for _ in range(2):
            await audit.append(tx, actor="mallory", action="skip", subject={}, reason="as if")
    assert await findings(database) == []
    assert [finding.number for finding in await findings(database, told)] == [5, 6]


async def test_the_acts_about_one_record_are_found_also_where_many_were_meant_at_once(database: Database) -> None:
    await write(database, 2)
    async with database.transaction() as tx:
        subject = {"cause": "/unit", "events": [["a.topic", "鍵 1", 2], ["a.topic", "other", 7]]}
        await audit.append(tx, actor="a", action="retry all", subject=subject, reason="cured")
    async with database.reading() as tx:
        single = await audit.about(tx, {"topic": "a.topic", "key": "鍵 1", "sequence": 2})
        many = await audit.about(tx, {"events": [["a.topic", "鍵 1", 2]]})
    assert ([entry.number for entry in single], [entry.number for entry in many]) == ([2], [3])
