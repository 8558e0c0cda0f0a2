"""The operator's verbs on what is held back: retry, edit, skip; and for all of one cause: retry, go on without what is missing.
Pages and commands use the same ones.

Each takes the caller's transaction, the actor (an account's id, or the system's user at the command line) and a reason, and
writes one row into the audit. What cannot be done raises `Rejected` in words, with nothing changed. The key is taken first, so
that an act and the un-parker never work on the same event at once; whoever comes second is told kindly.

Records of the quarantine have their verbs in `common.operating.mending_records`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

import asyncpg

from common.contracts.registry import TOPICS, Topic
from common.errors import NotFound
from common.exact_json import from_json
from common.messaging import cursors, parked
from common.messaging.cursors import Conflict
from common.messaging.gate import Move
from common.operating import audit, held
from common.operating.amendments import checked_body, checked_reason, refuse
from common.operating.held import Cause, EventId, HeldEvent, Standing
from common.transaction import Transaction

WAIT_SECONDS = 5
"""So long an act waits for somebody else's; a handler may run longer than that."""
AT_ONCE = 10_000
"""So many events one act retries, or lets go on."""


async def retry(
    tx: Transaction, group: str, id_: EventId, *, actor: str, reason: str, topics: Mapping[str, Topic] = TOPICS
) -> audit.Entry:
    """Try an event again now, and by the usual waits if it fails again."""
    why = checked_reason(reason)
    async with taking_turns(tx):
        event = await _held(tx, group, id_)
        await _must_be_able_to_go_on(tx, group, event, topics)
        await _due_now(tx, group, [id_])
        return await audit.append(tx, actor=actor, action="retry", subject=id_._asdict(), reason=why)


async def retry_all(tx: Transaction, group: str, cause: Cause, *, actor: str, reason: str) -> audit.Entry:
    """Try all events of one cause again now, the oldest 10,000 of them.

    Their keys are not taken, which would be too many locks: what the un-parker is trying just now, it tries once more."""
    why = checked_reason(reason)
    async with taking_turns(tx):
        rows = await tx.fetch(
            """select topic, key, sequence from parked
            where grp = $1 and topic = $2 and type = $3 and reason = $4 and cause = $5 and reason not in ('superseded', 'skipped')
            order by first_at, key, sequence limit $6 for update""",
            group, *cause, AT_ONCE,
        )  # fmt: skip
        events = [EventId(*row) for row in rows]
        if not events:
            refuse(
                "nothing-of-this-cause",
                en="Nothing is held for this cause any more.",
                ja="この原因で保留中のものは、もうありません。",
            )
        await _due_now(tx, group, events)
        subject = {**cause._asdict(), "count": len(events), "events": [list(id_) for id_ in events]}
        return await audit.append(tx, actor=actor, action="retry-all", subject=subject, reason=why)


async def edit(
    tx: Transaction, group: str, id_: EventId, text: str, *, actor: str, reason: str, topics: Mapping[str, Topic] = TOPICS
) -> audit.Entry:
    """Give an event another body and try it now. The body as it arrived is kept, in the row and in the audit.

    Raises `Rejected` with every fault of the new body, each with its place."""
    why = checked_reason(reason)
    async with taking_turns(tx):
        event = await _held(tx, group, id_)
        await _must_be_able_to_go_on(tx, group, event, topics)
        body = checked_body(event.event.type, id_.key, text)
        if from_json(body) == from_json(event.event.body):
            refuse(
                "nothing-changed",
                en="Nothing was changed in the text. To try the event as it is, use “Try again”.",
                ja="内容が変わっていません。そのまま試す場合は「もう一度試す」を使ってください。",
            )
        result = await tx.execute(
            """update parked set original = coalesce(original, body), body = $5, reason = 'fetched', pointer = null, error = null,
                attempts = 0, next_try = $6
            where grp = $1 and topic = $2 and key = $3 and sequence = $4 and reason not in ('superseded', 'skipped')""",
            group, *id_, body, tx.now,
        )  # fmt: skip
        if result != "UPDATE 1":  # the consumer, which takes no keys, had a newer version
            being_tried()
        return await audit.append(
            tx, actor=actor, action="edit", subject=id_._asdict(), reason=why, before=event.event.body, after=body
        )


async def skip(
    tx: Transaction, group: str, id_: EventId, *, actor: str, reason: str, topics: Mapping[str, Topic] = TOPICS
) -> audit.Entry:
    """Decide that an event shall have no effect, and let its key go on. Where events before it are missing: go on without them
    (action `go-on`), and try this one."""
    why = checked_reason(reason)
    async with taking_turns(tx):
        event = await _held(tx, group, id_)
        standing = await _must_be_able_to_go_on(tx, group, event, topics, skipping=True)
        if held.is_dense(id_.topic, topics) and id_.sequence > standing.last + 1:
            await cursors.move(tx, group, {(id_.topic, id_.key): Move(standing.last, id_.sequence - 1)})
            await _try_as_fetched(tx, group, [id_])
            subject = {**id_._asdict(), "first": standing.last + 1, "last": id_.sequence - 1}
            return await audit.append(tx, actor=actor, action="go-on", subject=subject, reason=why)
        await cursors.move(tx, group, {(id_.topic, id_.key): Move(standing.last, id_.sequence)})
        await tx.execute(
            "update parked set reason = 'skipped' where grp = $1 and topic = $2 and key = $3 and sequence = $4", group, *id_
        )
        await parked.next_is_due(tx, group, (id_.topic, id_.key))
        return await audit.append(tx, actor=actor, action="skip", subject=id_._asdict(), reason=why)


async def go_on_all(tx: Transaction, group: str, cause: Cause, *, actor: str, reason: str) -> audit.Entry:
    """Go on without what is missing before the events of this cause, the oldest 10,000 of them, and try these. For a group that
    is new to a topic whose beginning is gone: there each key has a gap.

    What nobody was asked for yet is waited for. As in `retry_all` no keys are taken: cursors move by compare-and-set."""
    why = checked_reason(reason)
    async with taking_turns(tx):
        gaps = await tx.fetch(
            """with heads as materialized (
                select distinct on (key) topic, key, sequence, type, reason, cause, attempts, first_at from parked
                where grp = $1 and topic = $2 and reason not in ('superseded', 'skipped') order by key, sequence
            ) select topic, key, sequence, coalesce(last, 0) as last
            from heads left join lateral (
                select last from inbox_cursor as c where c.grp = $1 and c.topic = $2 and c.key = heads.key offset 0
            ) as cursor on true
            where reason = 'gap' and type = $3 and cause = $4 and attempts > 0 and sequence > coalesce(last, 0) + 1
            order by first_at, key limit $5""",
            group, cause.topic, cause.type, cause.cause, AT_ONCE,
        )  # fmt: skip
        if not gaps:
            refuse(
                "nothing-to-go-on-without",
                en="There is nothing to go on without: what was missing came meanwhile, or its source was not asked for it yet.",
                ja="待たずに進めるものはありません。その間に届いたか、まだ送り元に再送を依頼していません。",
            )
        await cursors.move(tx, group, {(gap["topic"], gap["key"]): Move(gap["last"], gap["sequence"] - 1) for gap in gaps})
        events = [EventId(gap["topic"], gap["key"], gap["sequence"]) for gap in gaps]
        await _try_as_fetched(tx, group, events)
        subject = {
            **cause._asdict(),
            "count": len(gaps),
            "events": [list(id_) for id_ in events],
            "gaps": [[gap["topic"], gap["key"], gap["last"] + 1, gap["sequence"] - 1] for gap in gaps],
        }
        return await audit.append(tx, actor=actor, action="go-on-all", subject=subject, reason=why)


@asynccontextmanager
async def taking_turns(tx: Transaction) -> AsyncIterator[None]:
    """Wait a little for whoever works on the same rows, then say kindly that it is their turn."""
    await tx.execute(f"set local lock_timeout = '{WAIT_SECONDS}s'")
    try:
        yield
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, Conflict):
        being_tried()


def being_tried() -> NoReturn:
    """Somebody else works on it at this moment."""
    refuse(
        "being-tried",
        en="This is being worked on at this very moment. Nothing was changed; look again in a minute.",
        ja="ちょうどいま処理中のため、何も変更していません。1分ほどしてから、もう一度確かめてください。",
    )


async def _held(tx: Transaction, group: str, id_: EventId) -> HeldEvent:
    """The event, locked, its key taken. Raises `Rejected` where it went on meanwhile, `NotFound` where it never was here."""
    await parked.take(tx, group, (id_.topic, id_.key))  # first, as the un-parker does: it makes others of the key due, or not
    event = await held.event(tx, group, id_)
    if event is None:
        if id_.sequence <= (await held.standing_of(tx, group, id_)).last:
            _went_on()
        raise NotFound
    if event.reason == "superseded":
        _went_on()
    if event.over:
        refuse(
            "skipped-already",
            en="This event has been skipped already; its audit says by whom and why.",
            ja="このイベントは既に捨てられています。誰がなぜ捨てたかは、監査記録にあります。",
        )
    return event


def _went_on() -> NoReturn:
    refuse(
        "went-on",
        en="This event is not held any more: it, or a newer version, has taken effect meanwhile. There is nothing left to do.",
        ja="このイベントはもう保留されていません。その間に、このイベントまたは新しい版が反映されました。必要な作業はありません。",
    )


async def _must_be_able_to_go_on(
    tx: Transaction, group: str, event: HeldEvent, topics: Mapping[str, Topic], *, skipping: bool = False
) -> Standing:
    """Where it stands. Raises `Rejected` where an earlier event of its key has to go first, or a later one has taken effect.

    Of a whole state each version can be tried by itself, but a version is only skipped when no older one waits: the older
    one would be skipped with it."""
    standing = await held.standing_of(tx, group, event.id)
    if event.id.sequence <= standing.last:
        _went_on()
    before = standing.head is not None and standing.head < event.id.sequence
    if before and (skipping or held.is_dense(event.id.topic, topics)):
        refuse(
            "not-the-head",
            en=f"Event {standing.head} of the same key waits before this one. Decide on that one first.",
            ja=f"同じキーの {standing.head} 番が先に待っています。まず、そちらを処理してください。",
        )
    return standing


async def _due_now(tx: Transaction, group: str, events: Sequence[EventId]) -> None:
    await tx.execute(
        """update parked as p set next_try = $2, attempts = 0
        from unnest($3::text[], $4::text[], $5::bigint[]) as x(topic, key, sequence)
        where p.grp = $1 and p.topic = x.topic and p.key = x.key and p.sequence = x.sequence""",
        group, tx.now, *map(list, zip(*events, strict=True)),
    )  # fmt: skip


async def _try_as_fetched(tx: Transaction, group: str, events: Sequence[EventId]) -> None:
    """Nothing is missing before these any more: they are tried as if they had just arrived."""
    await tx.execute(
        """update parked as p set reason = 'fetched', attempts = 0, next_try = $2
        from unnest($3::text[], $4::text[], $5::bigint[]) as x(topic, key, sequence)
        where p.grp = $1 and p.topic = x.topic and p.key = x.key and p.sequence = x.sequence""",
        group, tx.now, *map(list, zip(*events, strict=True)),
    )  # fmt: skip
