"""`musubi tail` shows what passes on the broker, decoded, and leaves no trace of itself there."""

import asyncio
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from confluent_kafka.admin import AdminClient

from common.clock import rfc3339, utc_now
from common.exact_json import from_json
from common.messaging.message import Event, to_headers
from musubi import cli, roles, topic_rights, topics
from musubi.embedded_kafka import EmbeddedBroker
from musubi.tail import in_order
from musubi.tail_lineage import Lineage
from musubi.tail_lines import Wanted, decoded, in_words
from tests.brokers import Broker, write
from tests.common.hop import NOTIFICATIONS, RATES, notification, rate
from tests.conftest import kafka_of_its_own
from tests.eventually import eventually
from tests.facts import event_of, need_posted
from tests.kafka_server import KafkaServer
from tests.musubi.machine import MUSUBI, as_running

NO_DATABASE = ""


@contextmanager
def known(broker: Broker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let commands find this broker: a real one is named in the environment, the embedded one by the running Musubi."""
    for name in ("MUSUBI_KAFKA", "MUSUBI_POSTGRES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    if broker.kind == "real":
        monkeypatch.setenv("MUSUBI_KAFKA", broker.address)
        yield folder
        return
    with as_running(folder, NO_DATABASE, broker):
        yield folder


@pytest.fixture
def look(any_kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """`await look("--since", "1h")` gives the lines of `musubi tail --json --no-follow`, read."""

    async def look(*options: str, code: int = 0) -> list[dict[str, Any]]:
        capsys.readouterr()
        command = ["tail", "--json", "--no-follow", "--folder", str(tmp_path), *options]
        assert await asyncio.to_thread(cli.main, command) == code, capsys.readouterr().err
        return [from_json(line) for line in capsys.readouterr().out.splitlines()]

    with known(any_kafka, tmp_path, monkeypatch):
        yield look


def at(event: Event, moment: datetime) -> Event:
    return event._replace(time=rfc3339(moment))


async def test_events_are_shown_decoded_and_in_order_of_time(any_kafka: Broker, look: Any) -> None:
    now = utc_now()
    events = [
        at(event_of(need_posted("n")), now - timedelta(seconds=3)),
        at(event_of(rate("JPY", per_usd="150.10")), now - timedelta(seconds=2)),
        at(event_of(notification("a")), now - timedelta(seconds=1)),
    ]
    await write(any_kafka, *reversed(events))
    shown = await look("--since", "1h")
    assert [one["type"] for one in shown] == ["need.posted.v1", "exchange-rate.published.v1", "notification.issued.v1"]
    assert shown[1]["data"]["per_usd"] == Decimal("150.10")
    assert str(shown[1]["data"]["per_usd"]) == "150.10"  # no digit is lost
    assert (shown[0]["topic"], shown[0]["partition"], shown[0]["key"], shown[0]["sequence"]) == ("needs.needs", 0, "n", 1)
    assert shown[0]["id"] == events[0].id


async def test_without_a_time_only_what_comes_is_shown(any_kafka: Broker, look: Any) -> None:
    await write(any_kafka, event_of(rate("JPY")))
    assert await look() == []


async def test_since_is_a_moment_that_events_are_not_older_than(any_kafka: Broker, look: Any) -> None:
    for hours in (5, 3, 1):
        then = utc_now() - timedelta(hours=hours)
        await write(any_kafka, at(event_of(rate("JPY"), 6 - hours), then), stored_at=then)
    assert [one["sequence"] for one in await look("--since", "4h")] == [3, 5]
    assert [one["sequence"] for one in await look("--since", "10m")] == []


async def test_an_event_is_shown_with_all_that_follows_from_it(any_kafka: Broker, look: Any) -> None:
    first = event_of(need_posted("n"))._replace(correlation_id="example:need:one")
    second = event_of(rate("JPY"))._replace(causation_id=first.id, correlation_id="example:need:one")
    third = event_of(notification("a"))._replace(causation_id=second.id, correlation_id="example:need:one")
    await write(any_kafka, first, event_of(rate("EUR"))._replace(correlation_id="example:need:two"), second, third)
    assert {one["id"] for one in await look("--event", "example:need:one")} == {first.id, second.id, third.id}
    assert {one["id"] for one in await look("--event", second.id)} == {second.id, third.id}
    assert await look("--event", "nobody", code=1) == []


async def test_from_any_event_on_the_way_all_that_follows_from_it_is_shown_and_nothing_else(any_kafka: Broker, look: Any) -> None:
    """A need leads to a list of proposals, that to mails; by another list of the same partner's event another was mailed."""
    family = "example:need:one"
    need = event_of(need_posted("n"))._replace(correlation_id=family, causation_id=family)
    lists = [event_of(rate(key))._replace(correlation_id=family, causation_id=need.id) for key in ("JPY", "USD")]
    mails = [event_of(notification(str(n)))._replace(correlation_id=family, causation_id=lists[n % 2].id) for n in range(4)]
    # Of topics that are read side by side, an effect may come before its cause.
    await write(any_kafka, *mails, *lists, need)
    ids = {one["id"] for one in await look("--event", need.id)}
    assert ids == {event.id for event in (need, *lists, *mails)}
    ids = {one["id"] for one in await look("--event", lists[0].id)}
    assert ids == {lists[0].id, mails[0].id, mails[2].id}
    shown = await look("--event", need.id, "--type", "notification.*")
    assert {one["id"] for one in shown} == {event.id for event in mails}  # found by what is not shown


async def test_topics_and_types_may_be_chosen_by_patterns(any_kafka: Broker, look: Any) -> None:
    await write(any_kafka, event_of(need_posted("n")), event_of(rate("JPY")))
    await write(any_kafka, event_of(notification("a")), event_of(notification("a", acknowledged=True), 2))

    async def types(*options: str) -> list[str]:
        return sorted(one["type"] for one in await look("--since", "1h", *options))

    assert await types("--topic", "needs.*") == ["need.posted.v1"]
    assert await types("--topic", RATES, "--topic", "needs.needs") == ["exchange-rate.published.v1", "need.posted.v1"]
    assert await types("--type", "notification.*") == ["notification.acknowledged.v1", "notification.issued.v1"]
    assert await types("--topic", NOTIFICATIONS, "--type", "*.acknowledged.v1") == ["notification.acknowledged.v1"]


async def test_what_is_no_event_or_breaks_its_contract_is_shown_as_such(any_kafka: Broker, look: Any) -> None:
    wrong = event_of(rate("JPY"))._replace(body=b'{"currency": "JPY", "per_usd": -1, "as_of": "2026-11-01", "source": "s"}')
    unknown = event_of(rate("EUR"))._replace(type="coin.tossed.v9", correlation_id="a coin")
    await write(any_kafka, wrong, unknown)
    producer = AIOKafkaProducer(bootstrap_servers=any_kafka.address)
    await producer.start()
    await producer.send_and_wait(RATES, b"\x00\xff", b"k", 0)
    await producer.stop()
    shown = {one.get("type"): one for one in await look("--since", "1h")}
    assert "per_usd" in shown["exchange-rate.published.v1"]["trouble"]
    assert shown["coin.tossed.v9"]["trouble"] == "unknown type coin.tossed.v9"
    assert "not a CloudEvent" in shown[None]["trouble"]
    assert [one["type"] for one in await look("--event", "a coin")] == ["coin.tossed.v9"]


class Following:
    """A running `musubi tail`; what it prints is read as it comes."""

    def __init__(self, *options: str) -> None:
        own = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.lines: list[str] = []
        self.notes: list[str] = []
        self._process = subprocess.Popen(
            [MUSUBI, "tail", *options], env=own, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )  # fmt: skip
        kept = ((self._process.stdout, self.lines), (self._process.stderr, self.notes))
        self._readers = [threading.Thread(target=lambda s=s, k=k: k.extend(s or ()), daemon=True) for s, k in kept]
        for reader in self._readers:
            reader.start()

    async def shows(self, *words: str) -> None:
        """Wait until each of these was printed."""

        async def printed() -> str:
            return "".join([*self.lines, *self.notes])

        await eventually(printed, lambda said: all(word in said for word in words), what=f"tail to show {words}")

    def stop(self) -> int:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(20)
        for reader in self._readers:
            reader.join(10)
        return code


async def reading(broker: Broker, tail: Following, key: str) -> int:
    """Write until the tail shows it: from then on it reads. Returns the next number of that key."""
    written = 0

    async def written_and_shown() -> bool:
        nonlocal written
        written += 1
        await write(broker, event_of(rate(key), written))
        return any(RATES in line for line in tail.lines)

    await eventually(written_and_shown, every=0.2, what="tail to read")
    return written + 1


async def test_events_are_shown_as_they_come_until_ctrl_c_and_nothing_is_left_on_the_broker(
    any_kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups() -> set[str]:
        admin = AdminClient({"bootstrap.servers": any_kafka.address, "log_level": 0})
        return {group.group_id for group in admin.list_consumer_groups(request_timeout=10).result().valid}

    before = groups() if any_kafka.kind == "real" else set()
    await write(any_kafka, event_of(rate("EUR")))
    with known(any_kafka, tmp_path, monkeypatch) as folder:
        tail = Following("--folder", str(folder))
        try:
            await reading(any_kafka, tail, "JPY")
            await write(any_kafka, event_of(notification("a")), event_of(need_posted("n")))
            await tail.shows(f"{NOTIFICATIONS}:a:1", "needs.needs:n:1  Need n")
            if any_kafka.kind == "real":
                assert groups() == before
        finally:
            code = tail.stop()
    assert (code, tail.notes) == (0, [])
    assert not any(":EUR:" in line for line in tail.lines)


async def test_what_passed_before_is_followed_by_what_comes(
    any_kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = event_of(need_posted("n"))._replace(correlation_id="one")
    await write(any_kafka, first)
    with known(any_kafka, tmp_path, monkeypatch) as folder:
        tail = Following("--event", "one", "--folder", str(folder))
        try:
            await tail.shows("needs.needs:n:1")
            await write(any_kafka, event_of(rate("JPY")), event_of(need_posted("n"), 2)._replace(causation_id="one"))
            await tail.shows("needs.needs:n:2")
        finally:
            assert tail.stop() == 0
    assert not any(RATES in line for line in tail.lines)


async def test_a_broker_of_a_new_life_is_followed_on_and_what_is_sent_again_is_not_shown_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def born() -> Broker:
        broker = EmbeddedBroker.with_topics((topic.name, topic.partitions) for topic in topics.ALL_TOPICS)
        return Broker(broker.address, broker.incarnation, "embedded", broker)

    first, old = born(), at(event_of(need_posted("old")), utc_now() - timedelta(minutes=1))
    with known(first, tmp_path, monkeypatch):
        tail = Following("--folder", str(tmp_path))
        await reading(first, tail, "JPY")
        assert first.embedded
        first.embedded.stop()
    try:
        await tail.shows("The broker does not answer; waiting for it.")
        second = born()
        with known(second, tmp_path, monkeypatch):
            await write(second, old)
            await tail.shows("It answers again.")
            await write(second, event_of(need_posted("new")))
            await tail.shows("needs.needs:new:1")
    finally:
        code = tail.stop()
    assert second.embedded
    second.embedded.stop()
    assert (code, len(tail.notes)) == (0, 2)
    assert not any("needs.needs:old:" in line for line in tail.lines)


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[KafkaServer]:
    """A real Kafka of these tests' own, which may be killed and asks for names."""
    with kafka_of_its_own() as server:
        yield server


@pytest.mark.kafka
async def test_what_came_to_a_real_kafka_while_it_could_not_be_reached_is_shown_once(
    own_kafka: KafkaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(own_kafka.address, "", "real")
    with known(broker, tmp_path, monkeypatch):
        tail = Following("--json", "--topic", RATES)
        try:
            following = await reading(broker, tail, "JPY")
            own_kafka.kill()
            await tail.shows("waiting for it")
            own_kafka.start()
            await write(broker, event_of(rate("JPY"), 5000))
            await tail.shows("It answers again.", "5000")
        finally:
            code = tail.stop()
    assert code == 0
    shown = [json.loads(line)["sequence"] for line in tail.lines]
    assert shown == [*range(shown[0], following), 5000]


@pytest.mark.kafka
async def test_topics_that_one_may_not_read_are_named(
    own_kafka: KafkaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passwords = {service: f"password of {service}" for service in roles.SERVICES}
    topic_rights.allow(own_kafka.address, passwords=passwords)
    await write(Broker(own_kafka.address, "", "real"), event_of(need_posted("n")))
    with known(Broker(own_kafka.named, "", "real"), tmp_path, monkeypatch):
        monkeypatch.setenv("MUSUBI_KAFKA_USER", "needs")
        monkeypatch.setenv("MUSUBI_KAFKA_PASSWORD", passwords["needs"])
        assert await asyncio.to_thread(cli.main, ["tail", "--topic", "needs.needs", "--since", "1h"]) == 1  # it may only write it
        assert "We may not read needs.needs" in capsys.readouterr().err
        monkeypatch.setenv("MUSUBI_KAFKA_USER", "matching")
        monkeypatch.setenv("MUSUBI_KAFKA_PASSWORD", passwords["matching"])
        command = ["tail", "--topic", "needs.needs", "--since", "1h", "--no-follow"]
        assert await asyncio.to_thread(cli.main, command) == 0
    assert "needs.needs:n:1" in capsys.readouterr().out


async def test_a_topic_that_is_not_there_is_named_with_those_that_are(
    kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with known(kafka, tmp_path, monkeypatch):
        assert await asyncio.to_thread(cli.main, ["tail", "--topic", "needs.wishes", "--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "There is no topic needs.wishes here" in said and "needs.needs" in said


async def test_a_broker_that_is_away_from_the_start_is_told_at_once(
    free_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUSUBI_KAFKA", f"127.0.0.1:{free_port}")
    assert await asyncio.to_thread(cli.main, ["tail"]) == 1
    assert "`musubi doctor` says more" in capsys.readouterr().err


def record_of(event: Event, *, partition: int = 0, offset: int = 0) -> ConsumerRecord:
    return ConsumerRecord(
        event.topic, partition, offset, 0, 0, event.key.encode(), event.body, None, 0, 0, tuple(to_headers(event))
    )  # fmt: skip


def test_people_read_when_what_which_and_about_what_and_below_what_it_follows_from() -> None:
    event = at(event_of(need_posted("n")), datetime(2026, 11, 24, 3, 4, 5, 678000, tzinfo=UTC))
    event = event._replace(correlation_id="example:need:one", causation_id="c")
    first, second = in_words(decoded(record_of(event)), with_data=False).plain.splitlines()
    assert first == "2026-11-24 03:04:05.678  need.posted.v1  needs.needs:n:1  Need n"
    assert second.split() == ["id", event.id, "caused", "by", "c", "follows", "from", "example:need:one"]
    full = in_words(decoded(record_of(event)), with_data=True).plain
    assert '"title": {' in full and "ニーズ n" in full


def test_what_would_steer_the_terminal_is_not_printed() -> None:
    event = event_of(need_posted("n"))._replace(key="k\x1b[2J", correlation_id="c\x1b]0;title\x07")
    assert "\x1b" not in in_words(decoded(record_of(event)), with_data=True).plain


def test_in_each_partition_events_stay_in_their_order_whatever_their_clocks_said() -> None:
    now = utc_now()
    early, late = now - timedelta(seconds=10), now
    one = [decoded(record_of(at(event_of(rate("JPY"), n), moment), offset=n)) for n, moment in ((1, late), (2, early))]
    other = decoded(record_of(at(event_of(rate("EUR")), now - timedelta(seconds=5)), partition=1))
    shown = [(p.event.key, p.event.sequence) for p in in_order([*one, other]) if p.event]
    assert shown == [("EUR", 1), ("JPY", 1), ("JPY", 2)]


def test_an_effect_that_comes_before_its_cause_waits_for_it() -> None:
    need = event_of(need_posted("n"))._replace(correlation_id="one")
    list_ = event_of(rate("JPY"))._replace(causation_id=need.id, correlation_id="one")
    mail = event_of(notification("a"))._replace(causation_id=list_.id, correlation_id="one")
    lineage = Lineage(need.id)
    shown = [[p.event for p in lineage.following([decoded(record_of(event))])] for event in (need, mail, list_)]
    assert shown == [[need], [], [list_, mail]]


def test_what_is_no_event_is_shown_only_where_no_id_and_no_type_is_asked_for() -> None:
    nothing = decoded(ConsumerRecord("needs.needs", 0, 7, 0, 0, None, b"?", None, 0, 0, ()))
    assert Wanted().includes(nothing)
    assert not Lineage("x").take_in(nothing.event)
    assert not Wanted(types=["*"]).includes(nothing)
    assert "needs.needs/0@7" in in_words(nothing, with_data=True).plain


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
async def test_colours_are_for_terminals_and_only_where_they_are_wanted(
    no_color: str, coloured: bool, kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    await write(kafka, event_of(need_posted("n")))
    with known(kafka, tmp_path, monkeypatch):
        for name, value in {"TERM": "xterm", "FORCE_COLOR": "1", "NO_COLOR": no_color}.items():
            monkeypatch.setenv(name, value)
        command = ["tail", "--since", "1h", "--no-follow", "--folder", str(tmp_path)]
        assert await asyncio.to_thread(cli.main, command) == 0
    assert ("\x1b[" in capsys.readouterr().out) is coloured
