"""What services tell each other about the sending itself: how far a group has come, and what shall be sent again.

Two topics without a gate, on which the last word wins (decision 0062). They only hasten: without them nothing is lost, it takes
effect later. So every word is said as well as can be, within a deadline, and trouble with the broker is never the caller's.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from common.contracts.registry import PROGRESS, RESEND, TOPICS, Topic
from common.exact_json import from_json, to_json
from common.messaging import unpacking
from common.messaging.broker import Broker
from common.messaging.message import MAX_NAME, Partition
from common.messaging.publisher import drop
from common.telemetry import Telemetry

SAY_SECONDS = 2.0
"""So long one word may take; then it is dropped, and for as long nothing more is said."""
_AGAIN_SECONDS = 1.0
_TOPICS_MISSING_SECONDS = 15.0
_STUCK_SECONDS = 60.0
"""Groups speak every few seconds; if nothing is heard for so long, the client may be the one that hangs: a new one."""
_COMPLAIN_EVERY = 60.0
"""Seconds between two warnings about what is no word."""
_WORDS_BEFORE = 100
"""So many of the last words are heard at the start, for what was said while we were away."""
_HIGHEST_PARTITION, _HIGHEST_OFFSET, _HIGHEST_SEQUENCE = 2**31 - 1, 2**63 - 1, 10**18 - 1


class Progress(NamedTuple):
    """How far a group has come in one life of the broker: in each partition the offset that it reads next."""

    group: str
    incarnation: str
    next: dict[Partition, int]


class Resend(NamedTuple):
    """Somebody misses events: sequences `first` to `last` of a key, or with key "" all of the topic."""

    topic: str
    key: str
    first: int
    last: int


class Sender(Protocol):
    """Whom it concerns: the relay."""

    def heard(self, progress: Progress) -> None: ...
    def asked(self, resend: Resend) -> None: ...


class Control:
    """Says and hears these words for one service in one process."""

    def __init__(
        self, broker: Broker, service: str, sender: Sender, told: Telemetry, *, topics: Mapping[str, Topic] = TOPICS
    ) -> None:
        """`topics` says who produces what: a service is asked only for its own."""
        self._broker = broker
        self._sender = sender
        self._told = told
        self._own = frozenset(name for name, topic in topics.items() if topic.is_produced_by(service))
        self._producer: AIOKafkaProducer | None = None
        self._saying = asyncio.Lock()
        self._silent_until = 0.0
        self._life = ""
        self._next: dict[TopicPartition, int] = {}
        self._nonsense = 0
        self._complain_from = 0.0

    # saying ----------------------------------------------------------------------------------------------------------
    async def report(self, progress: Progress) -> None:
        """Say how far a group is."""
        next_: dict[str, dict[str, int]] = {}
        for part, offset in progress.next.items():
            next_.setdefault(part.topic, {})[str(part.number)] = offset
        word = {"group": progress.group, "incarnation": progress.incarnation, "next": next_}
        await self._say(PROGRESS, progress.group, word)

    async def ask(self, resend: Resend) -> None:
        """Ask the producer of a topic to send something again."""
        await self._say(RESEND, resend.topic, resend._asdict())

    async def _say(self, topic: str, key: str, word: Any) -> None:
        if time.monotonic() < self._silent_until:
            return
        async with self._saying:
            try:
                async with asyncio.timeout(SAY_SECONDS):
                    producer = self._producer or await self._open()
                    await producer.send_and_wait(topic, to_json(word), key=key.encode(), partition=0)
            except Exception as error:  # noqa: BLE001  it is only a word
                self._silent_until = time.monotonic() + SAY_SECONDS
                self._told.log.info("control word not said", extra={"topic": topic, "error": repr(error)[:256]})
                await self._close_producer()
            except BaseException:
                await self._close_producer()
                raise

    async def _open(self) -> AIOKafkaProducer:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._broker.bootstrap, acks=1, linger_ms=0, **self._broker.login.for_aiokafka()
        )
        await self._producer.start()
        return self._producer

    async def _close_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await drop(producer)

    # hearing ---------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Hear until cancelled; survives everything else."""
        failures = 0
        try:
            while True:
                begun = time.monotonic()
                try:
                    await self._hear()
                except Exception as error:  # noqa: BLE001  whatever it is, the broker will be back
                    failures = 1 if time.monotonic() - begun > 60 else failures + 1
                    if failures & (failures - 1) == 0:  # 1, 2, 4, 8…
                        self._told.log.info("control topics not heard", extra={"in_a_row": failures, "error": repr(error)[:256]})
                    await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            await self._close_producer()

    async def _hear(self) -> None:
        unpacking.take_any()
        life = await self._broker.incarnation()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._broker.bootstrap,
            fetch_max_wait_ms=200,
            enable_auto_commit=False,
            retry_backoff_ms=1000,  # while the broker is away each try writes log lines
            **self._broker.login.for_aiokafka(),
        )
        try:
            async with asyncio.timeout(10):
                await consumer.start()
                parts = [TopicPartition(PROGRESS, 0), TopicPartition(RESEND, 0)]
                missing = {PROGRESS, RESEND} - await consumer.topics()
                if not missing:
                    await self._begin(consumer, parts, life)
            if missing:  # asking for them by name might create them, in another shape
                self._told.log.info("control topics are missing", extra={"topics": sorted(missing)})
                await asyncio.sleep(_TOPICS_MISSING_SECONDS)
                return
            heard_at = time.monotonic()
            while time.monotonic() - heard_at < _STUCK_SECONDS:
                for part, records in (await consumer.getmany(timeout_ms=1000)).items():
                    heard_at = time.monotonic()
                    for record in records:
                        self._take(part.topic, record.value)
                        self._next[part] = record.offset + 1
        finally:
            await _leave(consumer)

    async def _begin(self, consumer: AIOKafkaConsumer, parts: list[TopicPartition], life: str) -> None:
        """Go on where we were in this life of the broker, else near the end."""
        if life != self._life:
            self._life = life
            self._next.clear()
        consumer.assign(parts)
        first: Any = await consumer.beginning_offsets(parts)
        ends: Any = await consumer.end_offsets(parts)
        for part in parts:
            wanted = min(self._next.get(part, ends[part] - _WORDS_BEFORE), ends[part])
            consumer.seek(part, max(first[part], wanted))

    def _take(self, topic: str, value: bytes | None) -> None:
        try:
            word: Any = from_json(value or b"")
            if topic == PROGRESS:
                self._sender.heard(_progress(word))
            elif word["topic"] in self._own:
                self._sender.asked(_resend(word))
        except Exception as error:  # noqa: BLE001  anybody may write there, and what it says has no business in the log
            self._complain(topic, error)

    def _complain(self, topic: str, error: Exception) -> None:
        """At most once a minute, with how many there were: anybody can write there faster than a log is read."""
        self._nonsense += 1
        now = time.monotonic()
        if now >= self._complain_from:
            self._complain_from = now + _COMPLAIN_EVERY
            extra = {"topic": topic, "error": type(error).__name__, "since_last_told": self._nonsense}
            self._told.log.warning("no control word", extra=extra)
            self._nonsense = 0


def _progress(word: Any) -> Progress:
    """Raises for whatever else it is. What PostgreSQL would refuse must not reach the relay: it would lose its lead each time."""
    next_ = {
        Partition(_name(name), _number(number, _HIGHEST_PARTITION)): _number(offset, _HIGHEST_OFFSET)
        for name, found in word["next"].items()
        for number, offset in found.items()
    }
    return Progress(_name(word["group"]), _name(word["incarnation"]), next_)


def _resend(word: Any) -> Resend:
    first, last = _number(word["first"], _HIGHEST_SEQUENCE), _number(word["last"], _HIGHEST_SEQUENCE)
    return Resend(word["topic"], _name(word["key"]), first, last)


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME or "\x00" in value:
        raise ValueError
    return value


def _number(value: Any, highest: int) -> int:
    number = int(value)
    if not 0 <= number <= highest:
        raise ValueError
    return number


async def _leave(consumer: AIOKafkaConsumer) -> None:
    """aiokafka's stop may wait for ever."""
    try:
        async with asyncio.timeout(2):
            await consumer.stop()
    except Exception:  # noqa: BLE001
        await asyncio.wait_for(consumer._client.close(), 2)
