"""Sends what the outbox holds, oldest first. One relay leads for each service; those of other processes stand by.

The lock that makes it the leader lives on one session, which is never silent for long and which PostgreSQL ends if it is: so a
process whose network was cut loses the lead. After a commit the events are handed over in memory; that only spares the read,
the table `unsent` decides order and completeness.
"""

import asyncio
from collections.abc import Mapping, Sequence

import asyncpg
from opentelemetry.trace import Span, SpanKind

from common import outbox, telemetry
from common.broker import Broker
from common.message import Event
from common.outbox import Batch
from common.postgres import CONNECT_SECONDS, server_settings
from common.publisher import Publisher
from common.telemetry import Telemetry

RELAY_LOCK = 0x6D757362
SESSION_SECONDS = 10
"""PostgreSQL ends a leader's session that is silent for so long; the publisher's deadline is shorter."""
_AT_ONCE = 8
_KEPT_EVENTS = 16_000
"""So many events at most are kept in memory for sending; the rest is read back."""
_POLL_ALONE, _POLL_SHARED = 0.5, 0.05
_SHARED_FOR = 30.0
_CHECK_EVERY = 10.0


class Relay:
    """The relay of one service in one process."""

    def __init__(self, dsn: str, schema: str, broker: Broker, told: Telemetry) -> None:
        self._dsn = dsn
        self._schema = schema
        self._broker = broker
        self._told = told
        self._publisher = Publisher(broker.bootstrap)
        self._fresh: dict[int, Sequence[Event]] = {}
        self._wake = asyncio.Event()
        self._shared_until = 0.0
        self._checked_at = 0.0
        self._incarnation = ""
        self.leading = False

    def announce(self, batch: Batch) -> None:
        """Say, right after the commit, that a batch is there. Only a hint: losing it costs a read, nothing else."""
        if self.leading and sum(map(len, self._fresh.values())) < _KEPT_EVENTS:
            self._fresh[batch.number] = batch.events
        self._wake.set()

    async def run(self) -> None:
        """Lead whenever the lock is free; survive everything but cancellation."""
        try:
            while True:
                try:
                    await self._lead()
                except Exception as error:  # noqa: BLE001  asyncpg's InternalClientError is in no family
                    self._told.log.warning("relay starts again", extra={"error": repr(error)[:256]})
                    await asyncio.sleep(0.5)
        finally:
            await self._publisher.close()

    async def _lead(self) -> None:
        session = server_settings(self._schema) | {"idle_session_timeout": f"{SESSION_SECONDS}s"}
        connection = await asyncpg.connect(self._dsn, command_timeout=5, timeout=CONNECT_SECONDS, server_settings=session)
        try:
            # A lock belongs to the whole database: the schema's own number keeps services apart.
            while not await connection.fetchval(  # noqa: ASYNC110  the lock is PostgreSQL's
                "select pg_try_advisory_lock($1, (select oid::int from pg_namespace where nspname = $2))",
                RELAY_LOCK,
                self._schema,
            ):
                await asyncio.sleep(1)
            await self._meet_broker(connection)
            self.leading = True
            self._told.metrics.leading.set(1)
            while True:
                if not await self.send_some(connection):
                    await self._wait()
                    if asyncio.get_running_loop().time() - self._checked_at > _CHECK_EVERY:
                        await self._meet_broker(connection)
        finally:
            self.leading = False
            self._told.metrics.leading.set(0)
            self._fresh.clear()
            connection.terminate()

    async def _meet_broker(self, connection: asyncpg.Connection) -> None:
        incarnation = await self._broker.incarnation()
        self._checked_at = asyncio.get_running_loop().time()
        if self._incarnation and incarnation != self._incarnation:
            await self._publisher.close()  # its numbering belongs to the broker before
        self._incarnation = incarnation
        again = await outbox.meet(connection, incarnation)
        if again:
            self._told.log.warning("the broker's log is new: everything is sent again", extra={"batches": again})
        self._told.metrics.unsent.set(await outbox.count_unsent(connection))

    async def _wait(self) -> None:
        """Until something was committed here, or for a short while: another process may commit too, and then we look often."""
        shared = asyncio.get_running_loop().time() < self._shared_until
        try:
            async with asyncio.timeout(_POLL_SHARED if shared else _POLL_ALONE):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def send_some(self, connection: asyncpg.Connection) -> int:
        """Send the oldest unsent batches and forget them; returns how many batches."""
        self._wake.clear()
        batches = await outbox.unsent(connection, _AT_ONCE)
        if not batches:
            return 0
        elsewhere = [batch for batch in batches if batch not in self._fresh]
        stored: Mapping[int, Sequence[Event]] = {}
        if elsewhere:
            self._shared_until = asyncio.get_running_loop().time() + _SHARED_FOR
            stored = await outbox.load(connection, elsewhere)
        events = [event for batch in batches for event in self._fresh.get(batch) or stored.get(batch, ())]
        await self._publish(events)
        await outbox.forget_unsent(connection, batches)
        for batch in batches:
            self._fresh.pop(batch, None)
        return len(batches)

    async def _publish(self, events: list[Event]) -> None:
        spans: list[Span] = []
        for number, event in enumerate(events):
            if telemetry.sampled(event.trace):
                span = self._told.start(
                    f"{telemetry.SEND} {event.topic}", parent=event.trace, kind=SpanKind.PRODUCER, attributes=_attributes(event)
                )
                spans.append(span)
                events[number] = event._replace(trace=telemetry.traceparent(span))
        try:
            await self._publisher.publish(events)
        except BaseException as error:
            for span in spans:
                telemetry.fail(span, error)
            raise
        finally:
            for span in spans:
                span.end()


def _attributes(event: Event) -> dict[str, str | int]:
    return {
        telemetry.MESSAGING_SYSTEM: "kafka",
        telemetry.MESSAGING_OPERATION_NAME: telemetry.SEND,
        telemetry.MESSAGING_OPERATION_TYPE: telemetry.SEND,
        telemetry.MESSAGING_DESTINATION: event.topic,
        telemetry.MESSAGING_MESSAGE_ID: event.id,
        telemetry.MESSAGING_KAFKA_KEY: event.key,
        telemetry.EVENT_TYPE: event.type,
    }
