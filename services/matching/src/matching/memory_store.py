"""All SQL of what processes know in memory: versions of technology groups, and what changed since one."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

import asyncpg

from common.transaction import Transaction
from matching.domain.sides import Need, Offering, as_json, need_from, offering_from

Side = Literal["need", "offering"]


async def versions(tx: Transaction, groups: Collection[str]) -> dict[str, int]:
    """At which version each group is; 0 where nothing is in it. Its lock has to be held."""
    rows = await tx.fetch(
        "select technology_group, version from group_version where technology_group = any($1::text[])", list(groups)
    )
    return dict.fromkeys(groups, 0) | {row[0]: row[1] for row in rows}


async def groups(tx: Transaction) -> list[str]:
    """Every technology group in which there ever was something."""
    return [row[0] for row in await tx.fetch("select technology_group from group_version order by 1")]


class NeedInGroup(NamedTuple):
    """A need as a group knows it: it is judged for that day; None where it is not open there, or not there any more."""

    id: str
    need: Need | None
    today: date


class OfferingInGroup(NamedTuple):
    """An offering as a group knows it; None where it is not there any more."""

    id: str
    offering: Offering | None


Place = tuple[str, str]
"""A technology group, and the id of a need or an offering."""


async def needs_since(tx: Transaction, group: str, version: int, portion: int) -> AsyncIterator[list[NeedInGroup]]:
    """The needs that changed in a group after a version, some at a time; all that are in it since 0."""
    async for rows in _portions(
        tx,
        """select id, judged, coalesce(today, date '0001-01-01') from member
        where technology_group = $1 and side = 'need' and version > $2 and (judged is not null or $2 > 0)""",
        group,
        version,
        portion,
    ):
        yield [NeedInGroup(id_, None if judged is None else need_from(judged), today) for id_, judged, today in rows]


async def offerings_since(tx: Transaction, group: str, version: int, portion: int) -> AsyncIterator[list[OfferingInGroup]]:
    """The same for offerings."""
    async for rows in _portions(
        tx,
        """select id, judged from member
        where technology_group = $1 and side = 'offering' and version > $2 and (judged is not null or $2 > 0)""",
        group,
        version,
        portion,
    ):
        yield [OfferingInGroup(id_, None if judged is None else offering_from(judged)) for id_, judged in rows]


async def _portions(tx: Transaction, sql: str, group: str, version: int, size: int) -> AsyncIterator[Sequence[asyncpg.Record]]:
    cursor = await tx.connection.cursor(sql, group, version)
    while rows := await cursor.fetch(size):
        yield rows


async def needs(tx: Transaction, places: Collection[Place]) -> dict[Place, tuple[Need, date]]:
    """These open needs as their groups know them, each with the day for which it is judged."""
    rows = await _judged(tx, "need", places)
    return {(group, id_): (need_from(judged), today) for group, id_, judged, today in rows}


async def offerings(tx: Transaction, places: Collection[Place]) -> dict[Place, Offering]:
    """These offerings as their groups know them."""
    rows = await _judged(tx, "offering", places)
    return {(group, id_): offering_from(judged) for group, id_, judged, _ in rows}


async def _judged(tx: Transaction, side: Side, places: Collection[Place]) -> Sequence[asyncpg.Record]:
    return await tx.fetch(
        """select technology_group, id, judged, today from member
        join unnest($2::text[], $3::text[]) as asked(technology_group, id) using (technology_group, id)
        where side = $1 and judged is not null""",
        side,
        [group for group, _ in places],
        [id_ for _, id_ in places],
    )


class Member(NamedTuple):
    """Something changed in a group, or left it: then `judged` is None. `today` is the day for which a need is judged."""

    group: str
    side: Side
    id: str
    judged: Need | Offering | None = None
    today: date | None = None


async def save(tx: Transaction, members: Collection[Member], new_versions: Mapping[str, int]) -> None:
    """These changed; the groups in which they did are at these versions now."""
    rows = sorted(members, key=lambda row: row[:3])
    await tx.execute(
        """insert into member (technology_group, side, id, version, judged, today)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::json[], $6::date[])
        on conflict (technology_group, side, id) do update
            set version = excluded.version, judged = excluded.judged, today = excluded.today""",
        [row.group for row in rows],
        [row.side for row in rows],
        [row.id for row in rows],
        [new_versions[row.group] for row in rows],
        [None if row.judged is None else as_json(row.judged) for row in rows],
        [row.today for row in rows],
    )
    await tx.execute(
        """insert into group_version select * from unnest($1::text[], $2::bigint[])
        on conflict (technology_group) do update set version = excluded.version""",
        list(new_versions),
        list(new_versions.values()),
    )
