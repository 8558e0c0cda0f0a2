"""`musubi parked`: what the services hold back, and the operator's verbs on it, at the command line."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from common.clock import rfc3339
from common.errors import MusubiError, NotFound
from common.operating import audit, held, mending, mending_records, raw_records
from common.operating.amendments import checked_reason
from common.operating.held import Cause, EventId, HeldEvent, HeldRecord, RecordCause, RecordId
from common.postgres import Database
from common.transaction import Transaction
from musubi import editor, held_lists, held_names, places
from musubi.advice import CannotGoOn
from musubi.tables import printable

Act = Callable[[Transaction], Awaitable[audit.Entry]]
Verb = Callable[..., Awaitable[audit.Entry]]


def list_(folder: Path, services: Sequence[str], cause: str | None, *, as_json: bool) -> int:
    """`musubi parked list`: by cause with counts; of one cause its events and records."""
    databases, names = places.databases(folder), places.known(services)
    if cause:
        held_now = asyncio.run(held_lists.of_services(databases, names, None))
        rows = [row for one in held_now for row in (*one["events"], *one["records"])]
        cause = held_names.meant(cause, ((row["cause"], row["what"]) for row in rows))
    found = asyncio.run(held_lists.of_services(databases, names, cause))
    if cause and not any(one["events"] or one["records"] for one in found):
        raise CannotGoOn(f"Nothing is held for the cause {cause} any more. `musubi parked list` shows what there is.")
    if as_json:
        print(json.dumps({"services": found}, ensure_ascii=False))
    else:
        print("\n".join(held_lists.of_one_cause(found) if cause else held_lists.by_cause(found)))
    return 0


def show(folder: Path, service: str, name: str, *, as_json: bool) -> int:
    """`musubi parked show`: one event or record, why it is held, what it says, and who did what with it."""
    with _in_words():
        return asyncio.run(_show(folder, service, name, as_json=as_json))


def retry(folder: Path, service: str, name: str, *, reason: str, as_json: bool) -> int:
    """`musubi parked retry`."""
    act = _on_one(service, name, reason, mending.retry, mending_records.retry_record)
    return _do(folder, service, act, "It is tried again within a second.", as_json=as_json)


def skip(folder: Path, service: str, name: str, *, reason: str, as_json: bool) -> int:
    """`musubi parked skip`; where events before this one are missing: go on without them."""
    act = _on_one(service, name, reason, mending.skip, mending_records.skip_record)
    return _do(folder, service, act, "It will have no effect, and what waited behind it goes on.", as_json=as_json)


def _on_one(service: str, name: str, reason: str, on_event: Verb, on_record: Verb) -> Act:
    async def act(tx: Transaction) -> audit.Entry:
        checked_reason(reason)
        item = await _find(tx, service, name)
        verb = on_event if isinstance(item, HeldEvent) else on_record
        return await verb(tx, service, item.id, actor=places.actor(), reason=reason)

    return act


def retry_all(folder: Path, service: str, name: str, *, reason: str, as_json: bool) -> int:
    """`musubi parked retry-all`."""

    async def act(tx: Transaction) -> audit.Entry:
        checked_reason(reason)
        cause = await _find_cause(tx, service, name)
        if isinstance(cause, Cause):
            return await mending.retry_all(tx, service, cause, actor=places.actor(), reason=reason)
        return await mending_records.retry_records(
            tx, service, cause.topic, cause.cause, actor=places.actor(), reason=reason
        )  # fmt: skip

    return _do(folder, service, act, "{count} are tried again within a second.", as_json=as_json)


def go_on_all(folder: Path, service: str, name: str, *, reason: str, as_json: bool) -> int:
    """`musubi parked go-on-all`."""

    async def act(tx: Transaction) -> audit.Entry:
        checked_reason(reason)
        cause = await _find_cause(tx, service, name)
        if not isinstance(cause, Cause) or cause.reason != "gap":
            raise CannotGoOn(f"Nothing is missing before what is held for the cause {name}. `musubi parked list` shows the gaps.")
        return await mending.go_on_all(tx, service, cause, actor=places.actor(), reason=reason)

    return _do(folder, service, act, "{count} keys go on without what is missing.", as_json=as_json)


def edit(folder: Path, service: str, name: str, file: str | None, *, reason: str, as_json: bool) -> int:
    """`musubi parked edit`: the new text from `file` ("-" is standard input), else from the user's editor."""
    dsn = places.databases(folder)[places.known([service])[0]]
    with _in_words():
        checked_reason(reason)
        before = asyncio.run(_text_of(dsn, service, name))
    text = editor.read(file) if file else editor.opened(before, ".json" if ":" in name else ".txt")

    async def act(tx: Transaction) -> audit.Entry:
        item = await _find(tx, service, name)
        actor = places.actor()
        if isinstance(item, HeldEvent):
            return await mending.edit(tx, service, item.id, text, actor=actor, reason=reason)
        return await mending_records.edit_record(tx, service, item.id, editor.parts_of(text), actor=actor, reason=reason)

    try:
        return _do(folder, service, act, "It is tried with its new content within a second.", as_json=as_json)
    except CannotGoOn as error:
        if file:
            raise
        raise CannotGoOn(f"{error} Your text is kept in {editor.kept(text)}; mend it there and use --file.") from None


def _do(folder: Path, service: str, act: Act, words: str, *, as_json: bool) -> int:
    """Carry out an act in one transaction and say what was written into the audit."""
    with _in_words():
        entry = asyncio.run(_acted(folder, service, act))
    if entry.action == "go-on":
        words = "Its key goes on without events {first} to {last}, which never came."
    if as_json:
        print(json.dumps({"service": service} | _as_json(entry), ensure_ascii=False))
    else:
        print(words.format_map(dict(entry.subject)))
        print(f"Audit of {service}: number {entry.number}, {entry.action}, by {entry.actor}, hash {entry.hash.hex()}.")
    return 0


async def _acted(folder: Path, service: str, act: Act) -> audit.Entry:
    async with _opened(folder, service) as database, database.transaction() as tx:
        return await act(tx)


@asynccontextmanager
async def _opened(folder: Path, service: str) -> AsyncIterator[Database]:
    (name,) = places.known([service])
    async with places.opened(places.databases(folder)[name], name) as database:
        yield database


@contextmanager
def _in_words() -> Iterator[None]:
    """A refusal in one line, each fault with its place."""
    language = "ja" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("ja") else "en"
    try:
        yield
    except NotFound:
        raise CannotGoOn("Nothing of that name is held. `musubi parked list` shows what there is.") from None
    except MusubiError as error:
        said = error.detail.get(language) or error.detail["en"]
        faults = [(fault.pointer or "/", fault.detail.get(language) or fault.detail["en"]) for fault in error.faults]
        more = [f"{place}: {words}" for place, words in faults if words != said]  # one fault may be all that there is to say
        raise CannotGoOn(printable(" ".join([said, *more]))) from None  # it may repeat what the record says


async def _find(tx: Transaction, service: str, name: str) -> HeldEvent | HeldRecord:
    """What is held under this name; raises `NotFound`, or `CannotGoOn` where the name leaves a doubt."""
    wanted = held_names.read(name)
    if isinstance(wanted, EventId):
        event = await held.event(tx, service, wanted)
        if event is None:
            raise NotFound
        return event
    found = [id_ for id_ in await held_lists.records_at(tx, service, wanted) if wanted.means(id_)]
    if len(found) > 1:
        raise CannotGoOn(f"{name} leaves a doubt; add more of what follows the #: {', '.join(map(_in_full, found))}")
    record = await held.record(tx, service, found[0]) if found else None
    if record is None:
        raise NotFound
    return record


def _in_full(id_: RecordId) -> str:
    return f"{id_.topic}/{id_.part}@{id_.offset}#{id_.incarnation}"


async def _find_cause(tx: Transaction, service: str, name: str) -> Cause | RecordCause:
    causes = [*(row.cause for row in await held.causes(tx, service)), *await held.record_causes(tx, service)]
    by_name = {held_names.of_cause(cause): cause for cause in causes}
    if found := by_name.get(held_names.meant(name, ((short, cause.cause) for short, cause in by_name.items()))):
        return found
    raise CannotGoOn(f"Nothing is held in {service} for the cause {name}. `musubi parked list` shows the causes.")


async def _text_of(dsn: str, service: str, name: str) -> str:
    async with places.opened(dsn, service) as database, database.reading() as tx:
        item = await _find(tx, service, name)
    if isinstance(item, HeldEvent):
        return held_lists.laid_out(item.event.body) + "\n"
    return editor.as_one(raw_records.as_text(item))


async def _show(folder: Path, service: str, name: str, *, as_json: bool) -> int:
    async with _opened(folder, service) as database, database.reading() as tx:
        item = await _find(tx, service, name)
        acts = await audit.about(tx, item.id._asdict())
    facts = held_lists.facts_of(item)
    if as_json:
        print(json.dumps(facts | {"audit": [_as_json(entry) for entry in acts]}, ensure_ascii=False))
        return 0
    width = max(map(len, facts))
    for label, value in facts.items():
        if label not in ("key", "headers", "body", "original") and value not in (None, ""):
            print(f"{label:<{width}}  {printable(str(value))}")
    sys.stdout.write(printable(held_lists.content_of(item), keep="\n\t"))
    for entry in acts:
        print(f"audit {entry.number}: {rfc3339(entry.at)} {entry.action} by {entry.actor}: {printable(entry.reason)}")
    return 0


def _as_json(entry: audit.Entry) -> dict[str, Any]:
    """An act for scripts, without the contents that it changed."""
    return {
        "number": entry.number,
        "at": rfc3339(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "subject": dict(entry.subject),
        "reason": entry.reason,
        "hash": entry.hash.hex(),
    }
