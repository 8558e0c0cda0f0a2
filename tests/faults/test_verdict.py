"""The checker itself: it finds nothing in a healthy book, and each thing that must not be in a book into which it was written."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import evidence, states, verdict
from tests.faults.counter import COUNTED, SAID, SET
from tests.faults.ledger import Answer, Ledger, Sent

Book = sqlite3.Connection


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """Two requests of three numbers, two keys, and all that should follow from them."""
    ledger = Ledger(tmp_path / "ledger")
    book = ledger.connection
    for first in (1, 3):
        batch = [
            Sent(f"id-{kind}-{number}", "counter", kind, "a", number) for number in (first, first + 1) for kind in (SAID, SET)
        ]
        ledger.sending(batch)
        ledger.answered([Answer(sent.id, "ok", "accepted") for sent in batch])
    ledger.sending([Sent("id-given-up", "counter", SAID, "a", 5)])
    ledger.thrown_in(SAID, 0, 77, "broker", "bad JSON", "junk-1")
    book.executescript(evidence.SCHEMA)
    for number in range(1, 5):
        for kind in (SAID, SET):
            follows(book, kind, number)
    for kind in (SAID, SET):
        book.execute("insert into head values ('counter', ?, 'a', 4)", (kind,))
        book.execute("insert into cursor values ('counter', ?, 'a', 4)", (kind,))
        book.execute("insert into head values ('counter', ?, ?, 4)", (COUNTED, f"{kind}/a"))
        book.execute("insert into cursor values ('tally', ?, ?, 4)", (COUNTED, f"{kind}/a"))
    book.execute("insert into quarantined values ('counter', ?, 0, 77, 'not JSON')", (SAID,))
    yield book
    ledger.close()


def follows(book: Book, kind: str, number: int) -> None:
    """What follows from one accepted number: announced, sent, recorded, announced again, sent, recorded."""
    said, event, counted = f"id-{kind}-{number}", f"event-{kind}-{number}", f"counted-{kind}-{number}"
    book.execute("insert into announced values ('counter', ?, 'a', ?, ?, ?, '')", (kind, number, event, said))
    book.execute("insert into on_topic values (?, 0, ?, 'a', ?, ?)", (kind, number, number, event))
    effect(book, "counter", kind, "a", number, event, said)
    key = f"{kind}/a"
    book.execute("insert into announced values ('counter', ?, ?, ?, ?, ?, ?)", (COUNTED, key, number, counted, said, event))
    book.execute("insert into on_topic values (?, 0, ?, ?, ?, ?)", (COUNTED, number, key, number, counted))
    effect(book, "tally", COUNTED, key, number, counted, said)


def effect(book: Book, group: str, topic: str, key: str, sequence: int, event: str, said: str) -> None:
    book.execute(
        "insert into effect select ?, coalesce(max(place), 0) + 1, ?, ?, ?, ?, ?, 1, 0 from effect",
        (group, topic, key, sequence, event, said),
    )


def kinds(book: Book) -> set[str]:
    return {anomaly.kind for anomaly in verdict.judge(book, real=True)}


def test_a_healthy_book_has_no_anomaly(book: Book) -> None:
    assert verdict.in_words(verdict.judge(book, real=True)) == "no anomaly"


def test_an_event_that_nobody_answered_may_have_had_its_effect_or_not(book: Book) -> None:
    book.execute("update head set sequence = 5 where topic = ? or key = ?", (SAID, f"{SAID}/a"))
    book.execute("update cursor set last = 5 where topic = ? or key = ?", (SAID, f"{SAID}/a"))
    follows(book, SAID, 5)
    book.execute("update announced set correlation = 'id-given-up' where sequence = 5")
    book.execute("update effect set said = 'id-given-up' where sequence = 5")
    assert verdict.in_words(verdict.judge(book, real=True)) == "no anomaly"


PLANTED: dict[str, tuple[str, str]] = {
    "an accepted event that is not in the outbox": ("lost", f"delete from announced where topic = '{SET}' and sequence = 2"),
    "an announced event without effect": ("lost", f"delete from effect where topic = '{SAID}' and sequence = 4"),
    "an accepted event that never came as far as the tally": ("lost", "delete from effect where grp = 'tally' and sequence = 4"),
    "two effects of one event": ("double", f"insert into effect select * from effect where topic = '{SAID}' and sequence = 4"),
    "two effects of one request under different ids": (
        "double",
        f"update effect set said = 'id-{SAID}-3' where topic = '{SAID}' and sequence = 4",
    ),
    "two events because of one": (
        "double",
        f"insert into announced values ('counter', '{COUNTED}', '{SAID}/a', 5, 'more', 'id-{SAID}-4', 'event-{SAID}-4')",
    ),
    "one request announced twice": (
        "double",
        f"insert into announced values ('counter', '{SAID}', 'a', 5, 'more', 'id-{SAID}-4', '')",
    ),
    "an announcement of what was refused": (
        "effect without acceptance",
        f"update sent set outcome = 'fail', answer = 'refused' where id = 'id-{SAID}-2'",
    ),
    "an announcement of what was superseded": (
        "effect without acceptance",
        f"update sent set answer = 'superseded' where id = 'id-{SAID}-2'",
    ),
    "an announcement of what nobody sent": (
        "effect without acceptance",
        f"update announced set correlation = 'nobody' where topic = '{SAID}' and sequence = 2",
    ),
    "an effect of what nobody announced": (
        "effect without acceptance",
        f"insert into effect values ('counter', 99, '{SAID}', 'a', 5, 'nobody', 'nobody', 5, 0)",
    ),
    "an event in Kafka that is in no outbox": (
        "effect without acceptance",
        f"insert into on_topic values ('{SAID}', 0, 99, 'a', 5, 'nobody')",
    ),
    "effects of one key in another order": (
        "order",
        f"update effect set place = 1000 - place where topic = '{SET}'",
    ),
    "a hole in a dense key": ("order", f"update effect set sequence = 7 where topic = '{SAID}' and sequence = 4"),
    "a later request that got an earlier sequence": (
        "order",
        f"""update announced set correlation = case sequence when 1 then 'id-{SAID}-4' else 'id-{SAID}-1' end
        where topic = '{SAID}' and sequence in (1, 4)""",
    ),
    "a request whose numbers were announced in another order": (
        "order",
        f"""update announced set correlation = case sequence when 1 then 'id-{SAID}-2' else 'id-{SAID}-1' end
        where topic = '{SAID}' and sequence in (1, 2)""",
    ),
    "a sequence given twice": (
        "sequence",
        f"update announced set sequence = 3 where topic = '{SAID}' and sequence = 4",
    ),
    "an event of the outbox that is not in Kafka": ("unannounced", f"delete from on_topic where event_id = 'event-{SAID}-3'"),
    "an event that went out with another sequence": (
        "changed id",
        f"insert into on_topic values ('{SAID}', 0, 99, 'a', 9, 'event-{SAID}-3')",
    ),
    "an event that went out under two ids": ("changed id", f"insert into on_topic values ('{SAID}', 0, 99, 'a', 3, 'other')"),
    "a healthy key that is parked": ("blocked", f"insert into parked values ('counter', '{SAID}', 'a', 5, 'behind', null)"),
    "a reader that did not come to the end": ("stuck", f"update cursor set last = 3 where topic = '{SET}'"),
    "a reader that does not know a key": ("stuck", f"delete from cursor where topic = '{SET}'"),
    "batches that were never sent": ("stuck", "insert into left_over values ('counter', 'unsent', 3)"),
    "an answer that must never be given": ("wrong answer", "insert into complaint values ('repeat', 'a', 'accepted again')"),
    "junk that is nowhere": ("vanished", "delete from quarantined"),
}


@pytest.mark.parametrize(("kind", "sql"), PLANTED.values(), ids=PLANTED)
def test_what_must_not_be_is_found(book: Book, kind: str, sql: str) -> None:
    book.execute(sql)
    assert kind in kinds(book)


def test_each_check_is_shown_to_find_something(book: Book) -> None:
    """One whose query can never give a row would be no check at all."""
    silent = set(verdict.CHECKS)
    for _, sql in PLANTED.values():
        book.execute("savepoint planted")
        book.execute(sql)
        silent -= {check for check in silent if book.execute(check.sql).fetchone()}
        book.execute("rollback to planted")
    assert not silent


def test_a_state_that_ends_with_an_older_version_in_kafka_is_found(book: Book) -> None:
    assert verdict.outdated(book) == []
    book.execute(f"""insert into on_topic values ('{SET}', 0, 99, 'a', 3, 'event-{SET}-3')""")
    book.execute(f"""insert into on_topic values ('{SAID}', 0, 99, 'a', 3, 'event-{SAID}-3')""")  # a repeat, which harms nobody
    [found] = verdict.outdated(book)
    assert (found.kind, found.key) == ("order", f"{SET}/a")


def test_of_several_versions_the_newest_by_its_own_time_is_in_force(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    sent = [Sent(f"id-{n}", "needs", "need", "n", n, time=f"2026-11-24T00:00:0{n}Z", data=json.dumps(n)) for n in range(1, 6)]
    ledger.sending(sent)
    outcomes: dict[str, Callable[[str], Answer]] = {
        "id-1": lambda id_: Answer(id_, "ok", "created"),
        "id-3": lambda id_: Answer(id_, "ok", "updated"),
        "id-4": lambda id_: Answer(id_, "fail", "refused"),
    }
    ledger.answered([answer(id_) for id_, answer in outcomes.items()])
    assert states.possible(ledger.connection) == {("need", "n"): ["3", "5"]}
    ledger.close()
