"""A small world for one scenario: the real services in this process on a real PostgreSQL and an embedded broker, and a ledger.

Its lives end as abruptly as a killed process does, and the verdict is that of the campaigns.
"""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI

from common import migrate, service
from common.messaging.broker import Broker
from common.messaging.message import Event
from common.messaging.relay import Relay
from common.service import Service
from common.telemetry import Telemetry
from musubi.embedded_kafka import EmbeddedBroker
from musubi.lifespans import side_by_side
from notify.settings import NotifySettings
from tests.chain import partner_key
from tests.common.hop import until
from tests.faults import evidence, poison, rest, states, verdict
from tests.faults.counter import OWN_TOPICS, SAID
from tests.faults.crash_points import CRASH_POINTS, Trigger, wrap
from tests.faults.ledger import Ledger, Sent
from tests.faults.mail_faults import MoodyMailbox
from tests.faults.orders import Clock, Order
from tests.faults.partners import World
from tests.faults.run import ALL_TOPICS, MAKERS
from tests.faults.sending import Sender, Surroundings
from tests.faults.verdict import Anomaly
from tests.faults.wrapping import replaced

FOR_EVER = 3600.0
ANSWER_SECONDS = 20.0


class Lab:
    """`dsn` is a database with all tables (see `prepare`), `folder` takes the ledger. Enter it before use."""

    def __init__(self, dsn: str, key: str, folder: Path, mailbox: MoodyMailbox) -> None:
        self.dsn = dsn
        self.mailbox = mailbox
        self.patience = 20.0
        """Seconds until what is left over counts as stuck."""
        self.clock = Clock()
        self.world = World(1)
        self.chance = random.Random(1)
        self.ledger = Ledger(folder / "ledger")
        self.partner = Sender(self.ledger, Surroundings({}, key, ""), httpx.AsyncClient(trust_env=False))
        self._doors: dict[str, httpx.AsyncBaseTransport | None] = {}
        self.broker = _new_broker()
        self._trigger = Trigger()
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._asking: set[asyncio.Task[bool]] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Lab"]:
        """While the block runs."""
        session = service._EMBEDDED_SESSION_SECONDS
        service._EMBEDDED_SESSION_SECONDS = 1  # whoever comes back to the embedded broker waits for nearly a session
        try:
            with replaced(("common.service:Service._stop", lambda _: _cut_off)):
                yield self
        finally:
            service._EMBEDDED_SESSION_SECONDS = session
            self.broker.stop()
            self.ledger.close()

    # lives -----------------------------------------------------------------------------------------------------------
    @asynccontextmanager
    async def life(self, *services: str) -> AsyncIterator[None]:
        """These services run, and read. At the end they are cut off in the middle of whatever they do."""
        settings = NotifySettings(
            postgres=self.dsn, kafka=self.broker.address, incarnation=self.broker.incarnation,
            log_level="ERROR", watchdog=0, smtp_host=self.mailbox.host, smtp_port=self.mailbox.port, smtp_timeout=3,
        )  # fmt: skip
        apps = {name: MAKERS[name](settings, clock=self.clock) for name in services}
        async with side_by_side(partial(app.router.lifespan_context, app) for app in apps.values()):
            self._reach(apps)
            try:
                await until(lambda: all(_service(app).readiness()["consumer"] for app in apps.values()))
                yield
            finally:
                for task in self._asking:
                    task.cancel()
                await asyncio.gather(*self._asking, return_exceptions=True)
                self._asking.clear()

    @asynccontextmanager
    async def another_relay(self, of: str) -> AsyncIterator[Relay]:
        """A second process of this service runs, as far as sending goes."""
        broker = Broker(self.broker.address, self.broker.incarnation)
        relay = Relay(self.dsn, of, broker, Telemetry(of, log_level="ERROR"))
        running = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            running.cancel()
            await asyncio.wait([running], timeout=5)

    def _reach(self, apps: Mapping[str, FastAPI]) -> None:
        """From now on requests go to these, too."""
        self.partner.where.origins |= {name: [f"http://{name}"] for name in apps}
        self._doors |= {f"http://{name}": httpx.ASGITransport(app, raise_app_exceptions=False) for name, app in apps.items()}
        self.partner.http = httpx.AsyncClient(mounts=self._doors, trust_env=False)

    def lose_the_log(self, *, renamed: bool = True) -> None:
        """The broker comes back empty: as another one, or under the name it had before."""
        self.broker.stop()
        before, self.broker = self.broker, _new_broker()
        if not renamed:
            self.broker.incarnation = before.incarnation

    # what comes in ---------------------------------------------------------------------------------------------------
    def numbers(self, *keys: str, kind: str = SAID, trouble: str = "") -> list[Sent]:
        """The next event of each of these keys."""
        events = []
        for key in keys:
            self._numbers[kind, key] += 1
            events.append(Sent(str(uuid.uuid4()), "counter", kind, key, self._numbers[kind, key], trouble=trouble))
        return events

    async def say(self, events: list[Sent]) -> None:
        """Send these to the counter in one request, until they are answered."""
        async with asyncio.timeout(ANSWER_SECONDS):
            assert await self.partner.send(events, self.partner.ask_counter)

    async def publish(self, events: list[Sent], *, expected: str = "accepted") -> None:
        """Send a partner's events in one request, until they are answered."""
        async with asyncio.timeout(ANSWER_SECONDS):
            assert await self.partner.send(events, self.partner.ask_partner, expected=expected)

    async def publish_again(self, events: list[Sent]) -> None:
        """The same events once more; each has to be a repeat."""
        async with asyncio.timeout(ANSWER_SECONDS):
            await self.partner.again(events, self.partner.ask_partner)

    def begin(self, asking: Any) -> asyncio.Task[Any]:
        """Send something without waiting for the answer, which may never come: it is cut off with the life."""
        task = asyncio.ensure_future(asking)
        self._asking.add(task)
        return task

    async def throw_in(self, records: Iterable[poison.Record]) -> None:
        """Junk, straight into Kafka."""
        async with poison.producing(self.broker.address) as producer:
            for record, part, offset in await poison.throw_in(producer, list(records)):
                self.ledger.thrown_in(record.topic, part, offset, self.broker.address, record.kind, record.key)

    async def replay(self, *topics: str) -> None:
        """Append all that these topics hold to them once more."""
        async with poison.producing(self.broker.address) as producer:
            for topic in topics:
                await poison.replay(self.broker.address, producer, topic)

    # faults ----------------------------------------------------------------------------------------------------------
    @contextmanager
    def stopped_at(
        self, point: str, *, seconds: float = FOR_EVER, only: Callable[..., bool] | None = None
    ) -> Iterator["Stopped"]:
        """Who comes by this crash point first gets no further, for so long. `only` says by the arguments which calls count."""
        trigger = Trigger()
        trigger.take(Order(point, hang=seconds))
        if point.startswith("outbox.append"):
            trigger.only = lambda tx, *_: bool(tx.emitted)
        if only is not None:
            trigger.only = only
        undo = wrap(CRASH_POINTS[point], trigger)
        try:
            yield Stopped(trigger)
        finally:
            undo()

    # what came of it -------------------------------------------------------------------------------------------------
    async def execute(self, of: str, sql: str, *args: Any) -> None:
        """What no service would do: change its tables from outside."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": of})
        try:
            await connection.execute(sql, *args)
        finally:
            await connection.close()

    async def rows(self, of: str, sql: str, *args: Any) -> list[asyncpg.Record]:
        """What a service's tables say."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": of})
        try:
            return await connection.fetch(sql, *args)
        finally:
            await connection.close()

    async def stored(self, of: str, topic: str, sequence: int) -> list[Event]:
        """The announced events of a topic with this number in their keys."""
        rows = await self.rows(
            of,
            """select topic, key, sequence, event_id::text, type, source, time, body, trace, correlation_id, causation_id
            from outbox where topic = $1 and sequence = $2""",
            topic, sequence,
        )  # fmt: skip
        return [Event(*row) for row in rows]

    def junk(self) -> list[poison.Record]:
        """Some of every kind, for the topics of the counting services."""
        found = []
        for kind in poison.KINDS:
            while (record := poison.make(self.chance, kind)).topic not in OWN_TOPICS:
                pass
            found.append(record)
        return found

    def bad_json(self, topic: str, amount: int) -> list[poison.Record]:
        """So much junk for one topic: it takes up offsets."""
        return [poison.make(self.chance, "bad JSON")._replace(topic=topic) for _ in range(amount)]

    async def rest_only(self) -> None:
        """Wait until nothing is left to do, or for a while."""
        await rest.at_rest(self.dsn, within=self.patience)

    async def rest(self, *, within: float | None = None, whole_log: bool = False) -> list[Anomaly]:
        """Wait until nothing is left to do; then all anomalies, of every kind. In a life; `whole_log`: it was the only one of its
        broker, and only relays wrote events, so that everything must be found in Kafka, the newest of each state last."""
        left = await rest.at_rest(self.dsn, within=within or self.patience)
        found = [Anomaly("stuck", what, f"{amount} left") for what, amount in left.items()]
        await evidence.collect(self.ledger.connection, self.dsn, self.broker.address)
        found += verdict.judge(self.ledger.connection, real=whole_log)
        if whole_log:
            found += verdict.outdated(self.ledger.connection)
        found += await states.compare(self.ledger.connection, self.dsn)
        arrived = list(zip(self.mailbox.messages, self.mailbox.recipients, strict=True))
        return found + await states.mails(self.dsn, arrived, self.mailbox.refused_for_good)


class Stopped:
    """Somebody who was stopped at a point. Call it to wait until somebody is."""

    def __init__(self, trigger: Trigger) -> None:
        self._trigger = trigger

    async def __call__(self) -> None:
        await until(lambda: self._trigger.obeyed)

    def go_on(self) -> None:
        """Let it go on."""
        self._trigger.released.set()

    async def goes_on(self) -> None:
        """The same, until it has done what it was about to do, or failed."""
        self.go_on()
        await until(lambda: self._trigger.over)


async def prepare(dsn: str) -> str:
    """All tables of all services; returns a partner's key."""
    settings = NotifySettings(postgres=dsn, kafka="127.0.0.1:1", watchdog=0)
    for name, make in MAKERS.items():
        await migrate.apply(dsn, name, _service(make(settings))._folders)
    return await partner_key(dsn)


def _service(app: FastAPI) -> Service:
    return app.state.service


def _new_broker() -> EmbeddedBroker:
    return EmbeddedBroker.with_topics((topic.name, topic.partitions) for topic in ALL_TOPICS)


async def _cut_off(cut: Any, *tasks: Sequence[asyncio.Task[None]]) -> None:
    """In place of a graceful stop: nothing is ended, sent or said; the database's sessions go first, so nothing is committed."""
    await cut.database.close()
    everything = [task for some in tasks for task in some]
    for task in everything:
        task.cancel()
    if everything:
        await asyncio.wait(everything, timeout=5)
