"""All SQL of mails: planned with the notification, composed, claimed by one sender, and settled one way or another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from common.contracts.catalog import CompanyListed
from common.contracts.matching import Match, NeedSummary
from common.contracts.needs import MunicipalityListed
from common.transaction import Transaction
from notify.domain.delivery import LEASE, State, delivery_id
from notify.domain.recipients import Kind
from notify.store import Issued

CHANNEL = "mail"


@dataclass(frozen=True, slots=True)
class ToCompose:
    """A planned mail with all that its text is made of. `city` and `company` are None where they have not been listed yet."""

    id: UUID
    created_at: datetime
    notification_id: UUID
    recipient_id: str
    recipient_kind: Kind
    need: NeedSummary
    match: Match
    why: dict[str, str]
    issued_at: datetime
    answer_by: datetime
    more: int
    others: list[tuple[str, Kind]]
    city: MunicipalityListed | None
    company: CompanyListed | None


@dataclass(frozen=True, slots=True)
class ToSend:
    """A composed mail, claimed by this sender for a while; `attempts` counts this one."""

    id: UUID
    address: str
    message: bytes
    traceparent: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A mail as the operator sees it. `reason` is a text by language, `answer` what the mail server said last;
    `recipient_names` are those of a city or a company (offices have addresses that say who they are)."""

    id: UUID
    notification_id: UUID
    recipient_id: str
    recipient_kind: Kind
    state: State
    created_at: datetime
    next_try: datetime
    attempts: int
    address: str | None
    subject: str | None
    reason: dict[str, str] | None
    answer: str | None
    finished_at: datetime | None
    recipient_names: dict[str, str] | None


async def plan_mails(tx: Transaction, planned: Sequence[tuple[Issued, bytes]]) -> None:
    """One mail for each notification, in the transaction that issues it; with the traceparent that the sending continues."""
    await tx.executemany(
        """insert into delivery (id, notification_id, channel, state, traceparent, created_at, next_try)
        values ($1, $2, $3, 'to_compose', $4, $5, $5) on conflict (id) do nothing""",
        [
            (delivery_id(issued.id, CHANNEL, issued.recipient_id), issued.id, CHANNEL, trace.decode(), tx.now)
            for issued, trace in planned
        ],
    )


async def leave_unmailed(tx: Transaction, unmailed: Sequence[tuple[Issued, bytes]], *, reason: dict[str, str]) -> None:
    """Note for each notification that no mail will be sent, and why; where a mail was planned before, that stands."""
    await tx.executemany(
        """insert into delivery
        (id, notification_id, channel, state, traceparent, created_at, next_try, reason, finished_at)
        values ($1, $2, $3, 'inbox_only', $4, $5, $5, $6, $5) on conflict (id) do nothing""",
        [
            (delivery_id(issued.id, CHANNEL, issued.recipient_id), issued.id, CHANNEL, trace.decode(), tx.now, reason)
            for issued, trace in unmailed
        ],
    )


async def to_compose(tx: Transaction, *, limit: int) -> list[asyncpg.Record]:
    """Planned mails whose turn it is, each to be read by `planned`; locked, so that each is composed once."""
    return await tx.fetch(
        """with d as materialized (
            select id, notification_id, created_at, next_try from delivery where state = 'to_compose' and next_try <= $1
            order by next_try, id limit $2 for update skip locked
        )
        select d.id, d.created_at, n.id as notification_id, n.recipient_id, n.recipient_kind,
                  need.summary as need, told_match.body as match, n.why, n.issued_at, n.answer_by,
                  (select count(*) from told where notification_id = n.id and not of_its_own) as more,
                  array(select array[o.recipient_id, o.recipient_kind] from notification o
                        where o.need_id = n.need_id and o.offering_id = n.offering_id and o.id <> n.id
                        order by o.recipient_kind, o.recipient_id) as others,
                  m.body as city, c.body as company
        from d
        join notification n on n.id = d.notification_id
        join need on need.id = n.need_id
        join match_as_told told_match on told_match.need_id = n.need_id and told_match.offering_id = n.offering_id
        left join municipality m on n.recipient_kind = 'municipality' and m.id = n.recipient_id
        left join company c on n.recipient_kind = 'company' and c.id = n.recipient_id
        order by d.next_try, d.id""",
        tx.now, limit,
    )  # fmt: skip


def planned(stored: asyncpg.Record) -> ToCompose:
    """A planned mail; raises `ValidationError` for a row that is older than a rule of its contract and breaks it."""
    row: dict[str, Any] = dict(stored)
    city, company = row["city"], row["company"]
    row["need"] = NeedSummary.model_validate(row["need"])
    row["match"] = Match.model_validate(row["match"])
    row["others"] = [(recipient_id, kind) for recipient_id, kind in row["others"]]
    row["city"] = MunicipalityListed.model_validate(city) if city else None
    row["company"] = CompanyListed.model_validate(company) if company else None
    return ToCompose(**row)


async def composed(tx: Transaction, delivery: UUID, address: str, subject: str, message: bytes) -> None:
    """It may be sent now."""
    await tx.execute(
        """update delivery set state = 'due', address = $2, subject = $3, message = $4, next_try = $5, reason = null
        where id = $1""",
        delivery, address, subject, message, tx.now,
    )  # fmt: skip


async def settle(
    tx: Transaction, delivery: UUID, state: State, *, reason: dict[str, str] | None = None, answer: str | None = None
) -> None:
    """It has come to its end: `sent`, `in_folder`, `failed` or `inbox_only`. The first end stands."""
    await tx.execute(
        "update delivery set state = $2, reason = $3, answer = $4, finished_at = $5 where id = $1 and finished_at is null",
        delivery, state, reason, answer, tx.now,
    )  # fmt: skip


async def postpone(
    tx: Transaction, delivery: UUID, until: datetime, *, reason: dict[str, str], answer: str | None = None
) -> None:
    """Try again then."""
    await tx.execute(
        "update delivery set next_try = $2, reason = $3, answer = coalesce($4, answer) where id = $1",
        delivery, until, reason, answer,
    )  # fmt: skip


async def claim(tx: Transaction, *, limit: int) -> list[ToSend]:
    """Take mails that are due. Whoever dies with them loses them after the lease, and they are sent again as they are."""
    rows = await tx.fetch(
        """update delivery set next_try = $1 + $2, attempts = attempts + 1 where id in (
            select id from delivery where state = 'due' and next_try <= $1
            order by next_try, id limit $3 for update skip locked
        ) returning id, address, message, traceparent, attempts""",
        tx.now, LEASE, limit,
    )  # fmt: skip
    return [ToSend(r["id"], r["address"], r["message"], r["traceparent"].encode(), r["attempts"]) for r in rows]


_DELIVERY = """
select d.id, d.notification_id, n.recipient_id, n.recipient_kind, d.state, d.created_at, d.next_try, d.attempts,
       d.address, d.subject, d.reason, d.answer, d.finished_at, coalesce(m.body -> 'names', c.body -> 'names') as recipient_names
from delivery d join notification n on n.id = d.notification_id
left join municipality m on n.recipient_kind = 'municipality' and m.id = n.recipient_id
left join company c on n.recipient_kind = 'company' and c.id = n.recipient_id
"""


async def deliveries(tx: Transaction, *, state: str | None, limit: int, offset: int) -> list[Delivery]:
    """Mails in this state, or all; the latest first."""
    rows = await tx.fetch(
        f"{_DELIVERY} where $1::text is null or d.state = $1 order by d.created_at desc, d.id limit $2 offset $3",
        state, limit, offset,
    )  # fmt: skip
    return [Delivery(*row) for row in rows]


async def delivery(tx: Transaction, delivery: UUID) -> tuple[Delivery, bytes | None] | None:
    """One mail, and its message if it has been composed."""
    row = await tx.fetchrow(f"{_DELIVERY} where d.id = $1", delivery)
    message = await tx.fetchval("select message from delivery where id = $1", delivery)
    return (Delivery(*row), message) if row else None


async def delivery_of(tx: Transaction, notification_id: UUID) -> Delivery | None:
    """The mail of a notification."""
    row = await tx.fetchrow(f"{_DELIVERY} where d.notification_id = $1", notification_id)
    return Delivery(*row) if row else None


async def oldest_unsent(tx: Transaction) -> float:
    """The age in seconds of the oldest mail that is neither sent nor given up; 0 where there is none."""
    return await tx.fetchval(
        "select extract(epoch from $1 - min(created_at))::float8 from delivery where state in ('to_compose', 'due')", tx.now
    ) or 0.0  # fmt: skip


async def states(tx: Transaction) -> dict[str, int]:
    """How many mails are in each state."""
    rows = await tx.fetch("select state, count(*) as amount from delivery group by state")
    return {row["state"]: row["amount"] for row in rows}
