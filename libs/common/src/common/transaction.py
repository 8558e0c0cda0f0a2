"""What a handler and every store function get: the database inside one transaction, the time, and `emit`."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

import asyncpg
import uuid_utils
from opentelemetry.trace import Span

from common.clock import rfc3339
from common.contracts.values import Fact
from common.exact_json import dump
from common.messaging.message import Event, check_sendable, event_of
from common.telemetry import current_traceparent, span_context, traceparent


class Companion(Protocol):
    """Something in memory that has to stand as the database does: it is told what became of what it did in a transaction."""

    def kept(self) -> None:
        """The savepoint that it worked in is over, and what was done in it stands unless the whole is rolled back."""
        ...

    def undone(self) -> None:
        """The savepoint that it worked in was rolled back."""
        ...

    def ended(self, *, committed: bool) -> None:
        """The transaction is over. Nobody knows whether a commit that failed took place: that counts as not."""
        ...


class Transaction:
    """One transaction of one service. Facts are collected and appended to the outbox once, right before the commit.

    `now` is aware UTC and stays the same throughout; `correlation_id` is set by the HTTP edge where no event is the cause.
    `replaying` is true where events that took effect before are handled again on purpose: then a handler plans nothing that
    leaves the house, such as a mail (decision 0067).
    """

    def __init__(self, connection: Any, now: datetime, *, source: str = "", read_only: bool = False) -> None:
        self.connection: asyncpg.Connection = connection
        self.now = now
        self.correlation_id = ""
        self.replaying = False
        self.emitted: list[Event] = []
        self.companions: list[Companion] = []
        self._source = source
        self._time = rfc3339(now)
        self._read_only = read_only
        self._spans: dict[str, Span] = {}

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """All rows."""
        return await self.connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        return await self.connection.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        return await self.connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> str:
        """Run a statement; returns PostgreSQL's word on it, such as `UPDATE 3`."""
        return await self.connection.execute(sql, *args)

    async def executemany(self, sql: str, args: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each set of parameters."""
        await self.connection.executemany(sql, args)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Try something: if it raises, its effects and what it emitted are undone, and the transaction goes on."""
        before = len(self.emitted)
        try:
            async with self.connection.transaction():
                yield
        except BaseException:
            del self.emitted[before:]
            for companion in self.companions:
                companion.undone()
            raise
        for companion in self.companions:
            companion.kept()

    def end(self, *, committed: bool) -> None:
        """For the database: tell the companions, each once."""
        while self.companions:
            self.companions.pop().ended(committed=committed)

    def emit(self, fact: Fact, *, cause: Event | None = None) -> None:
        """Announce a fact. It leaves after the commit, or never; raises `Rejected` for what could not be sent."""
        self.emit_json(type(fact), fact.subject, dump(fact), cause=cause)

    def emit_json(self, kind: type[Fact], key: str, body: bytes, *, cause: Event | None = None, time: str = "") -> None:
        """The same for a fact whose JSON is at hand already; `key` is its subject. `time` is when what it says happened, if that
        was not just now (an event's `time`)."""
        if self._read_only:
            raise RuntimeError("nothing can be announced while reading")
        check_sendable(key, body)
        id_ = str(uuid_utils.uuid7())
        if cause is None:
            trace, correlation, causation = current_traceparent(), self.correlation_id or id_, ""
        else:
            trace, correlation, causation = self.trace_of(cause), cause.correlation_id or cause.id, cause.id
        fields = (kind.topic, key, 0, id_, kind.type, self._source, time or self._time, body, trace, correlation, causation)
        self.emitted.append(event_of(fields))

    def trace_of(self, event: Event) -> bytes:
        """The traceparent under which this event is being handled: what to keep if something follows from it later."""
        span = self._spans.get(event.id) if self._spans else None
        return event.trace if span is None else traceparent(span)

    def link(self, event: Event, earlier: bytes) -> None:
        """Say on the event's span that an earlier trace (a traceparent) led here too. Does nothing where it is not sampled."""
        span, context = self._spans.get(event.id), span_context(earlier)
        if span is not None and context is not None:
            span.add_link(context)

    def handled_in(self, spans: dict[str, Span]) -> None:
        """For the consumer: the spans of the sampled events, by event id."""
        self._spans = spans
