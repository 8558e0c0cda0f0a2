"""How many records each service holds is known to the pages of all services, and nothing else of them."""

from collections.abc import AsyncIterator
from importlib.resources import files

import asyncpg
import pytest

from common import migrate
from common.access import identity
from common.messaging import parked
from common.messaging.gate import Parked
from common.operating import held_board
from common.operating.held_board import tell_how_many
from common.postgres import Database
from tests.common.records import an_event

SERVICES = ("one", "other")


@pytest.fixture
async def databases(postgres: str) -> AsyncIterator[dict[str, Database]]:
    """Two services in one database."""
    await identity.prepare(postgres)
    opened = {name: Database(postgres, name) for name in SERVICES}
    for name, database in opened.items():
        await migrate.apply(postgres, name, {"messaging": files("common") / "migrations" / "messaging"})
        await database.open()
    yield opened
    for database in opened.values():
        await database.close()


async def hold(database: Database, *keys: str, group: str) -> None:
    async with database.transaction() as tx:
        await parked.park(tx, group, [Parked(an_event(key=key), "poison") for key in keys], {})


async def seen_by(databases: dict[str, Database], name: str) -> dict[str, int]:
    async with databases[name].reading() as tx:
        found = await held_board.everywhere(tx, name)
        return {service: held.amount for service, held in found.by_service.items()}


async def test_a_service_knows_its_own_number_at_once_and_the_others_when_they_have_said_it(
    databases: dict[str, Database],
) -> None:
    tell = tell_how_many(databases["other"], "other")
    await tell()
    await hold(databases["one"], "a", group="one")
    await hold(databases["other"], "a", "b", group="other")
    assert await seen_by(databases, "one") == {"one": 1, "other": 0}
    await tell()
    assert await seen_by(databases, "one") == {"one": 1, "other": 2}


async def test_the_head_of_a_page_leads_to_where_something_has_waited_longest(databases: dict[str, Database]) -> None:
    async with databases["one"].reading() as tx:
        assert (await held_board.everywhere(tx, "one")).where == "one"
    await hold(databases["other"], "a", group="other")
    await tell_how_many(databases["other"], "other")()
    async with databases["one"].reading() as tx:
        found = await held_board.everywhere(tx, "one")
    assert (found.where, found.amount) == ("other", 1)


async def test_what_is_superseded_or_skipped_is_not_counted(databases: dict[str, Database]) -> None:
    await hold(databases["one"], "a", "b", "c", group="one")
    async with databases["one"].transaction() as tx:
        await tx.execute("update parked set reason = 'skipped' where key = 'a'")
        await tx.execute("update parked set reason = 'superseded' where key = 'b'")
    assert await seen_by(databases, "one") == {"one": 1}


async def test_a_name_that_would_lead_out_of_the_house_is_not_shown(databases: dict[str, Database]) -> None:
    async with databases["other"].transaction() as tx:
        await tx.execute("select identity.say_held('/elsewhere.example', 1, '2020-01-01', now())")
    assert await seen_by(databases, "one") == {"one": 0}


async def test_a_service_without_identity_stays_silent_until_it_is_there(postgres: str) -> None:
    await migrate.apply(postgres, "one", {"messaging": files("common") / "migrations" / "messaging"})
    database = Database(postgres, "one")
    await database.open()
    try:
        tell = tell_how_many(database, "one")
        assert await tell() is False
        await identity.prepare(postgres)
        await tell()
        async with database.reading() as tx:
            assert await tx.fetchval("select service from identity.held_records") == "one"
    finally:
        await database.close()


async def test_a_services_role_can_say_its_number_and_change_nothing_else_of_identity(
    databases: dict[str, Database], postgres: str
) -> None:
    connection = await asyncpg.connect(postgres)
    try:
        await connection.execute("create role only_a_service")
        await connection.execute("set role only_a_service")
        await connection.execute("select identity.say_held('only', 3, now(), now())")
        assert await connection.fetchval("select amount from identity.held_records where service = 'only'") == 3
        for statement in (
            "insert into identity.held values ('x', 1, now(), now())",
            "delete from identity.held",
            "select * from identity.session",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.execute("reset role")
        await connection.execute("drop owned by only_a_service; drop role only_a_service")
        await connection.close()
