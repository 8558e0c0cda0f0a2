"""What pruning asks of the database and deletes from it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from common.transaction import Transaction

_EVENTS_AT_ONCE = 2_000
_RECORDS_AT_ONCE = 5_000
_SENDING = timedelta(minutes=5)


async def mark(tx: Transaction, now: datetime) -> None:
    """Note how far each partition is written now: what was stored well before lies below. Not while older batches are unsent."""
    await tx.execute(
        """insert into sent_mark (at, topic, part, next) select $1::timestamptz, topic, part, next from sent_until
        where not exists (select from broker_life where all_again) and not exists
            (select from (select batch from unsent order by batch limit 1) as oldest join outbox using (batch)
            where stored_at < $1::timestamptz - $2::interval)
        on conflict do nothing""",
        now, _SENDING,
    )  # fmt: skip


async def forget_marks(tx: Transaction, before: datetime) -> None:
    """Marks so old that no reader is waited for that stands there."""
    await tx.execute("delete from sent_mark where at < $1", before)


async def topics_marked(tx: Transaction) -> list[str]:
    """The topics that were written to in this life of the broker."""
    return [topic for (topic,) in await tx.fetch("select distinct topic from sent_mark")]


async def readers(tx: Transaction) -> tuple[datetime, dict[tuple[str, str], datetime]]:
    """Since when the broker is this one, and when each group was last heard about each topic."""
    rows = await tx.fetch("select grp, topic, max(heard_at) from reader group by grp, topic")
    since = await tx.fetchval("select coalesce((select since from broker_life), now())")
    return since, {(group, topic): at for group, topic, at in rows}


async def newest_mark_passed(tx: Transaction, topic: str, groups: Sequence[str]) -> datetime | None:
    """The newest time at which no partition of the topic was written further than all of these groups have read by now."""
    return await tx.fetchval(
        """select max(at) from (
            select at from sent_mark as mark cross join lateral (
                select coalesce(min(coalesce(reader.next, 0)), mark.next) as read from unnest($2::text[]) as waited(grp)
                left join reader on reader.grp = waited.grp and reader.topic = mark.topic and reader.part = mark.part
                    and reader.incarnation = (select incarnation from broker_life)
            ) as slowest
            where mark.topic = $1 group by at having bool_and(read >= mark.next)
        ) as passed""",
        topic, groups,
    )  # fmt: skip


async def forget_events(
    tx: Transaction, batch: int, facts: Mapping[str, datetime], states: Sequence[str], states_before: datetime
) -> tuple[int, int]:
    """Delete a portion of the outbox, from this batch on: facts stored before their topic's time, older versions of states.

    Returns the batch to go on from, 0 at the end, and how many events were dropped. What is unsent stays."""
    last = await tx.fetchval(
        "select batch from outbox where batch >= $1 order by batch, n offset $2 limit 1", batch, _EVENTS_AT_ONCE - 1
    )
    result = await tx.execute(
        """delete from outbox as old
        where batch >= $1 and batch <= coalesce($2, 9223372036854775807)
          and not exists (select from unsent where unsent.batch = old.batch)
          and (
            exists (select from unnest($3::text[], $4::timestamptz[]) as fact(topic, before)
                where fact.topic = old.topic and old.stored_at < fact.before)
            or topic = any($5::text[]) and stored_at < $6 and exists (select from stream_head as head
                where head.key = old.key and head.topic = old.topic and head.sequence > old.sequence)
          )""",
        batch, last, list(facts), list(facts.values()), states, states_before,
    )  # fmt: skip
    gone = int(result.split()[-1])
    if last is None or await tx.fetchval("select stored_at > $2 from outbox where batch = $1 limit 1", last, states_before):
        return 0, gone  # all that follow are younger
    return last + 1, gone


async def forget_records(tx: Transaction, *, seen: datetime, settled: datetime) -> bool:
    """Delete a portion of what partners sent before `seen`, and of held records that were settled and came before `settled`. True
    if there may be more."""
    found = [
        await tx.execute(
            "delete from inbox_seen where ctid = any(array(select ctid from inbox_seen where seen_at < $1 limit $2))",
            seen, _RECORDS_AT_ONCE,
        ),
        await tx.execute(
            """delete from parked where ctid = any(array(
            select ctid from parked where reason in ('superseded', 'skipped') and first_at < $1 limit $2))""",
            settled, _RECORDS_AT_ONCE,
        ),
        await tx.execute(
            """delete from quarantine where ctid = any(array(
            select ctid from quarantine where state in ('retried', 'skipped') and at < $1 limit $2))""",
            settled, _RECORDS_AT_ONCE,
        ),
    ]  # fmt: skip
    return f"DELETE {_RECORDS_AT_ONCE}" in found
