"""What the services hold, read for the command line: by cause with counts, one cause's events and records, and one in full."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.clock import rfc3339
from common.exact_json import NotJson, from_json
from common.operating import held, json_shown, raw_records
from common.operating.broken_words import in_words
from common.operating.held import CauseRow, HeldEvent, HeldRecord, RecordCause, RecordId
from common.transaction import Transaction
from musubi import held_names, places
from musubi.held_names import RecordName
from musubi.tables import table

AT_MOST = 500
"""So many events and records of one cause are listed."""

Found = dict[str, Any]
"""What one service holds, as JSON."""


async def of_services(databases: Mapping[str, str], services: Sequence[str], cause: str | None) -> list[Found]:
    """What each of these services holds: its causes, or the events and records of the one that is named."""
    found = []
    for service in services:
        async with places.opened(databases[service], service) as database, database.reading() as tx:
            causes, record_causes = await held.causes(tx, service), await held.record_causes(tx, service)
            if cause is None:
                events: list[Found] = [_cause(row) for row in causes]
                records: list[Found] = [_record_cause(row) for row in record_causes]
            else:
                events = [facts_of(event) for row in causes if held_names.of_cause(row.cause) == cause
                          for event in await held.events_of(tx, service, row.cause, limit=AT_MOST)]  # fmt: skip
                records = [facts_of(record) for row in record_causes if held_names.of_cause(row) == cause
                           for record in await held.records_of(tx, service, row.topic, row.cause, limit=AT_MOST)]  # fmt: skip
            behind = await held.behind(tx, service)
        found.append({"service": service, "events": events, "records": records, "behind": behind})
    return found


async def records_at(tx: Transaction, group: str, name: RecordName) -> list[RecordId]:
    """The records that stood at this place, in whatever life of the broker."""
    rows = await tx.fetch(
        """select topic, incarnation, part, "offset" from quarantine
        where grp = $1 and topic = $2 and part = $3 and "offset" = $4 order by at""",
        group, name.topic, name.part, name.offset,
    )  # fmt: skip
    return [RecordId(*row) for row in rows]


def _cause(row: CauseRow) -> Found:
    return {
        "cause": held_names.of_cause(row.cause),
        "topic": row.cause.topic,
        "type": row.cause.type,
        "reason": "dead" if row.dead else row.cause.reason,
        "what": row.cause.cause,
        "amount": row.amount,
        "oldest": rfc3339(row.oldest),
        "next_try": row.next_try and rfc3339(row.next_try),
        "example": row.error,
    }


def _record_cause(row: RecordCause) -> Found:
    return {
        "cause": held_names.of_cause(row),
        "topic": row.topic,
        "what": row.cause,
        "amount": row.amount,
        "oldest": rfc3339(row.oldest),
        "example": in_words(row.reason)["en"],
    }


def by_cause(found: Sequence[Found]) -> list[str]:
    """Lines for people: each service with its causes."""
    lines = []
    for one in found:
        events, records = (sum(row["amount"] for row in one[kind]) for kind in ("events", "records"))
        if not events and not records:
            lines.append(f"{one['service']}: nothing is held")
            continue
        behind = f", {one['behind']} more wait behind them" if one["behind"] else ""
        lines.append(f"{one['service']}: {counted(events, 'event')} held{behind}, {counted(records, 'record')} in quarantine")
        rows = [
            (row["cause"], row["topic"], row.get("reason", "quarantine"), row["what"], row["amount"], _short(row["oldest"]),
             _short(row.get("next_try")), row["example"][:200])
            for row in (*one["events"], *one["records"])
        ]  # fmt: skip
        lines += table(("CAUSE", "TOPIC", "STATE", "WHERE OR WHAT", "HELD", "SINCE", "NEXT TRY", "EXAMPLE"), rows)
    return lines


def of_one_cause(found: Sequence[Found]) -> list[str]:
    """Lines for people: the events and records of one cause."""
    lines = []
    for one in found:
        rows = [
            (row["name"], _short(row["first_at"]), row.get("attempts", ""), _short(row.get("next_try")), row["reason"][:200])
            for row in (*one["events"], *one["records"])
        ]
        if rows:
            lines += [f"{one['service']}:", *table(("NAME", "SINCE", "TRIED", "NEXT TRY", "WHY"), rows)]
    return lines


def _short(moment: str | None) -> str:
    """A moment of the JSON to the second; `-` for none."""
    return f"{moment[:10]} {moment[11:19]}Z" if moment else "-"


def counted(amount: int, what: str) -> str:
    """`1 event`, `2 events`."""
    return f"{amount} {what}{'' if amount == 1 else 's'}"


def facts_of(item: HeldEvent | HeldRecord) -> Found:
    """Everything about one of them, for scripts and as lines for people."""
    if isinstance(item, HeldRecord):
        return {
            "name": held_names.of_record(item.id),
            "incarnation": item.id.incarnation,
            "state": item.state,
            "reason": item.reason,
            "first_at": rfc3339(item.at),
            **raw_records.original_of(item),
            "original": item.original,
        }
    event = item.event
    return {
        "name": held_names.of_event(item.id),
        "type": event.type,
        "id": event.id,
        "time": event.time,
        "correlation_id": event.correlation_id,
        "state": "dead" if item.dead and item.reason in ("poison", "gap") else item.reason,
        "pointer": item.pointer,
        "reason": item.error or item.reason,
        "attempts": item.attempts,
        "first_at": rfc3339(item.first_at),
        "next_try": None if item.dead or item.over else rfc3339(item.next_try),
        "body": event.body.decode("utf-8", "replace"),
        "original": None if item.original is None else item.original.decode("utf-8", "replace"),
    }


def content_of(item: HeldEvent | HeldRecord) -> str:
    """What it says, for people: an event's JSON over several lines and as it came; a record's key, headers and body."""
    if isinstance(item, HeldEvent):
        parts = [("body", laid_out(item.event.body)), ("body as it came", raw_records.shown(item.original or item.event.body)[0])]
    else:
        headers = "\n".join(f"{name}: {raw_records.shown(value)[0]}" for name, value in raw_records.headers_of(item.headers))
        parts = [("key", raw_records.shown(item.key)[0]), ("headers", headers), ("body", raw_records.shown(item.body)[0])]
    return "".join(f"--- {label}\n{text.rstrip()}\n" for label, text in parts)


def laid_out(body: bytes) -> str:
    """An event's JSON over several lines, every digit as it is; what is no JSON stays as it is."""
    try:
        return json_shown.as_text(from_json(body))
    except NotJson:
        return body.decode("utf-8", "replace")
