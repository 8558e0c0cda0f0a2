"""A record that is no event, or an event that breaks its contract, is kept with a clear reason, and its partition goes on."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from common.contracts.matching import ShortlistChanged
from common.messaging.message import Event, to_headers
from tests.brokers import Broker
from tests.chain import rows, running_chain
from tests.eventually import eventually
from tests.facts import event_of, need_posted
from tests.mailbox import Mailbox
from tests.oracle import newest

PARTITION = 1
"""All go into one partition, one after the other, so that each would hold up the next."""
Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Bad:
    """A record that cannot be read, and the words in which it has to be refused."""

    name: str
    reason: str
    headers: Headers
    body: bytes | None
    key: bytes | None = b"bad"


@dataclass(frozen=True)
class Wrong:
    """An event whose data breaks its contract, where, and a word of the reason."""

    name: str
    pointer: str
    reason: str
    change: Callable[[dict[str, Any]], None]


def good(id_: str) -> Event:
    return event_of(need_posted(id_))


def headers(**replaced: bytes | None) -> Headers:
    """The headers of a good event, some replaced (`ce_id=None` is a null header)."""
    return [(name, replaced.get(name, value)) for name, value in to_headers(good("bad"))]


BODY = good("bad").body
DEEP = b"[" * 100_000 + b"]" * 100_000

UNREADABLE = [
    Bad("plain text", "no header ce_specversion", [], b"hello"),
    Bad("no body", "no body", headers(), None),
    Bad("no key", "no key", headers(), BODY, key=None),
    Bad("not JSON", "not JSON", headers(), b'{"id": "bad",'),
    Bad("NaN", "not JSON", headers(), b'{"quantity": NaN}'),
    Bad("a body that is not UTF-8", "not JSON", headers(), b'{"title": "\xff\xfe"}'),
    Bad("nested without end", "not JSON", headers(), DEEP),
    Bad("an unknown type", "unknown type need.sung.v1", headers(ce_type=b"need.sung.v1"), BODY),
    Bad("an unknown version", "unknown type need.posted.v9", headers(ce_type=b"need.posted.v9"), BODY),
    Bad("another topic's type", "belongs to topic catalog.offerings", headers(ce_type=b"offering.listed.v1"), BODY),
    Bad("a header that is not UTF-8", "not UTF-8", headers(ce_source=b"\xff\xfe"), BODY),
    Bad("a key that is not UTF-8", "not UTF-8", headers(), BODY, key=b"\xff"),
    Bad("a null header", "header ce_id is missing or null", headers(ce_id=None), BODY),
    Bad("a sequence that is no number", "ce_sequence", headers(ce_sequence=b"first"), BODY),
]


def _set(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update({name: value})


WRONG = [
    Wrong("unknown technology", "/technology", "telepathy", _set("technology", "telepathy")),
    Wrong("unknown country", "/municipality/country", "XX", lambda data: data["municipality"].update(country="XX")),
    Wrong("unknown unit", "/unit", "furlong", _set("unit", "furlong")),
    Wrong("unknown currency", "/budget/currency", "ABC", lambda data: data["budget"].update(currency="ABC")),
    Wrong("negative quantity", "/quantity", "greater than 0", _set("quantity", -5)),
    Wrong("no title", "/title", "required", lambda data: data.pop("title")),
]


async def test_bad_records_are_kept_with_their_reason_and_their_partition_goes_on(
    any_kafka: Broker, postgres: str, smtp: Mailbox
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=any_kafka.address)
    async with running_chain(postgres, any_kafka, smtp):
        await producer.start()
        kept = [bad for bad in UNREADABLE if await put(producer, bad)]
        for wrong in WRONG:
            event = broken(wrong)
            await producer.send_and_wait(
                "needs.needs", event.body, key=event.key.encode(), headers=to_headers(event), partition=PARTITION
            )
        after = good("good after all")
        await producer.send_and_wait(
            "needs.needs", after.body, key=after.key.encode(), headers=to_headers(after), partition=PARTITION
        )
        await producer.stop()

        await eventually(
            lambda: newest(postgres, "matching", ShortlistChanged),
            lambda shortlists: [s.need.id for s in shortlists] == ["good after all"],
            what="the good need after the bad records to be matched",
        )
        quarantined = await rows(postgres, "matching", 'select reason, key, headers, body from quarantine order by "offset"')
        parked = await rows(postgres, "matching", "select key, reason, pointer, error, body from parked")

    assert [bad.name for bad in UNREADABLE if bad not in kept] == (["no key"] if any_kafka.kind == "real" else [])
    for row, bad in zip(quarantined, kept, strict=True):
        assert bad.reason in row["reason"], bad.name
        assert (row["key"], row["body"]) == (bad.key, bad.body), bad.name
        assert kept_headers(row["headers"]) == bad.headers, bad.name

    by_name = {row["key"]: row for row in parked}
    assert by_name.keys() == {wrong.name for wrong in WRONG}
    for wrong in WRONG:
        row = by_name[wrong.name]
        assert (row["reason"], row["pointer"]) == ("poison", wrong.pointer), wrong.name
        assert wrong.reason in row["error"], wrong.name
        assert row["body"] == broken(wrong).body, wrong.name


async def test_a_good_version_after_a_bad_one_takes_effect_and_the_bad_one_is_still_there_to_look_at(
    any_kafka: Broker, postgres: str, smtp: Mailbox
) -> None:
    bad = broken(Wrong("healed", "/unit", "furlong", _set("unit", "furlong")))
    mended = event_of(need_posted("healed"), sequence=2)
    async with running_chain(postgres, any_kafka, smtp):
        async with AIOKafkaProducer(bootstrap_servers=any_kafka.address) as producer:
            for event in (bad, mended):
                await producer.send_and_wait(event.topic, event.body, key=event.key.encode(), headers=to_headers(event))
        await eventually(
            lambda: newest(postgres, "matching", ShortlistChanged),
            lambda shortlists: [s.need.id for s in shortlists] == ["healed"],
            what="the mended need to be matched",
        )
        parked = await rows(postgres, "matching", "select sequence, reason, pointer from parked where key = 'healed'")
    assert [tuple(row) for row in parked] == [(1, "superseded", "/unit")]


@pytest.mark.parametrize("service", ["needs", "catalog"])
async def test_five_megabytes_are_refused_at_the_edge_in_words(kafka: Broker, postgres: str, smtp: Mailbox, service: str) -> None:
    async with running_chain(postgres, kafka, smtp) as chain:
        answer = await chain.http.post(
            f"/api/{service}/v1/events",
            content=b'{"data": {"text": {"en": "' + b"x" * 5_000_000 + b'"}}}',
            headers={"content-type": "application/cloudevents+json", "accept-language": "en"},
        )
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert "256" in answer.text


async def put(producer: AIOKafkaProducer, bad: Bad) -> bool:
    """Whether the broker took it: a real one refuses a record without a key on a compacted topic."""
    try:
        await producer.send_and_wait("needs.needs", bad.body, key=bad.key, headers=bad.headers, partition=PARTITION)
    except KafkaError:
        return False
    return True


def broken(wrong: Wrong) -> Event:
    """A need that is called like its fault and has it."""
    event = good(wrong.name)
    data = json.loads(event.body, parse_float=Decimal)
    wrong.change(data)
    return event._replace(body=json.dumps(data, default=float).encode())


def kept_headers(kept: bytes) -> Headers:
    """The headers of a record as they came, from how they are kept: base64 of each."""
    return [(name, None if value is None else base64.b64decode(value)) for name, value in json.loads(kept)]
