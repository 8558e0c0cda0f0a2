"""`musubi tail`: shows events as they pass. It reads as nobody's group: it joins none and commits nothing."""

import asyncio
import logging
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from aiokafka import ConsumerRecord
from aiokafka.errors import TopicAuthorizationFailedError

from common.clock import utc_now
from common.contracts.registry import CONTROL_TOPICS, TOPICS
from common.errors import TryAgain
from common.kafka_login import NOBODY
from common.messaging import kafka_log
from common.messaging.kafka_log import KafkaLog, Stretch
from common.messaging.message import Partition
from common.settings import KafkaSettings
from musubi import colours, places, tail_lines
from musubi.advice import CannotGoOn
from musubi.moments import moment_of
from musubi.tail_lineage import Lineage
from musubi.tail_lines import Passing, Wanted, decoded

AGAIN_SECONDS = 1.0
_SORTED_AT_ONCE = 20_000
"""So many of the old events are put in order of time at once; where there are more, piece by piece."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Options(NamedTuple):
    """What was asked for at the command line."""

    topics: Sequence[str] = ()
    types: Sequence[str] = ()
    event: str = ""
    since: str = ""
    follow: bool = True
    with_data: bool = False


def run(folder: Path, options: Options, *, as_json: bool) -> int:
    """Until Ctrl-C, or with `follow` off to the present end; then 1 if an event was asked for and nothing of it was found."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it would write about each attempt while the broker is away
    tail = _Tail(folder, options, _printer(options, as_json=as_json))
    try:
        asyncio.run(tail.run())
    except KeyboardInterrupt:
        return 0
    if options.event and not tail.shown:
        held = "these topics hold" if options.topics else "the topics hold"
        print(f"Nothing that {held} has {options.event} as its id or follows from it.", file=sys.stderr)
        return 1
    return 0


def _printer(options: Options, *, as_json: bool) -> Callable[[Passing], None]:
    if as_json:
        return lambda passing: print(tail_lines.as_json(passing))
    screen = colours.console()
    return lambda passing: screen.print(tail_lines.in_words(passing, with_data=options.with_data))


class _Tail:
    """What was shown so far, over all lives of the broker and all its absences."""

    def __init__(self, folder: Path, options: Options, show: Callable[[Passing], None]) -> None:
        self._folder = folder
        self._options = options
        self._show = show
        self._lineage = Lineage(options.event) if options.event else None
        self._begun = utc_now()
        self._since = moment_of(options.since, self._begun) if options.since else None
        self._next: dict[Partition, int] = {}
        self._life: str | None = None
        self._away = False
        self.shown = 0

    async def run(self) -> None:
        """Show, and wait for a broker that went away after it was there."""
        while True:
            try:
                kafka = places.kafka(self._folder)
                login = NOBODY if kafka.incarnation else KafkaSettings.read().kafka_login
                async with kafka_log.opened(kafka.address, login) as log:
                    return await self._through(log, kafka)
            except (TryAgain, CannotGoOn) as error:
                if self._life is None or isinstance(error.__cause__, TopicAuthorizationFailedError):
                    raise _in_words(error) from error
                if not self._away:
                    print("The broker does not answer; waiting for it.", file=sys.stderr)
                self._away = True
            await asyncio.sleep(AGAIN_SECONDS)

    async def _through(self, log: KafkaLog, kafka: places.Kafka) -> None:
        """Everything from where we are to the end, and beyond."""
        stretches = await self._stretches(log, kafka)
        wanted = Wanted(self._options.types, self._earliest(kafka))
        if self._away:
            print("It answers again.", file=sys.stderr)
        self._next = {part: stretch.first for part, stretch in stretches.items()}
        self._life, self._away = kafka.incarnation, False
        await self._learn(log, stretches)
        await self._look_back(log, stretches, wanted)
        self._next = {part: stretch.end for part, stretch in stretches.items()}
        if self._options.follow:
            async for records in log.follow(self._next):
                self._print(self._chosen(records, wanted), wanted)

    async def _learn(self, log: KafkaLog, stretches: Mapping[Partition, Stretch]) -> None:
        """Find out to which family the event belongs that was asked for, so that the others need not be kept in memory."""
        if self._lineage is None:
            return
        async with aclosing(log.read(stretches)) as read:
            async for records in read:
                if any(self._lineage.learn(event) for event in map(tail_lines.envelope, records) if event is not None):
                    return

    async def _look_back(self, log: KafkaLog, stretches: Mapping[Partition, Stretch], wanted: Wanted) -> None:
        old: list[Passing] = []
        try:
            async for records in log.read(stretches):
                old += self._chosen(records, wanted)
                if len(old) >= _SORTED_AT_ONCE:
                    self._print(old, wanted)
                    old = []
        finally:
            self._print(old, wanted)  # also where the broker goes away: they are not read again

    async def _stretches(self, log: KafkaLog, kafka: places.Kafka) -> Mapping[Partition, Stretch]:
        """What is there already and has to be looked through."""
        whole = await log.whole(_chosen_topics(self._options.topics, await log.topics()))
        embedded = bool(kafka.incarnation)
        if self._life == kafka.incarnation:  # we were here before
            return {part: Stretch(_inside(self._next.get(part, there.first), there), there.end) for part, there in whole.items()}
        if self._life is not None or (self._options.event and self._since is None) or (embedded and self._since is not None):
            return whole
        if self._since is None:
            return {part: Stretch(there.end, there.end) for part, there in whole.items()}
        firsts = await log.offsets_at(self._since, whole)
        return {part: Stretch(firsts[part], there.end) for part, there in whole.items()}

    def _earliest(self, kafka: places.Kafka) -> datetime | None:
        """From when on an event has to have happened. A real broker knows when each was stored; in each life of the embedded one
        all are sent again, so there the event's own time counts."""
        if not kafka.incarnation:
            return None
        if self._options.event and self._life in (None, kafka.incarnation):
            return self._since
        return self._since or self._begun

    def _chosen(self, records: Sequence[ConsumerRecord], wanted: Wanted) -> list[Passing]:
        passing = [decoded(record) for record in records]
        for record in records:
            self._next[Partition(record.topic, record.partition)] = record.offset + 1
        if self._lineage is None:
            return [one for one in passing if wanted.includes(one)]
        return [one for one in passing if self._lineage.take_in(one.event)]  # of every type: it may lead to what is wanted

    def _print(self, passing: Sequence[Passing], wanted: Wanted) -> None:
        ordered = in_order(passing)
        if self._lineage is not None:
            ordered = [one for one in self._lineage.following(ordered) if wanted.includes(one)]
        for one in ordered:
            self._show(one)
        if ordered:
            sys.stdout.flush()
        self.shown += len(ordered)


def in_order(passing: Sequence[Passing]) -> list[Passing]:
    """By time, and in each partition as they stand there."""
    latest: dict[Partition, datetime] = {}
    moments = []
    for one in passing:
        part = Partition(one.record.topic, one.record.partition)
        latest[part] = max(latest.get(part, _LONG_AGO), one.moment or _LONG_AGO)
        moments.append(latest[part])
    return [one for _, _, one in sorted(zip(moments, range(len(moments)), passing, strict=True), key=lambda entry: entry[:2])]


def _inside(offset: int, there: Stretch) -> int:
    """A log that was cut, or forgot, is looked at from its beginning."""
    return offset if there.first <= offset <= there.end else there.first


def _in_words(error: TryAgain | CannotGoOn) -> CannotGoOn:
    if isinstance(error, CannotGoOn):
        return error
    if isinstance(error.__cause__, TopicAuthorizationFailedError):
        topics = ", ".join(sorted(map(str, error.__cause__.args)))
        return CannotGoOn(f"We may not read {topics}. Choose others (--topic), or sign in as one who may (MUSUBI_KAFKA_USER).")
    return CannotGoOn(f"{error.detail['en']} `musubi doctor` says more.")


def _chosen_topics(patterns: Sequence[str], there: Collection[str]) -> list[str]:
    """The topics to read: all of the registry's, or those that were asked for. Raises `CannotGoOn` where there is none."""
    readable = sorted(name for name in there if name not in CONTROL_TOPICS and not name.startswith("__"))
    ours = [name for name in readable if name in TOPICS]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in readable):
            raise CannotGoOn(f"There is no topic {pattern} here. There are {', '.join(readable) or 'none'}.")
    found = [name for name in readable if any(fnmatchcase(name, pattern) for pattern in patterns)] if patterns else ours
    if not found:
        raise CannotGoOn("The broker has none of our topics, or does not let us see them.")
    return found
