"""The operator's verbs on the quarantine: read a record again, read all of one reason again, edit, skip.

A record that can be read becomes an event that is tried as if it had just arrived. As with events
(`common.operating.mending`) each verb asks for a reason, writes one row into the audit, and refuses in words.
"""

import asyncpg

from common.contracts.registry import FACTS
from common.errors import Fault, NotFound, Rejected
from common.exact_json import from_json, to_json
from common.messaging.decoding import decode
from common.messaging.message import Event
from common.operating import audit, held
from common.operating.amendments import checked_reason, contract_faults, refuse
from common.operating.broken_words import in_words
from common.operating.held import EventId, HeldRecord, RecordId
from common.operating.mending import taking_turns
from common.operating.raw_records import OwnPlace, RecordText, from_text, original_of, own_place, raw
from common.transaction import Transaction

AT_ONCE = 1000
"""So many records one act reads again."""


async def retry_record(tx: Transaction, group: str, id_: RecordId, *, actor: str, reason: str) -> audit.Entry:
    """Read a record again, by what is known now. Raises `Rejected` where it still is no event, with what is wrong with it."""
    why = checked_reason(reason)
    async with taking_turns(tx):
        record = await _waiting(tx, group, id_)
        event = _read(record)
        await _let_in(tx, group, record, event)
        subject = {**id_._asdict(), "event": _name(event)}
        return await audit.append(tx, actor=actor, action="retry", subject=subject, reason=why)


async def retry_records(tx: Transaction, group: str, topic: str, cause: str, *, actor: str, reason: str) -> audit.Entry:
    """Read the oldest 1,000 records of one reason again. Those that still are no events stay; raises `Rejected` if all do."""
    why = checked_reason(reason)
    async with taking_turns(tx):
        ids = await tx.fetch(
            """select topic, incarnation, part, "offset" from quarantine
            where grp = $1 and topic = $2 and cause = $3 and state = 'waiting'
            order by at, incarnation, part, "offset" limit $4 for update""",
            group, topic, cause, AT_ONCE,
        )  # fmt: skip
        mended: list[RecordId] = []
        for id_ in ids:
            record = await held.record(tx, group, RecordId(*id_))  # one by one: together they may be larger than memory
            assert record is not None
            try:
                await _let_in(tx, group, record, _read(record))
            except Rejected:
                continue
            mended.append(record.id)
        if not mended:
            refuse(
                "still-no-event",
                en="None of these records can be read as an event yet. They stay where they are.",
                ja="どのレコードもまだイベントとして読めません。そのまま残してあります。",
            )
        subject = {"topic": topic, "cause": cause, "count": len(mended), "records": [list(id_) for id_ in mended]}
        return await audit.append(tx, actor=actor, action="retry-all", subject=subject, reason=why)


async def edit_record(tx: Transaction, group: str, id_: RecordId, text: RecordText, *, actor: str, reason: str) -> audit.Entry:
    """Give a record another key, headers and body, and take it in as an event. The record as it came is kept.

    Raises `Rejected` with what is wrong: a record is only changed into an event that keeps to its contract, and that has the key
    and the sequence of the record, where those can be read."""
    why = checked_reason(reason)
    async with taking_turns(tx):
        record = await _waiting(tx, group, id_)
        key, headers, body = from_text(text)
        mended = record._replace(key=key, headers=headers, body=body)
        if (mended.key, mended.headers, mended.body) == (record.key, record.headers, record.body):
            refuse(
                "nothing-changed",
                en="Nothing was changed in the record. To try it as it is, use “Read again”.",
                ja="レコードの内容が変わっていません。そのまま試す場合は「もう一度読む」を使ってください。",
            )
        event = _read(mended)
        _keeps_its_place(own_place(record), event)
        if faults := contract_faults(event.type, event.key, from_json(event.body)):
            raise Rejected(
                "breaks-contract",
                {
                    "en": "This does not keep to the contract of its type. Nothing was changed.",
                    "ja": "この内容は type の契約に合っていません。何も変更していません。",
                },
                tuple(Fault(f"/body{fault.pointer}", fault.code, fault.detail) for fault in faults),
            )
        original = record.original or original_of(record)
        await tx.execute(
            """update quarantine set key = $6, headers = $7, body = $8, original = $9
            where grp = $1 and topic = $2 and incarnation = $3 and part = $4 and "offset" = $5""",
            group, *id_, key, headers, body, original,
        )  # fmt: skip
        await _let_in(tx, group, mended, event)
        subject = {**id_._asdict(), "event": _name(event)}
        return await audit.append(
            tx,
            actor=actor,
            action="edit",
            subject=subject,
            reason=why,
            before=to_json(original_of(record)),
            after=to_json(original_of(mended)),
        )


async def skip_record(tx: Transaction, group: str, id_: RecordId, *, actor: str, reason: str) -> audit.Entry:
    """Decide that a record shall have no effect."""
    why = checked_reason(reason)
    async with taking_turns(tx):
        await _waiting(tx, group, id_)
        await _settled(tx, group, id_, "skipped")
        return await audit.append(tx, actor=actor, action="skip", subject=id_._asdict(), reason=why)


async def _waiting(tx: Transaction, group: str, id_: RecordId) -> HeldRecord:
    """The record, locked; raises `NotFound`, or `Rejected` where somebody has decided already."""
    await tx.fetchrow(
        """select from quarantine where grp = $1 and topic = $2 and incarnation = $3 and part = $4 and "offset" = $5
        for update""",
        group, *id_,
    )  # fmt: skip
    record = await held.record(tx, group, id_)
    if record is None:
        raise NotFound
    if record.state != "waiting":
        refuse(
            "decided-already",
            en="Somebody has decided on this record already; its audit says who and why.",
            ja="このレコードは既に処理されています。誰がなぜ行ったかは、監査記録にあります。",
        )
    return record


def _read(record: HeldRecord) -> Event:
    """The event in it; raises `Rejected` with why there is none."""
    found = decode([raw(record)], FACTS)
    if found.broken:
        words = in_words(found.broken[0].reason)
        refuse(
            "still-no-event",
            en=f"This is no event yet. {words['en']} Nothing was changed.",
            ja=f"まだイベントとして読めません。{words['ja']}何も変更していません。",
        )
    return found.events[0]


def _keeps_its_place(own: OwnPlace, event: Event) -> None:
    """Raises `Rejected` for an event that would take the place of another one."""
    if own.key in (None, event.key) and own.sequence in (None, event.sequence):
        return
    en = [f"key “{own.key[:80]}”"] if own.key else []
    ja = [f"キー「{own.key[:80]}」"] if own.key else []
    if own.sequence:
        en, ja = [*en, f"sequence {own.sequence}"], [*ja, f"sequence {own.sequence}"]
    refuse(
        "place-changed",
        en=f"The record says which event it is ({', '.join(en)}), and an edit cannot change that: it would take the place of "
        "another event. Nothing was changed.",
        ja=f"どのイベントであるか（{'、'.join(ja)}）はレコードから読み取れるため、変えられません。変えると、別のイベントの番号を"
        "取ってしまいます。何も変更していません。",
    )


async def _let_in(tx: Transaction, group: str, record: HeldRecord, event: Event) -> None:
    """Park the event as if it had just arrived, and settle the record. Raises `Rejected` where its place is taken."""
    id_ = EventId(event.topic, event.key, event.sequence)
    if event.sequence <= (await held.standing_of(tx, group, id_)).last:
        refuse(
            "took-effect",
            en=f"Event {event.sequence} of “{event.key[:80]}”, or a newer one, has taken effect already. Skip this record.",
            ja=f"「{event.key[:80]}」の {event.sequence} 番以降が既に反映されています。このレコードは捨ててください。",
        )
    try:
        async with tx.savepoint():
            await tx.execute(
                """insert into parked (grp, topic, key, sequence, event_id, type, source, time, body, trace, correlation_id,
                    causation_id, reason, first_at, next_try)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'fetched', $13, $14)""",
                group, *event, record.at, tx.now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        refuse(
            "waits-already",
            en=f"Event {event.sequence} of “{event.key[:80]}” is held already. Decide on that one, and skip this record.",
            ja=f"「{event.key[:80]}」の {event.sequence} 番は既に保留中です。そちらを処理し、このレコードは捨ててください。",
        )
    await _settled(tx, group, record.id, "retried")


async def _settled(tx: Transaction, group: str, id_: RecordId, state: str) -> None:
    await tx.execute(
        """update quarantine set state = $6
        where grp = $1 and topic = $2 and incarnation = $3 and part = $4 and "offset" = $5""",
        group, *id_, state,
    )  # fmt: skip


def _name(event: Event) -> list[list[str | int]]:
    """The event that a record became, as a subject holds it."""
    return [[event.topic, event.key, event.sequence]]
