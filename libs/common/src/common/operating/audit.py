"""Who did what, when and why, for good: an append-only table whose rows are chained by their hashes, and the check of that chain.

Each row's hash is SHA-256 over all of its columns and the hash before it, so a changed, inserted, moved or removed row shows.
Two things a chain cannot show by itself: that its newest rows are gone, and that everything from some row on was made anew by
somebody who may write the table. For these every act is logged with its number and hash, outside of the database; `verify`
takes such pairs (`Witness`) and finds both.
"""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg
import msgspec

from common.exact_json import NotJson, from_json
from common.transaction import Transaction

FIRST = bytes(32)
"""What stands for the hash before the first row."""

_LOCK = 0x61756474
_AT_ONCE = 1000
_canonical_json = msgspec.json.Encoder(order="sorted", decimal_format="number").encode

Subject = Mapping[str, str | int | Sequence[Sequence[str | int]]]
"""Which record an act was about, by the names of its key's columns; an act on many lists them."""


class Entry(NamedTuple):
    """One act. `before` and `after` are what it changed, such as an event's body."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: Subject
    reason: str
    before: bytes | None
    after: bytes | None
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the chain, at this number; `what` says it in English."""

    number: int
    what: str


class Witness(NamedTuple):
    """Number and hash of a row as they were logged when it was written."""

    number: int
    hash: bytes


async def append(
    tx: Transaction,
    *,
    actor: str,
    action: str,
    subject: Subject,
    reason: str,
    before: bytes | None = None,
    after: bytes | None = None,
) -> Entry:
    """Write an act down in the caller's transaction; it stays, or goes, with what was done.

    Call it last: from here on until the commit nobody else can append, which keeps the numbers without gaps."""
    await tx.execute("select pg_advisory_xact_lock($1, hashtext(current_schema()))", _LOCK)
    newest = await tx.fetchrow("select number, hash from audit order by number desc limit 1")
    number, previous = (newest["number"] + 1, newest["hash"]) if newest else (1, FIRST)
    entry = Entry(number, tx.now, actor, action, subject, reason, before, after, previous, b"")
    entry = entry._replace(hash=hash_of(entry))
    await tx.execute(
        """insert into audit (number, at, actor, action, subject, reason, before, after, previous, hash)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
        *entry,
    )
    return entry


def tell(log: logging.Logger, entry: Entry) -> None:
    """Log an act after its commit: the witness that a chain needs against whoever may write the table."""
    log.info("act in the audit", extra={"action": entry.action, "number": entry.number, "hash": entry.hash.hex()})


def hash_of(entry: Entry) -> bytes:
    """SHA-256 over every column but the hash itself, each with its length before it, so that nothing can slip from one into
    the next."""
    digest = hashlib.sha256(b"musubi audit 1")
    for value in entry[:-1]:
        part = _canonical(value)
        digest.update(b"-" if part is None else b"%d:" % len(part) + part)
    return digest.digest()


def _canonical(value: object) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").encode()
    if isinstance(value, (str, int)):
        return str(value).encode()
    return _canonical_json(value)


async def verify(tx: Transaction, witnesses: Collection[Witness] = ()) -> list[Finding]:
    """Everything wrong with the chain, the first wrong row first; empty where all is well.

    Without `witnesses` (from the services' logs) it does not see that the newest rows are gone, or that the chain was made anew
    from some row on."""
    findings: list[Finding] = []
    logged = {witness.number: witness.hash for witness in witnesses}
    last, previous, read = 0, FIRST, None
    while rows := await _after(tx, read):
        read = rows[-1].number
        for entry in rows:
            if entry.number < 1:
                findings.append(Finding(entry.number, "put in: numbers begin at 1"))
                continue
            findings += _faults(entry, last, previous, logged.pop(entry.number, None))
            last, previous = entry.number, entry.hash
    if logged:
        findings.append(Finding(min(logged), f"missing, though it was logged; the newest row here is {last}"))
    return sorted(findings, key=lambda finding: finding.number)


def _faults(entry: Entry, last: int, previous: bytes, logged: bytes | None) -> list[Finding]:
    found: list[Finding] = []
    if entry.number != last + 1:
        gone = str(last + 1) if entry.number == last + 2 else f"{last + 1} to {entry.number - 1}"
        found.append(Finding(last + 1, f"missing: {gone}"))
    elif entry.previous != previous:
        found.append(Finding(entry.number, "does not follow the row before it: one of the two was changed, moved or put in"))
    if hash_of(entry) != entry.hash:
        found.append(Finding(entry.number, "changed: its hash does not cover what it says"))
    elif logged is not None and logged != entry.hash:
        found.append(Finding(entry.number, "made anew: it was logged with another hash"))
    return found


async def _after(tx: Transaction, number: int | None) -> list[Entry]:
    rows = await tx.fetch(
        """select number, at, actor, action, subject::text as subject, reason, before, after, previous, hash from audit
        where $1::bigint is null or number > $1 order by number limit $2""",
        number, _AT_ONCE,
    )  # fmt: skip
    return [_entry(row) for row in rows]


def _entry(row: asyncpg.Record) -> Entry:
    values = dict(row)
    try:
        values["subject"] = from_json(str(values["subject"]))
    except NotJson:  # a number beyond measure: none of ours, and its hash will not fit either
        values["subject"] = {}
    return Entry(**values)


async def entry(tx: Transaction, number: int) -> Entry | None:
    """One act, or None."""
    row = await tx.fetchrow(
        """select number, at, actor, action, subject::text as subject, reason, before, after, previous, hash from audit
        where number = $1""",
        number,
    )
    return _entry(row) if row else None


async def about(tx: Transaction, subject: Subject, limit: int = 100) -> list[Entry]:
    """The acts whose subject has all that this one has, the newest first; `{}` for all acts."""
    rows = await tx.fetch(
        """select number, at, actor, action, subject::text as subject, reason, before, after, previous, hash from audit
        where subject @> $1 order by number desc limit $2""",
        dict(subject), limit,
    )  # fmt: skip
    return [_entry(row) for row in rows]


async def names_of(tx: Transaction, actors: Collection[str]) -> dict[str, dict[str, str]]:
    """The names by language of those actors that are accounts; a user of the system at the command line has none."""
    rows = await tx.fetch("select account_id, names from identity.people where account_id = any($1::text[])", list(actors))
    return {row["account_id"]: row["names"] for row in rows}
