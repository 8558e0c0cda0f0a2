"""The operator's verbs on records that are no events, on a real database; and what is said of each kind of broken record."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from common.contracts.registry import FACTS
from common.errors import NotFound, Rejected
from common.messaging import cursors, parked
from common.messaging.decoding import decode
from common.messaging.gate import Move
from common.messaging.message import MAX_TAKEN, Broken, raw_headers
from common.operating import audit, held, mending_records, raw_records
from common.operating.broken_words import in_words
from common.operating.held import HeldRecord, RecordId
from common.operating.raw_records import RecordText
from common.postgres import Database
from tests.common.records import HandMade, a_record, an_event

GROUP = "hop"
WHO = {"actor": "an-operator", "reason": "its sender was mended"}
RATES = "catalog.exchange-rates"
FIRST = RecordId(RATES, "life", 0, 7)


async def given(database: Database, *records: HandMade, because: str = "") -> None:
    """Records in quarantine from offset 7 on, for the reason that reading them gives, or another."""
    async with database.transaction() as tx:
        for n, record in enumerate(records):
            placed = record._replace(offset=7 + n)
            (broken,) = [Broken(placed, because)] if because else decode([placed], FACTS).broken
            await parked.quarantine(tx, GROUP, "life", [broken])


async def do(database: Database, verb: Any, *what: Any, **how: Any) -> audit.Entry:
    async with database.transaction() as tx:
        return await verb(tx, GROUP, *what, **{**WHO, **how})


async def refused(database: Database, verb: Any, *what: Any, **how: Any) -> Rejected:
    before = await everything(database)
    with pytest.raises(Rejected) as caught:
        await do(database, verb, *what, **how)
    assert caught.value.detail.keys() == {"en", "ja"}
    assert await everything(database) == before
    return caught.value


async def everything(database: Database) -> list[list[dict[str, Any]]]:
    async with database.reading() as tx:
        return [[dict(row) for row in await tx.fetch(f"select * from {table}")] for table in ("parked", "quarantine", "audit")]


async def test_of_a_record_too_large_to_keep_the_beginning_is_kept_and_many_large_ones_do_not_fail_together(
    database: Database,
) -> None:
    much = b"x" * (MAX_TAKEN + 5)
    large = HandMade(RATES, much, much, (("small", b"1"), ("large", much)))
    async with database.transaction() as tx:
        broken = decode([large._replace(offset=7 + n) for n in range(4)], FACTS).broken  # three statements' worth
        kept = await parked.quarantine(tx, GROUP, "life", broken)
        sizes = await tx.fetch("select reason, length(key), length(body), headers from quarantine")
    assert kept == {(RATES, 0, 7 + n) for n in range(4)}
    assert {(row["reason"], *row[1:3]) for row in sizes} == {
        ("the body is too large, only its beginning is kept", MAX_TAKEN, MAX_TAKEN)
    }
    assert {tuple(raw_records.headers_of(row["headers"])) for row in sizes} == {(("small", b"1"),)}


async def test_a_record_that_can_be_read_now_waits_as_if_it_had_just_arrived(database: Database) -> None:
    await given(database, a_record(), because="unknown type exchange-rate.published.v1")
    entry = await do(database, mending_records.retry_record, FIRST)
    events, records, _ = await everything(database)
    assert [(row["key"], row["sequence"], row["reason"], row["body"]) for row in events] == [
        ("JPY", 1, "fetched", an_event().body)
    ]  # fmt: skip
    assert [row["state"] for row in records] == ["retried"]
    assert entry.subject == {**FIRST._asdict(), "event": [[RATES, "JPY", 1]]}
    assert (await refused(database, mending_records.retry_record, FIRST)).slug == "decided-already"


async def test_a_record_that_still_is_no_event_stays_and_it_is_said_why(database: Database) -> None:
    await given(database, a_record(ce_id=None))
    error = await refused(database, mending_records.retry_record, FIRST)
    assert "The header ce_id is missing." in error.detail["en"]
    assert "ヘッダー ce_id がありません。" in error.detail["ja"]


async def test_all_records_of_one_reason_are_read_again_and_those_that_still_cannot_be_read_stay(database: Database) -> None:
    cured = [a_record(an_event(key=key, body=an_event().body.replace(b"JPY", key.encode()))) for key in ("VND", "THB")]
    await given(database, *cured, a_record()._replace(value=b"{"), because="not JSON: of some kind")
    entry = await do(database, mending_records.retry_records, RATES, "not JSON")
    events, records, _ = await everything(database)
    assert [row["key"] for row in events] == ["VND", "THB"]
    assert sorted(row["state"] for row in records) == ["retried", "retried", "waiting"]
    assert entry.subject["count"] == 2
    assert (await refused(database, mending_records.retry_records, RATES, "not JSON")).slug == "still-no-event"


async def test_a_sender_of_many_unknown_types_makes_one_cause_and_each_record_keeps_its_own_reason(database: Database) -> None:
    await given(database, *[a_record(ce_type=f"made.up-{n}.v1".encode()) for n in range(3)])
    async with database.reading() as tx:
        assert [(row.cause, row.amount) for row in await held.record_causes(tx, GROUP)] == [("unknown type", 3)]
        records = await held.records_of(tx, GROUP, RATES, "unknown type", limit=9)
    assert [in_words(record.reason)["en"] for record in records] == [
        f"The type “made.up-{n}.v1” is not known here." for n in range(3)
    ]
    assert in_words("unknown type")["en"] == "The type is not known here."


async def test_an_edited_record_becomes_an_event_and_stays_as_it_came_beside_it(database: Database) -> None:
    await given(database, a_record()._replace(value=b'{"currency":"JPY",\xff}', key=b"\xfe"))
    text = RecordText("JPY", _headers(a_record()), an_event().body.decode())
    entry = await do(database, mending_records.edit_record, FIRST, text)
    events, records, _ = await everything(database)
    assert [(row["key"], row["body"], row["reason"]) for row in events] == [("JPY", an_event().body, "fetched")]
    (record,) = records
    assert record["body"] == an_event().body
    assert record["original"] == {"key": "/g==", "headers": record["original"]["headers"], "body": "eyJjdXJyZW5jeSI6IkpQWSIs/30="}
    assert json.loads(entry.before or b"")["key"] == "/g=="
    async with database.reading() as tx:
        assert await audit.verify(tx) == []


def of_another(key: str, sequence: int) -> RecordText:
    """A whole event of a rate, as it would be typed in."""
    event = an_event(key=key, sequence=sequence, body=an_event().body.replace(b"JPY", key.encode()))
    return RecordText(key, _headers(a_record(event)), event.body.decode())


@pytest.mark.parametrize(("key", "sequence"), [("VND", 1), ("JPY", 2)])
async def test_an_edit_cannot_make_another_event_of_a_record_that_says_which_it_is(
    database: Database, key: str, sequence: int
) -> None:
    await given(database, a_record()._replace(value=b"{"))
    error = await refused(database, mending_records.edit_record, FIRST, of_another(key, sequence))
    assert error.slug == "place-changed"
    assert "(key “JPY”, sequence 1)" in error.detail["en"]
    assert "（キー「JPY」、sequence 1）" in error.detail["ja"]


@pytest.mark.parametrize(
    ("record", "taken", "refused_with"),
    [
        (a_record()._replace(key=None), ("VND", 1), ("VND", 2)),
        (a_record()._replace(key=b"\xff"), ("VND", 1), ("VND", 2)),
        (a_record(ce_sequence=b"-1"), ("JPY", 7), ("VND", 7)),
    ],
)
async def test_what_a_record_does_not_say_of_itself_may_be_written(
    database: Database, record: HandMade, taken: tuple[str, int], refused_with: tuple[str, int]
) -> None:
    await given(database, record)
    error = await refused(database, mending_records.edit_record, FIRST, of_another(*refused_with))
    assert error.slug == "place-changed"
    await do(database, mending_records.edit_record, FIRST, of_another(*taken))
    events, _, _ = await everything(database)
    assert [(row["key"], row["sequence"]) for row in events] == [taken]


def test_which_event_a_record_is_stands_in_its_headers_or_in_a_structured_body() -> None:
    def own(record: HandMade) -> raw_records.OwnPlace:
        headers, at = raw_headers(record.headers), datetime(2026, 11, 24, tzinfo=UTC)
        return raw_records.own_place(HeldRecord(FIRST, "", "", record.key, headers, record.value, at, "waiting", None))

    structured = a_record(content__type=b"Application/CloudEvents+JSON; charset=utf-8")._replace(key=None)
    assert own(a_record()) == ("JPY", 1)
    assert own(a_record(ce_sequence=None)._replace(key=b"a\x00")) == (None, None)
    assert own(a_record(ce_sequence=b"01")._replace(key=b"")) == (None, None)
    assert own(structured._replace(value=b'{"subject":"VND","sequence":"3"}')) == ("VND", 3)
    assert own(structured._replace(value=b'{"subject":"VND","sequence":3}', key=b"THB")) == ("THB", 3)
    assert own(structured._replace(value=b'{"subject":7,"sequence":[]}')) == (None, None)
    assert own(structured._replace(value=b"{")) == own(structured._replace(value=None)) == (None, None)


async def test_an_edit_that_breaks_the_contract_is_refused_by_field(database: Database) -> None:
    await given(database, a_record()._replace(value=b"{"))
    text = RecordText("JPY", _headers(a_record()), '{"currency": "JPY", "per_usd": "much"}')
    error = await refused(database, mending_records.edit_record, FIRST, text)
    assert {fault.pointer for fault in error.faults} == {"/body/per_usd", "/body/as_of", "/body/source"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"headers": ""}, "ce_specversion"),
        ({"headers": "no colon here"}, "ce_specversion"),
        ({"key": " "}, "key is empty"),
        ({"body": "{"}, "not JSON"),
        ({"body": ""}, "not JSON"),
    ],
)
async def test_an_edit_that_still_makes_no_event_is_refused_in_words(
    database: Database, change: Mapping[str, str], words: str
) -> None:
    await given(database, a_record()._replace(value=b"["))
    text = RecordText("JPY", _headers(a_record()), an_event().body.decode())._replace(**change)
    assert words in (await refused(database, mending_records.edit_record, FIRST, text)).detail["en"]


async def test_an_edit_that_changes_nothing_is_refused(database: Database) -> None:
    await given(database, a_record()._replace(value=b"{"))
    async with database.reading() as tx:
        record = await held.record(tx, GROUP, FIRST)
    assert record is not None
    error = await refused(database, mending_records.edit_record, FIRST, raw_records.as_text(record))
    assert error.slug == "nothing-changed"


async def test_a_record_whose_event_took_effect_or_waits_already_is_not_let_in_twice(database: Database) -> None:
    await given(database, a_record(), a_record(), because="not JSON: of some kind")
    await do(database, mending_records.retry_record, FIRST)
    second = FIRST._replace(offset=8)
    assert (await refused(database, mending_records.retry_record, second)).slug == "waits-already"
    async with database.transaction() as tx:
        await tx.execute("delete from parked")
        await cursors.move(tx, GROUP, {(RATES, "JPY"): Move(0, 1)})
    assert (await refused(database, mending_records.retry_record, second)).slug == "took-effect"
    await do(database, mending_records.skip_record, second)
    assert [row["state"] for row in (await everything(database))[1]] == ["retried", "skipped"]
    assert (await refused(database, mending_records.skip_record, second)).slug == "decided-already"


async def test_each_act_asks_for_a_reason_and_knows_what_is_not_there(database: Database) -> None:
    await given(database, a_record(ce_id=None))
    assert (await refused(database, mending_records.skip_record, FIRST, reason="")).slug == "reason-missing"
    with pytest.raises(NotFound):
        await do(database, mending_records.skip_record, FIRST._replace(part=3))


UNREADABLE = {
    "no header at all": a_record()._replace(headers=()),
    "another version of CloudEvents": a_record(ce_specversion=b"0.3"),
    "no sequence": a_record(ce_sequence=None),
    "no key": a_record()._replace(key=None),
    "no body": a_record()._replace(value=None),
    "no id": a_record(ce_id=None),
    "an id that is none": a_record(ce_id=b"7"),
    "a time that is none": a_record(ce_time=b"today"),
    "a header that is not UTF-8": a_record(ce_type=b"\xff"),
    "an unknown type": a_record(ce_type=b"a.b.v1"),
    "a type of another topic": a_record(ce_type=b"need.posted.v1"),
    "an empty key": a_record()._replace(key=b""),
    "a key with a NUL": a_record()._replace(key=b"a\x00"),
    "no JSON": a_record()._replace(value=b"{"),
    "structured, no JSON": a_record(content__type=b"application/cloudevents+json")._replace(value=b"{"),
    "structured, no object": a_record(content__type=b"application/cloudevents+json")._replace(value=b"[]"),
    "structured, no id": a_record(content__type=b"application/cloudevents+json")._replace(value=b'{"specversion":"1.0"}'),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_every_reason_that_reading_can_give_has_words_in_both_languages(what: str) -> None:
    (broken,) = decode([UNREADABLE[what]], FACTS).broken
    words = in_words(broken.reason)
    assert words["en"] != in_words("something new")["en"].replace("something new", broken.reason), "passed through as it is"
    assert words.keys() == {"en", "ja"}


def test_bytes_are_shown_as_text_where_they_are_text_and_else_in_hexadecimal() -> None:
    assert raw_records.shown("鍵\n".encode()) == ("鍵\n", True)
    assert raw_records.shown(None) == ("", True)
    text, is_text = raw_records.shown(b"\x00\xffabc")
    assert (is_text, text.split()) == (False, ["000000", "00", "ff", "61", "62", "63", "··abc"])
    assert raw_records.shown(b"a" * 30, at_most=10)[0] == "a" * 10 + "\n… (20)"
    assert raw_records.shown("鍵".encode() * 10, at_most=10)[1] is True


def _headers(record: HandMade) -> str:
    return "\r\n".join(f"{name}: {(value or b'').decode()}" for name, value in record.headers)
