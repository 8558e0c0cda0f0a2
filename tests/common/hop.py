"""A small service for tests of the messaging promise: it records every effect, announces each rate, fails where told to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from common import migrate
from common.contracts.catalog import ExchangeRatePublished
from common.contracts.notify import NotificationAcknowledged, NotificationIssued
from common.contracts.registry import TOPICS
from common.contracts.values import Fact
from common.messaging.broker import Broker as KafkaAddress
from common.messaging.consumer import Arrived
from common.messaging.control import Control
from common.messaging.relay import Relay
from common.messaging.window import Window
from common.postgres import Database
from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from common.transaction import Transaction
from tests.brokers import Broker

MIGRATIONS = Path(__file__).parent / "hop_migrations"
RATES = "catalog.exchange-rates"
NOTIFICATIONS = "notify.notifications"
SENT_BY_SOURCE = {name: TOPICS[name]._replace(producer="source") for name in (RATES, NOTIFICATIONS)}


def rate(currency: str, *, source: str = "a test", per_usd: str = "1.5") -> ExchangeRatePublished:
    """A rate; the handler fails as long as `source` says so: "poison" or "database"."""
    return ExchangeRatePublished(currency=currency, per_usd=Decimal(per_usd), as_of=date(2026, 11, 1), source=source)


def notification(id_: str, *, acknowledged: bool = False, rule: str = "a test") -> Fact:
    """A notification, issued or acknowledged: two types in one dense topic."""
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    fields: dict[str, Any] = {
        "id": id_, "recipient_id": "r", "recipient_kind": "office", "need_id": "n", "offering_id": "o", "rule": rule,
        "why": {}, "issued_at": moment,
    }  # fmt: skip
    if acknowledged:
        return NotificationAcknowledged(**fields, acknowledged_by="account", acknowledged_at=moment)
    return NotificationIssued(**fields)


async def _record(events: Sequence[Arrived[Any]], tx: Transaction) -> None:
    await tx.connection.copy_records_to_table(
        "effect",
        columns=["topic", "key", "sequence", "event_id", "type"],
        records=[(e.topic, e.key, e.sequence, e.id, e.type) for e, _ in ((a.event, a.data) for a in events)],
    )


async def record_rates(events: Sequence[Arrived[ExchangeRatePublished]], tx: Transaction) -> None:
    """Record the effect and announce one notification for each rate."""
    await _record(events, tx)
    for arrived in events:
        tx.emit(notification(f"{arrived.event.key}-{arrived.event.sequence}"), cause=arrived.event)
    await _fail_where_told({arrived.data.source for arrived in events}, tx)


async def record_notifications(events: Sequence[Arrived[Any]], tx: Transaction) -> None:
    """Record the effect."""
    await _record(events, tx)
    await _fail_where_told({arrived.data.rule for arrived in events}, tx)


async def _fail_where_told(words: set[str], tx: Transaction) -> None:
    cured = {row[0] for row in await tx.fetch("select what from cured")}
    if "poison" in words - cured:
        raise ValueError("poison")
    if "database" in words - cured:
        await tx.execute("do $$ begin raise exception 'a deadlock' using errcode = '40P01'; end $$")


HANDLERS = {
    ExchangeRatePublished: record_rates,
    NotificationIssued: record_notifications,
    NotificationAcknowledged: record_notifications,
}


def settings(postgres: str, broker: Broker) -> Settings:
    """Settings of a test: migrations are applied at start."""
    return Settings(postgres=postgres, kafka=broker.address, incarnation=broker.incarnation, migrate=True)


@asynccontextmanager
async def running_hop(postgres: str, broker: Broker, name: str, *, telemetry: Telemetry | None = None) -> AsyncIterator[Service]:
    """The hop, ready. On real brokers give each test its own `name`: it is the group too."""
    service = Service(
        name, settings(postgres, broker), migrations=MIGRATIONS, telemetry=telemetry or Telemetry(name, log_level="INFO")
    )
    service.on_events(HANDLERS)
    async with service.lifespan():
        await until(lambda: all(service.readiness().values()))
        yield service


class Source:
    """A service that only announces: its database, its relay, and its ear for what readers say."""

    def __init__(
        self, postgres: str, broker: Broker, *, telemetry: Telemetry | None = None, window: Window | None = None
    ) -> None:
        self._dsn = postgres
        told = telemetry or Telemetry("source", log_level="INFO")
        address = KafkaAddress(broker.address, broker.incarnation)
        self.relay = Relay(postgres, "source", address, told, window=window)
        self.control = Control(address, "source", self.relay, told, topics=SENT_BY_SOURCE)
        self.database = Database(postgres, "source", announce=self.relay.announce)

    async def emit(self, *facts: Fact) -> None:
        """Announce facts in one transaction."""
        async with self.database.transaction() as tx:
            for fact in facts:
                tx.emit(fact)

    @asynccontextmanager
    async def silent(self) -> AsyncIterator["Source"]:
        """With its tables; nothing is sent."""
        await migrate.apply(self._dsn, "source", {"messaging": Path(migrate.__file__).parent / "migrations" / "messaging"})
        await self.database.open()
        try:
            yield self
        finally:
            await self.database.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Source"]:
        """With its tables, and its relay sending."""
        async with self.silent():
            tasks = [asyncio.create_task(self.relay.run()), asyncio.create_task(self.control.run())]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


class Seen:
    """What the database says about a hop; a connection of its own."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def effects(self, topic: str = RATES) -> list[tuple[str, int]]:
        """Key and sequence of every effect, in order."""
        rows = await self.connection.fetch("select key, sequence from effect where topic = $1 order by id", topic)
        return [(row["key"], row["sequence"]) for row in rows]

    async def parked(self) -> list[asyncpg.Record]:
        """Everything parked, by key and sequence."""
        return await self.connection.fetch("select * from parked order by topic, key, sequence")

    async def quarantined(self) -> list[asyncpg.Record]:
        """All records that were no events, in the order of their offsets."""
        return await self.connection.fetch("""select * from quarantine order by part, "offset" """)

    async def cure(self, what: str) -> None:
        """Let the handler succeed from now on."""
        await self.connection.execute("insert into cured values ($1)", what)


@asynccontextmanager
async def looking_at(postgres: str, schema: str) -> AsyncIterator[Seen]:
    """See what is in a hop's schema."""
    connection = await asyncpg.connect(postgres, server_settings={"search_path": schema})
    try:
        yield Seen(connection)
    finally:
        await connection.close()


async def until(holds: Callable[[], Any], *, seconds: float = 20) -> None:
    """Wait until something holds (a plain or an async condition); fails after so many seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        result = holds()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        assert asyncio.get_running_loop().time() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)
