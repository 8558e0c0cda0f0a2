"""All SQL of what processes know in memory: versions of technology groups, and what changed since one."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

import asyncpg
import msgspec

from common.transaction import Transaction
from matching.domain.sides import Need, Offering

Side = Literal["need", "offering"]

_need_from = msgspec.json.Decoder(Need).decode
_offering_from = msgspec.json.Decoder(Offering).decode


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
    """A need that changed in a group: it is judged for that day; None where it is not in the group any more."""

    id: str
    need: Need | None
    today: date


class OfferingInGroup(NamedTuple):
    """The same for an offering."""

    id: str
    offering: Offering | None


async def needs_since(tx: Transaction, group: str, version: int, portion: int) -> AsyncIterator[list[NeedInGroup]]:
    """The needs that changed in a group after a version, some at a time; all that are in it since 0."""
    async for rows in _portions(
        tx,
        """select id, present, judged, coalesce(today, date '0001-01-01'), open from member left join need using (id)
        where member.technology_group = $1 and side = 'need' and version > $2 and (present or $2 > 0)""",
        group,
        version,
        portion,
    ):
        yield [
            NeedInGroup(id_, _need_from(judged) if present and open_ else None, today)
            for id_, present, judged, today, open_ in rows
        ]


async def offerings_since(tx: Transaction, group: str, version: int, portion: int) -> AsyncIterator[list[OfferingInGroup]]:
    """The same for offerings."""
    async for rows in _portions(
        tx,
        """select id, present, judged from member left join offering using (id)
        where technology_group = $1 and side = 'offering' and version > $2 and (present or $2 > 0)""",
        group,
        version,
        portion,
    ):
        yield [OfferingInGroup(id_, _offering_from(judged) if present else None) for id_, present, judged in rows]


async def _portions(tx: Transaction, sql: str, group: str, version: int, size: int) -> AsyncIterator[Sequence[asyncpg.Record]]:
    cursor = await tx.connection.cursor(sql, group, version)
    while rows := await cursor.fetch(size):
        yield rows


async def homes(tx: Transaction, side: Side, ids: Collection[str]) -> dict[str, set[str]]:
    """The groups in which each of these is so far."""
    rows = await tx.fetch(
        "select id, technology_group from member where present and side = $1 and id = any($2::text[])", side, list(ids)
    )
    found: dict[str, set[str]] = {}
    for id_, group in rows:
        found.setdefault(id_, set()).add(group)
    return found


class Member(NamedTuple):
    """Something changed in a group, or left it."""

    group: str
    side: Side
    id: str
    present: bool


async def save(tx: Transaction, members: Collection[Member], new_versions: Mapping[str, int]) -> None:
    """These changed; the groups in which they did are at these versions now."""
    rows = sorted(members)
    await tx.execute(
        """insert into member (technology_group, side, id, version, present)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bool[])
        on conflict (technology_group, side, id) do update set version = excluded.version, present = excluded.present""",
        [row.group for row in rows],
        [row.side for row in rows],
        [row.id for row in rows],
        [new_versions[row.group] for row in rows],
        [row.present for row in rows],
    )
    await tx.execute(
        """insert into group_version select * from unnest($1::text[], $2::bigint[])
        on conflict (technology_group) do update set version = excluded.version""",
        list(new_versions),
        list(new_versions.values()),
    )
