"""Sends events in order, with a span for each sampled one and for what failed, and never more than the broker keeps until it
is read.

The relay says what to send; the publisher talks to Kafka; this stands between.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from opentelemetry.trace import Span, SpanKind

from common import telemetry
from common.contracts.registry import TOPICS, Topic
from common.messaging.broker import Broker
from common.messaging.message import Event, Partition
from common.messaging.publisher import NoTopic, Publisher
from common.messaging.sending import Written
from common.messaging.window import Window, size_of
from common.telemetry import Telemetry

_FILLED_AT_ONCE = 2_000

Places = Mapping[Partition, Sequence[Written]]
"""Where requests came to lie, for each partition in the order of sending."""


class Sender:
    """The way of one relay's events to the broker."""

    def __init__(
        self, broker: Broker, told: Telemetry, window: Window | None = None, *, topics: Mapping[str, Topic] = TOPICS
    ) -> None:
        self._publisher = Publisher(broker.bootstrap, broker.login, topics=topics)
        self._told = told
        self._window = window
        self.missing: frozenset[str] = frozenset()
        """Topics that the broker had not when it was last sent to; what is for them waits, and all that is behind."""

    async def send(self, events: Sequence[Event]) -> tuple[int, Places]:
        """Send these, or the first of them that the window lets pass and for which there is a topic; says how many, and where
        they lie."""
        self.missing = frozenset()
        try:
            return await self._send(events)
        except NoTopic as error:
            self.missing = error.topics
            before = next(n for n, event in enumerate(events) if event.topic in error.topics)
            return await self._send(events[:before])

    async def _send(self, events: Sequence[Event]) -> tuple[int, Places]:
        if self._window is not None and events:
            places = await self._publisher.places(events)
            events = events[: self._window.fits((place, size_of(event)) for place, event in zip(places, events, strict=True))]
        return len(events), await self._publish(events) if events else {}

    async def send_again(self, events: Sequence[Event], wanting: Mapping[Partition, int]) -> Places:
        """Send those of these partitions once more: so often that so many records are added to each, or a good load of them."""
        places = await self._publisher.places(events)
        again: list[Event] = []
        for part, records in wanting.items():
            some = [event for place, event in zip(places, events, strict=True) if place == part]
            again += some * max(1, -(-min(records, _FILLED_AT_ONCE) // len(some)))
        return await self._publish(again)

    async def count(self, events: Sequence[Event]) -> Counter[Partition]:
        """How many of these go to which partition; without those whose topic is missing."""
        self.missing = frozenset()
        while events:
            try:
                return Counter(await self._publisher.places(events))
            except NoTopic as error:
                self.missing |= error.topics
                events = [event for event in events if event.topic not in error.topics]
        return Counter()

    async def close(self) -> None:
        """Drop what is under way."""
        await self._publisher.close()

    async def _publish(self, events: Sequence[Event]) -> Places:
        with _Spans(self._told, events) as traced:
            written = await self._publisher.publish(traced)
        for place, requests in written.items():
            self._told.metrics.sent.labels(place.topic).inc(sum(one.next - one.first for one in requests))
        if self._window is not None:
            sizes: Counter[Partition] = Counter()
            for place, event in zip(await self._publisher.places(events), events, strict=True):
                sizes[place] += size_of(event)
            for place, size in sizes.items():
                self._window.sent(place, written[place][-1].next, size)
        return written


class _Spans:
    """A span around the sending of each event whose trace is sampled; the event carries it on. Where sending fails, one span
    more for the others together."""

    def __init__(self, told: Telemetry, events: Sequence[Event]) -> None:
        self._told = told
        self._events = list(events)
        self._spans: list[Span] = []
        self._since = time.time_ns()

    def __enter__(self) -> Sequence[Event]:
        sampled = telemetry.sampled
        for number in [number for number, event in enumerate(self._events) if sampled(event.trace)]:
            event = self._events[number]
            span = self._told.start(
                f"{telemetry.SEND} {event.topic}", parent=event.trace, kind=SpanKind.PRODUCER, attributes=_attributes(event)
            )
            self._spans.append(span)
            self._events[number] = event._replace(trace=telemetry.traceparent(span))
        return self._events

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        for span in self._spans:
            if error is not None:
                telemetry.fail(span, error)
            span.end()
        others = len(self._events) - len(self._spans)
        if others and isinstance(error, Exception):
            first = next(event for event in self._events if not telemetry.sampled(event.trace))
            self._told.failed(
                f"{telemetry.SEND} {first.topic}", type(error).__name__, parent=first.trace, kind=SpanKind.PRODUCER,
                attributes=_everywhere(first.topic) | {telemetry.MESSAGING_BATCH_COUNT: others}, since=self._since,
            )  # fmt: skip


def _everywhere(topic: str) -> dict[str, str | int]:
    return {
        telemetry.MESSAGING_SYSTEM: "kafka",
        telemetry.MESSAGING_OPERATION_NAME: telemetry.SEND,
        telemetry.MESSAGING_OPERATION_TYPE: telemetry.SEND,
        telemetry.MESSAGING_DESTINATION: topic,
    }


def _attributes(event: Event) -> dict[str, str | int]:
    return _everywhere(event.topic) | {
        telemetry.MESSAGING_MESSAGE_ID: event.id,
        telemetry.MESSAGING_KAFKA_KEY: event.key,
        telemetry.EVENT_TYPE: event.type,
    }
