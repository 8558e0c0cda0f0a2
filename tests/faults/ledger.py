"""The oracle's book: what was sent, when, and what was answered; one SQLite file outside the system under test.

An attempt is written down before it is made and its answer as soon as it is there. The outcome is `ok` (answered: it stands),
`fail` (answered: it does not) or `unknown` (no answer: both are possible).
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = """
create table sent (
    id       text primary key,
    service  text not null,
    kind     text not null,              -- the topic (counter), or what it is about (need, offering...)
    subject  text not null,              -- the key
    number   integer not null,           -- 1, 2, 3... of each key, in the order of sending
    time     text not null default '',   -- the CloudEvent's
    data     text not null default '',   -- its JSON, where the state is compared
    trouble  text not null default '',   -- the handler fails over it until it is cured
    sent     integer not null,           -- nanoseconds of the oracle's clock before the first attempt
    answered integer,                    -- and after the last answer
    attempts integer not null default 1,
    outcome  text not null default 'unknown' check (outcome in ('ok', 'fail', 'unknown')),
    answer   text not null default ''    -- accepted, superseded, refused
) without rowid;
create index sent_by_subject on sent (service, kind, subject, number);
create table complaint (kind text not null, key text not null, seen text not null);
create table junk (
    topic text not null, part integer not null, "offset" integer not null, life text not null,
    kind  text not null, key text not null
);
create table figure (name text primary key, value text not null);
"""


class Sent(NamedTuple):
    """One event as the oracle means to send it."""

    id: str
    service: str
    kind: str
    subject: str
    number: int
    time: str = ""
    data: str = ""
    trouble: str = ""


class Answer(NamedTuple):
    """What became of one event, and whether that is settled for good."""

    id: str
    outcome: str
    answer: str


class Ledger:
    """The book in one file; every call is on disk when it returns."""

    def __init__(self, path: Path) -> None:
        """Opens the book, which is made when new."""
        new = not path.exists()
        self.connection = sqlite3.connect(path, check_same_thread=False)
        self.connection.executescript("pragma journal_mode = wal; pragma synchronous = normal;")
        if new:
            self.connection.executescript(SCHEMA)

    def close(self) -> None:
        self.connection.close()

    def sending(self, events: Sequence[Sent]) -> None:
        """These are sent now; again, where they were sent before."""
        now = time.monotonic_ns()
        with self.connection:
            self.connection.executemany(
                """insert into sent (id, service, kind, subject, number, time, data, trouble, sent)
                values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set attempts = attempts + 1""",
                [(*event, now) for event in events],
            )

    def answered(self, answers: Iterable[Answer]) -> None:
        """These were answered. What stands already goes on standing: a repeat changes nothing."""
        now = time.monotonic_ns()
        with self.connection:
            self.connection.executemany(
                "update sent set outcome = ?, answer = ?, answered = ? where id = ? and outcome = 'unknown'",
                [(outcome, answer, now, id_) for id_, outcome, answer in answers],
            )

    def complain(self, kind: str, key: str, seen: str) -> None:
        """Something was wrong at once, such as an answer that must never be given."""
        with self.connection:
            self.connection.execute("insert into complaint values (?, ?, ?)", (kind, key, seen))

    def thrown_in(self, topic: str, part: int, offset: int, life: str, kind: str, key: str) -> None:
        """A record that is no event of ours was acknowledged by the broker."""
        with self.connection:
            self.connection.execute("insert into junk values (?, ?, ?, ?, ?, ?)", (topic, part, offset, life, kind, key))

    def note(self, name: str, value: Any) -> None:
        """A figure for the report."""
        with self.connection:
            self.connection.execute("insert or replace into figure values (?, ?)", (name, str(value)))

    def counts(self) -> dict[str, int]:
        """How many events by outcome."""
        return dict(self.connection.execute("select outcome, count(*) from sent group by outcome"))
