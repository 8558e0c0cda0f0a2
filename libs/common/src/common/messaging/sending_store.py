"""What the relay keeps of the broker it sends to: its life, how far each partition was written, how far the readers are."""

from collections.abc import Iterable, Sequence

import asyncpg

from common.messaging.message import Partition
from common.messaging.sending import Sending


async def known(connection: asyncpg.Connection) -> Sending:
    """What was noted last."""
    life = await connection.fetchrow("select incarnation from broker_life")
    rows = await connection.fetch("select topic, part, next, beyond from sent_until")
    until = {Partition(topic, part): next_ for topic, part, next_, _ in rows}
    beyond = {Partition(topic, part): furthest for topic, part, _, furthest in rows}
    return Sending(life["incarnation"], until, beyond) if life else Sending()


async def met(connection: asyncpg.Connection, sending: Sending, *, all_again: bool) -> None:
    """Note who the broker is; in another life than before, nothing of the old one counts. And, if so, that everything has to be
    marked unsent, in the same transaction: who is cut off while marking leaves that to the next."""
    async with connection.transaction():
        before = await connection.fetchval("select incarnation from broker_life for update")
        if before != sending.incarnation:
            await connection.execute("delete from sent_until")
            await connection.execute(
                """insert into broker_life (incarnation) values ($1)
                on conflict (one) do update set incarnation = excluded.incarnation, since = now()""",
                sending.incarnation,
            )
        if all_again:
            await connection.execute("update broker_life set all_again = true")
            await connection.execute("delete from sent_mark")  # who passed them may have passed a hole
        await sent(connection, [], sending, sending.until)


async def all_again(connection: asyncpg.Connection) -> bool:
    """Has everything still to be marked unsent?"""
    return await connection.fetchval("select all_again from broker_life") or False


async def everything_is_marked(connection: asyncpg.Connection) -> None:
    """Everything that had to be is marked unsent."""
    await connection.execute("update broker_life set all_again = false")


async def sent(connection: asyncpg.Connection, batches: Sequence[int], sending: Sending, parts: Iterable[Partition]) -> None:
    """These batches have reached the broker: forget them, and note how far these partitions are; in one statement, so both or
    neither."""
    written = [(part.topic, part.number, sending.until[part], sending.beyond[part]) for part in parts]
    await connection.execute(
        """with gone as (delete from unsent where batch = any($1::bigint[]))
        insert into sent_until as known (topic, part, next, beyond)
        select * from unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[])
        on conflict (topic, part) do update set next = excluded.next, beyond = excluded.beyond
        where known.next <> excluded.next or known.beyond <> excluded.beyond""",
        batches, *(map(list, zip(*written, strict=True)) if written else ([], [], [], [])),
    )  # fmt: skip


async def forget_marks(connection: asyncpg.Connection, topic: str) -> None:
    """A reader passed a hole in this topic: what it has passed says nothing about what it has read."""
    await connection.execute("delete from sent_mark where topic = $1", topic)


async def note_reader(connection: asyncpg.Connection, group: str, incarnation: str, next_: dict[Partition, int]) -> None:
    """How far a group has come in our topics, by its own word."""
    parts = sorted(next_)
    await connection.execute(
        """insert into reader (grp, topic, part, incarnation, next, heard_at)
        select $1, topic, part, $2, next, now() from unnest($3::text[], $4::int[], $5::bigint[]) as x(topic, part, next)
        on conflict (grp, topic, part) do update
            set incarnation = excluded.incarnation, next = excluded.next, heard_at = excluded.heard_at""",
        group, incarnation, [part.topic for part in parts], [part.number for part in parts], [next_[part] for part in parts],
    )  # fmt: skip
