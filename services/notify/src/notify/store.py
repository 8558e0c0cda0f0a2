"""All SQL by which notify learns of needs and issues notifications, and all that the inbox and the home page read."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal
from uuid import UUID

import asyncpg

from common.contracts.catalog import CompanyListed
from common.contracts.matching import Match, NeedSummary, ShortlistChanged
from common.contracts.needs import MunicipalityListed
from common.exact_json import dump
from common.transaction import Transaction
from common.web.addresses import Place
from notify.domain.ration import Earlier
from notify.domain.recipients import Kind

Folder = Literal["open", "unread", "acknowledged"]


@dataclass(frozen=True, slots=True)
class Issued:
    """A notification as it is written: to whom, of what, by which rule, and when an answer is due."""

    id: UUID
    recipient_id: str
    recipient_kind: Kind
    need_id: str
    offering_id: str
    rule: str
    why: dict[str, str]
    issued_at: datetime
    answer_by: datetime


_COLUMNS = attrgetter(*(field.name for field in fields(Issued)))


@dataclass(frozen=True, slots=True)
class Item(Issued):
    """A notification as the inbox shows it: with need and match as they are now.

    `on_list` is false where the match has left the need's shortlist; then `match` is as it was told. `more` counts the matches
    in this one's note; `acknowledged_by_names` is the function that acknowledged, by language."""

    need: NeedSummary
    match: Match
    on_list: bool
    more: int
    read_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledged_by_names: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class AlsoTold:
    """Another recipient of the same match, and how far it has got with it."""

    recipient_id: str
    recipient_kind: Kind
    read_at: datetime | None
    acknowledged_at: datetime | None


# What others announce -------------------------------------------------------------------------------------------------


async def keep_municipalities(tx: Transaction, municipalities: Sequence[MunicipalityListed]) -> None:
    """Keep the newest state of each."""
    newest = {m.id: m for m in municipalities}
    await tx.execute(
        """insert into municipality (id, body, listed_at)
        select id, body::jsonb, $3 from unnest($1::text[], $2::text[]) as arrived (id, body) order by id
        on conflict (id) do update set body = excluded.body""",
        list(newest), [dump(m).decode() for m in newest.values()], tx.now,
    )  # fmt: skip


async def keep_companies(tx: Transaction, companies: Sequence[CompanyListed]) -> None:
    """Keep the newest state of each."""
    newest = {c.id: c for c in companies}
    await tx.execute(
        """insert into company (id, body, listed_at)
        select id, body::jsonb, $3 from unnest($1::text[], $2::text[]) as arrived (id, body) order by id
        on conflict (id) do update set body = excluded.body""",
        list(newest), [dump(c).decode() for c in newest.values()], tx.now,
    )  # fmt: skip


async def keep_shortlists(tx: Transaction, shortlists: Sequence[ShortlistChanged], bodies: Sequence[bytes]) -> None:
    """Keep each need's newest list, given also as the JSON in which it came; at most one of each need."""
    await tx.execute(
        """insert into need (id, municipality_id, status, matches, summary, shortlist, first_seen_at, first_match_at)
        select id, municipality_id, status, matches, summary::jsonb, shortlist, $7::timestamptz, case when matches > 0 then $7 end
        from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::bytea[])
            as arrived (id, municipality_id, status, matches, summary, shortlist) order by id
        on conflict (id) do update set
            municipality_id = excluded.municipality_id, status = excluded.status, matches = excluded.matches,
            summary = excluded.summary, shortlist = excluded.shortlist,
            first_match_at = coalesce(need.first_match_at, excluded.first_match_at)""",
        [s.need.id for s in shortlists], [s.need.municipality.id for s in shortlists],
        [s.need.status for s in shortlists], [len(s.matches) for s in shortlists],
        [dump(s.need).decode() for s in shortlists], list(bodies), tx.now,
    )  # fmt: skip


# Telling --------------------------------------------------------------------------------------------------------------


async def earlier(tx: Transaction, need_ids: Sequence[str]) -> dict[str, list[Earlier]]:
    """Who was told of what for each of these needs."""
    rows = await tx.fetch(
        """select need_id, recipient_id, offering_id, notification_id, of_its_own, at
        from told where need_id = any($1::text[])""",
        list(need_ids),
    )
    found: dict[str, list[Earlier]] = {need_id: [] for need_id in need_ids}
    for need_id, *rest in rows:
        found[need_id].append(Earlier(*rest))
    return found


async def issue(tx: Transaction, issued: Sequence[Issued], matches: Sequence[Match]) -> None:
    """Write new notifications, each with the match as it is now told."""
    await tx.execute(
        """insert into match_as_told (need_id, offering_id, body)
        select need_id, offering_id, body::jsonb
        from unnest($1::text[], $2::text[], $3::text[]) as new (need_id, offering_id, body)
        on conflict (need_id, offering_id) do nothing""",
        [i.need_id for i in issued], [i.offering_id for i in issued], [dump(m).decode() for m in matches],
    )  # fmt: skip
    await tx.executemany(
        """insert into notification
        (id, recipient_id, recipient_kind, need_id, offering_id, rule, why, issued_at, answer_by, score)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
        [(*_COLUMNS(i), m.score) for i, m in zip(issued, matches, strict=True)],
    )
    await note(tx, [(i.need_id, i.recipient_id, i.offering_id, i.id) for i in issued], of_its_own=True)


async def note(tx: Transaction, told: Sequence[tuple[str, str, str, UUID]], *, of_its_own: bool) -> None:
    """Remember that (need, recipient, offering) was told in this notification."""
    await tx.executemany(
        """insert into told (need_id, recipient_id, offering_id, notification_id, of_its_own, at)
        values ($1, $2, $3, $4, $5, $6)""",
        [(*one, of_its_own, tx.now) for one in told],
    )


async def acknowledge(tx: Transaction, notification_id: UUID, recipient_id: str, account_id: str) -> Issued | None:
    """Mark it acknowledged; None where it is not this recipient's or was acknowledged before."""
    row = await tx.fetchrow(
        """update notification set acknowledged_at = $3, acknowledged_by = $4, read_at = coalesce(read_at, $3)
        where id = $1 and recipient_id = $2 and acknowledged_at is null
        returning id, recipient_id, recipient_kind, need_id, offering_id, rule, why, issued_at, answer_by""",
        notification_id, recipient_id, tx.now, account_id,
    )  # fmt: skip
    return Issued(*row) if row else None


async def mark_read(tx: Transaction, notification_id: UUID, recipient_id: str) -> None:
    """Somebody of the recipient has opened it; the first time counts."""
    await tx.execute(
        "update notification set read_at = $3 where id = $1 and recipient_id = $2 and read_at is null",
        notification_id, recipient_id, tx.now,
    )  # fmt: skip


# The inbox ------------------------------------------------------------------------------------------------------------

_ITEM = """
select n.id, n.recipient_id, n.recipient_kind, n.need_id, n.offering_id, n.rule, n.why, n.issued_at, n.answer_by,
       need.summary as need,
       (select m from jsonb_array_elements(convert_from(need.shortlist, 'UTF8')::jsonb -> 'matches') m
        where m ->> 'offering_id' = n.offering_id) as match,
       (select body from match_as_told t where t.need_id = n.need_id and t.offering_id = n.offering_id) as as_told,
       (select count(*) from told where notification_id = n.id and not of_its_own) as more,
       n.read_at, n.acknowledged_at, n.acknowledged_by,
       (select p.names from identity.people p where p.account_id = n.acknowledged_by) as acknowledged_by_names
from notification n join need on need.id = n.need_id
"""
_FOLDERS: dict[Folder, tuple[str, str]] = {
    "open": ("n.acknowledged_at is null", "n.answer_by, n.score desc, n.id"),
    "unread": ("n.acknowledged_at is null and n.read_at is null", "n.answer_by, n.score desc, n.id"),
    "acknowledged": ("n.acknowledged_at is not null", "n.acknowledged_at desc, n.id"),
}
_INBOX = {
    folder: f"{_ITEM} where n.recipient_id = $1 and {which} order by {order} limit $2 offset $3"
    for folder, (which, order) in _FOLDERS.items()
}


async def inbox(tx: Transaction, recipient_id: str, folder: Folder, *, limit: int, offset: int = 0) -> list[Item]:
    """A part of a folder: open ones by the date of the answer and the score, acknowledged ones latest first."""
    return [_item(row) for row in await tx.fetch(_INBOX[folder], recipient_id, limit, offset)]


async def newest(tx: Transaction, recipient_id: str, *, before: Place | None, limit: int) -> list[Item]:
    """Whatever a recipient was told, newest first, from after a place on."""
    rows = await tx.fetch(
        f"""{_ITEM} where n.recipient_id = $1 and ($2::timestamptz is null or (n.issued_at, n.id) < ($2, $3::uuid))
        order by n.issued_at desc, n.id desc limit $4""",
        recipient_id, before.at if before else None, UUID(before.id) if before else None, limit,
    )  # fmt: skip
    return [_item(row) for row in rows]


async def item(tx: Transaction, notification_id: UUID, recipient_id: str) -> Item | None:
    """One notification; None where it does not exist or is somebody else's."""
    row = await tx.fetchrow(f"{_ITEM} where n.id = $1 and n.recipient_id = $2", notification_id, recipient_id)
    return _item(row) if row else None


async def folder_counts(tx: Transaction, recipient_id: str) -> dict[Folder, int]:
    """How many items each folder holds."""
    row = await tx.fetchrow(
        """select count(*) filter (where acknowledged_at is null) as open,
                  count(*) filter (where acknowledged_at is null and read_at is null) as unread,
                  count(*) filter (where acknowledged_at is not null) as acknowledged
        from notification where recipient_id = $1""",
        recipient_id,
    )
    return {"open": row["open"], "unread": row["unread"], "acknowledged": row["acknowledged"]} if row else {}


async def also_told(tx: Transaction, shown: Item) -> list[AlsoTold]:
    """The other recipients of the same match."""
    rows = await tx.fetch(
        """select recipient_id, recipient_kind, read_at, acknowledged_at from notification
        where need_id = $1 and offering_id = $2 and recipient_id <> $3 order by recipient_kind, recipient_id""",
        shown.need_id, shown.offering_id, shown.recipient_id,
    )  # fmt: skip
    return [AlsoTold(*row) for row in rows]


def _item(row: asyncpg.Record) -> Item:
    values: dict[str, Any] = dict(row)
    as_told, match = values.pop("as_told"), values["match"]
    values["need"] = NeedSummary.model_validate(values["need"])
    values["match"] = Match.model_validate(match or as_told)
    return Item(**values, on_list=match is not None)


# The home page --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the open needs stand, and what was told. `proposals` counts open needs whose shortlist is not empty.

    `alerted` and `answered` count open needs of which somebody was told, and for which somebody has acknowledged."""

    needs: int
    cities: int
    proposals: int
    matches: int
    alerted: int
    answered: int
    notifications: int
    acknowledged: int
    mails: int
    mails_waiting: int
    mails_failed: int


async def counts(tx: Transaction) -> Counts:
    """All counts at one moment."""
    needs = await tx.fetchrow(
        """select count(*) as needs, count(distinct municipality_id) as cities,
                  count(*) filter (where matches > 0) as proposals, coalesce(sum(matches), 0) as matches,
                  count(told.need_id) as alerted, count(*) filter (where told.acknowledged) as answered
        from need left join (
            select need_id, bool_or(acknowledged_at is not null) as acknowledged from notification group by need_id
        ) told on told.need_id = need.id
        where need.status = 'open'"""
    )
    told = await tx.fetchrow("select count(*) as notifications, count(acknowledged_at) as acknowledged from notification")
    mails = await tx.fetchrow(
        """select count(*) filter (where state in ('sent', 'in_folder')) as mails,
                  count(*) filter (where state in ('to_compose', 'due')) as mails_waiting,
                  count(*) filter (where state = 'failed') as mails_failed from delivery"""
    )
    return Counts(**dict(needs or {}), **dict(told or {}), **dict(mails or {}))


@dataclass(frozen=True, slots=True)
class City:
    """A municipality with how many of its needs are open; `joint` of them welcome buying together."""

    id: str
    names: dict[str, str]
    country: str
    position: dict[str, float] | None
    open: int
    joint: int


async def cities(tx: Transaction) -> list[City]:
    """Municipalities with open needs, most needs first; then those without."""
    rows = await tx.fetch(
        """select m.id, m.body -> 'names' as names, m.body ->> 'country' as country, m.body -> 'position' as position,
                  count(need.id) as open, count(*) filter (where (need.summary ->> 'joint_purchase')::boolean) as joint
        from municipality m left join need on need.municipality_id = m.id and need.status = 'open'
        group by m.id order by open desc, m.body #>> '{names,en}', m.id"""
    )
    return [City(**dict(row)) for row in rows]


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that everybody may know: a need was posted, or found its first proposals."""

    kind: Literal["need", "proposals"]
    at: datetime
    need: NeedSummary
    matches: int


async def latest(tx: Transaction, *, limit: int) -> list[Happening]:
    """What happened last with the needs, newest first."""
    rows = await tx.fetch(
        """select kind, at, summary as need, matches from (
            (select 'need' as kind, first_seen_at as at, id, summary, matches from need order by first_seen_at desc limit $1)
            union all
            (select 'proposals', first_match_at, id, summary, matches from need where first_match_at is not null
             order by first_match_at desc limit $1)
        ) happened order by at desc, kind desc, id limit $1""",
        limit,
    )
    return [Happening(r["kind"], r["at"], NeedSummary.model_validate(r["need"]), r["matches"]) for r in rows]


async def timezone_of(tx: Transaction, municipality_id: str) -> str | None:
    """A municipality's time zone; None where we have not heard of it."""
    return await tx.fetchval("select body ->> 'timezone' from municipality where id = $1", municipality_id)


async def country_of_company(tx: Transaction, company_id: str) -> str | None:
    """A company's country; None where we have not heard of it."""
    return await tx.fetchval("select body ->> 'country' from company where id = $1", company_id)


async def organisations_called(
    tx: Transaction, kind: Literal["municipality", "company"], wanted: str
) -> list[tuple[str, dict[str, Any]]]:
    """The municipalities or companies with this id or this name in some language: id, and what is known of it."""
    rows = await tx.fetch(
        """select id, body from (
            select id, body from municipality where $1 = 'municipality'
            union all select id, body from company where $1 = 'company'
        ) known
        where id = $2 or exists (select from jsonb_each_text(body -> 'names') name where lower(name.value) = lower($2))
        order by id limit 10""",
        kind, wanted,
    )  # fmt: skip
    return [(row["id"], row["body"]) for row in rows]


async def most_told(tx: Transaction) -> dict[Kind, tuple[str, dict[str, Any]]]:
    """Of each kind, the recipient that was told most: its id, and what is known of it (nothing of our own offices)."""
    rows = await tx.fetch(
        """select distinct on (recipient_kind) recipient_kind, recipient_id, coalesce(m.body, c.body, '{}') as body
        from (select recipient_kind, recipient_id, count(*) as told from notification group by 1, 2) n
        left join municipality m on m.id = recipient_id left join company c on c.id = recipient_id
        order by recipient_kind, told desc, recipient_id"""
    )
    return {row["recipient_kind"]: (row["recipient_id"], row["body"]) for row in rows}
