"""The one skeleton of all services: its database and tables, events in and out, duties and background work, readiness.

A service's `create_app` makes one of these and hands it on; nothing here is process-wide, so that several services share a
process.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import asyncpg

from common import migrate
from common.background import Loop, Step
from common.clock import Clock, utc_now
from common.contracts.registry import CONTROL_TOPICS, FACTS, TOPICS, Topic, service_of
from common.contracts.values import Fact
from common.due import DutyHandler, DutyRunner
from common.errors import TryAgain
from common.freshness import LOOK_SECONDS, Age, Freshness
from common.health import Health
from common.messaging import outbox
from common.messaging.broker import Broker
from common.messaging.consumer import Consumer, Handler, Note, outside_trouble
from common.messaging.control import Control, Progress, Resend
from common.messaging.kafka_reader import Membership
from common.messaging.prune import Pruner
from common.messaging.relay import Relay
from common.messaging.subscription import Subscription, always_ready
from common.messaging.unparker import Unparker
from common.messaging.window import Window
from common.migrate import Folder
from common.postgres import Database
from common.settings import Settings
from common.telemetry import Telemetry
from common.watchdog import Watchdog

START_SECONDS = 60
"""So long a service waits at its start for PostgreSQL and for its migrations."""
STOP_SECONDS = 8
"""So long it may take to stop; what is cut off then was not committed and is done again."""
_LAST_BATCH_SECONDS, _LAST_SENDING_SECONDS, _SECOND_CALL_SECONDS = 3, 2, 1
_EMBEDDED_SESSION_SECONDS = 3
"""The embedded broker lets who comes back wait for nearly a session; other members, which need a longer one, it has not."""

_REPORT_PAUSE = 0.2


class CannotStart(Exception):
    """What a service needs at its start did not come in time; the text says what to do."""


class NotMigrated(CannotStart):
    """Migrations are missing and this process may not apply them."""


class Service:
    """One service in one process."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        migrations: Folder,
        clock: Clock = utc_now,
        telemetry: Telemetry | None = None,
        patience: float = START_SECONDS,
    ) -> None:
        """`migrations` is the service's folder of SQL files; without `telemetry` it is made as the settings say. So many seconds
        of `patience` it has with PostgreSQL at its start."""
        self.name = name
        self.settings = settings
        self.clock = clock
        self.telemetry = telemetry or Telemetry.of(name, settings)
        self._folders = {"messaging": files("common") / "migrations" / "messaging", name: migrations}
        self._broker = Broker(settings.kafka, settings.incarnation, settings.kafka_login)
        self._readers: dict[str, tuple[str, ...]] = {}
        self._topics: dict[str, Topic] = {}
        window = Window(self._readers) if self._broker.forgets else None
        self._relay = Relay(settings.postgres, name, self._broker, self.telemetry, window=window, topics=self._topics)
        self.database = Database(settings.postgres, name, clock=clock, announce=self._relay.announce)
        self._health = Health(self.database, self._broker, self.telemetry)
        self._freshness = Freshness(self.database, self._broker, self.telemetry.registry)
        self._watchdog = Watchdog(settings.watchdog, self.telemetry)
        self._migrated = False
        self._patience = patience
        self.consumers: dict[str, Consumer] = {}
        """What reads events here, by consumer group."""
        self._subscriptions: dict[str, Subscription] = {}
        self._loops: dict[str, Loop] = {}
        self._unparking: list[str] = []
        self._preparations: list[Callable[[], Awaitable[None]]] = []
        self._prepared = asyncio.Event()
        self._health.needs_topics(CONTROL_TOPICS)
        self._know(TOPICS)
        self.in_background("database check", self._health.look_at_database, every=2, after_commits=False)
        self.in_background("broker check", self._health.look_at_broker, every=5, after_commits=False)
        self.in_background("freshness", self._freshness.look_at_database, every=LOOK_SECONDS, after_commits=False)

    def on_events(
        self,
        handlers: Mapping[type[Fact], Handler],
        *,
        at_once: int = 2000,
        before: Handler | None = None,
        facts: Mapping[str, type[Fact]] = FACTS,
        topics: Mapping[str, Topic] = TOPICS,
        note: Note | None = None,
        group: str = "",
        together: bool = False,
        owners_retry: bool = False,
        ready: Callable[[], Awaitable[None]] = always_ready,
    ) -> None:
        """What to do with which events. `at_once` is the most that one transaction takes; `before` sees all its events first,
        for a service that has to take locks in one order whatever the types; `facts` and `topics` are all that anybody knows;
        `note` is told after each commit what took effect.

        `group` is the consumer group: that of the service's name, or one more, whose name begins with that and a hyphen. Each has
        topics of its own. `together`: partitions of equal number of all its topics, which have to have equally many, are read by
        the same process. `owners_retry`: what is parked is retried by the process that reads the key's partition, and by no
        other; its topics have to be placed by the first part of the key. `ready` is done before each batch, in no transaction: it
        may read what the handlers need for what this process `owns` now. Raises `ValueError` where this cannot be."""
        if not handlers:
            return
        group = group or self.name
        consumer = Consumer(
            self.database, group, handlers, self.telemetry,
            facts=facts, topics=topics, before=before, after_batch=self.wake_all, note=note,
        )  # fmt: skip
        self._may_read(consumer, topics, together=together, owners_retry=owners_retry)
        self.consumers[group] = consumer
        self._health.needs_topics(consumer.topics)
        self._know(topics)
        subscription = self._subscriptions[group] = Subscription(
            consumer, self._broker, self.telemetry,
            at_once=at_once, together=together, membership=self._membership(group), trimmed=self._ask_for_all,
            moved=self._moved, give_up=self._watchdog.give_up, ready=ready,
        )  # fmt: skip
        self.in_background("progress", self._report, every=5, after_commits=False)
        self._freshness.reads(consumer)
        self.in_background("freshness of events", self._freshness.look_at_log, every=LOOK_SECONDS, after_commits=False)
        unparker = Unparker(self.database, consumer, self._ask, self.telemetry, owns=subscription.owns if owners_retry else None)
        parked = "parked events" if group == self.name else f"parked events of {group}"
        self._unparking.append(parked)
        self.in_background(parked, unparker.step, every=1, after_commits=False)  # a look after every batch adds up

    def _may_read(self, consumer: Consumer, topics: Mapping[str, Topic], *, together: bool, owners_retry: bool) -> None:
        group, wanted = consumer.group, [topics[name] for name in consumer.topics]
        if service_of(group) != self.name and group != self.name:
            raise ValueError(f"{group} is no group of {self.name}")
        if group in self.consumers:
            raise ValueError(f"{group} has its handlers already")
        if taken := {name for other in self.consumers.values() for name in other.topics}.intersection(consumer.topics):
            raise ValueError(f"another group of {self.name} reads {', '.join(sorted(taken))}")
        if together and len({topic.partitions for topic in wanted}) > 1:
            raise ValueError("topics that are read together have to have equally many partitions")
        if owners_retry and any(topic.placed_by != "first-part" for topic in wanted):
            raise ValueError("only what is placed by the first part of the key can be left to its owner")

    @property
    def consumer(self) -> Consumer | None:
        """What reads events for the group of the service's name."""
        return self.consumers.get(self.name)

    def group_of(self, topic: str) -> str:
        """The group that reads a topic here; that of the service's name where none does."""
        return next((group for group, consumer in self.consumers.items() if topic in consumer.topics), self.name)

    def owns(self, group: str, first_part: str) -> bool:
        """Whether this process works on the keys that begin so just now, in every topic of the group, which are placed by it."""
        return all(self._subscriptions[group].owns((topic, first_part)) for topic in self.consumers[group].topics)

    def retry_parked(self) -> None:
        """Look at once for parked events that are due, in all groups."""
        for name in self._unparking:
            self.wake(name)

    def _know(self, topics: Mapping[str, Topic]) -> None:
        """Who reads what: whom the embedded relay waits for, what we may be asked to send again, what may be dropped, and which
        topics have to be there for us to write to."""
        self._health.needs_topics(topic.name for topic in topics.values() if topic.is_produced_by(self.name))
        self._topics |= topics
        self._readers |= {topic.name: topic.readers for topic in topics.values()}
        # It looks at the clock itself, and does its work once an hour.
        pruner = Pruner(self.database, self.telemetry, topics=self._topics)
        self.in_background("prune", pruner.step, every=300, after_commits=False)
        self._control = Control(self._broker, self.name, self._relay, self.telemetry, topics=self._topics)

    def _membership(self, group: str) -> Membership:
        if self._broker.forgets:
            return Membership(_EMBEDDED_SESSION_SECONDS)
        instance = self.settings.instance
        return Membership(self.settings.session_timeout, f"{instance}-{group}" if instance else "")

    async def _ask(self, resend: Resend) -> None:
        await self._control.ask(resend)  # that of now: each call of `on_events` makes another

    async def _ask_for_all(self, topic: str) -> None:
        await self._ask(Resend(topic, "", 0, 0))

    def _moved(self) -> None:
        if self._broker.forgets:  # its relay waits until what it sent is read
            self.wake("progress")

    async def _report(self) -> bool:
        """Tell the relays how far this process is with what it owns, for each of its groups."""
        for group, subscription in self._subscriptions.items():
            incarnation, next_ = subscription.progress()
            if next_:
                await self._control.report(Progress(group, incarnation, next_))
        if self._broker.forgets:
            await asyncio.sleep(_REPORT_PAUSE)  # woken after every batch, it would say too much
        return False

    def on_duties(self, duties: Mapping[str, DutyHandler], *, ours: Callable[[], Collection[str]] | None = None) -> None:
        """What to do when the time of a duty has come, by kind (see `common.due`). `ours`: the first parts of those keys whose
        duties are left to this process just now; without it, any process does any."""
        if duties:
            self.in_background("duties", DutyRunner(self.database, duties, self.telemetry, ours=ours).step, every=1)

    def prepare(self, step: Callable[[], Awaitable[None]]) -> None:
        """Have this done at the start, after those given before. Events and duties wait for it, and so does readiness; pages do
        not. If it raises, the process ends."""
        self._preparations.append(step)

    def watch(self, age: Age) -> None:
        """Tell how old the oldest thing of some kind is that waits in this service, as a metric."""
        self._freshness.watch(age)

    def in_background(self, name: str, step: Step, *, every: float, after_commits: bool = True) -> None:
        """Have `step` done again and again; it returns True when there may be more to do at once. Errors are only logged.

        `after_commits`: may something that was just committed give it work to do?"""
        self._loops[name] = Loop(name, step, every=every, told=self.telemetry, after_commits=after_commits)

    def wake(self, name: str) -> None:
        """Run a background step now."""
        self._loops[name].wake()

    def wake_all(self) -> None:
        """Something was committed: whoever works in the background may have something to do."""
        for loop in self._loops.values():
            if loop.after_commits:
                loop.wake()

    def readiness(self) -> dict[str, str | bool]:
        """Each thing that the service waits for; False is not ready. `missing_topics`, only where there are any, names them and
        says what makes them."""
        missing = ", ".join(sorted(self._health.missing_topics))
        return (
            {
                "database": self._health.database,
                "migrations": self._migrated,
                "broker": self._health.broker,
                "topics": not missing,
                "consumer": all(subscription.assigned for subscription in self._subscriptions.values()),
            }
            | ({"prepared": self._prepared.is_set()} if self._preparations else {})
            | ({"missing_topics": f"{missing} (`musubi topics apply` creates them)"} if missing else {})
        )

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Ready for requests once the database is; events and background work start beside."""
        background: list[asyncio.Task[None]] = []
        messaging: list[asyncio.Task[None]] = []
        async with self._watchdog.watching():
            try:
                await self._open_database()
                messaging.append(asyncio.create_task(self._relay.run(), name="relay"))
                messaging.append(asyncio.create_task(self._control.run(), name="control"))
                for group, subscription in self._subscriptions.items():
                    reading = self._once_prepared(subscription.run)
                    messaging.append(asyncio.create_task(reading, name=f"subscription of {group}"))
                background.append(asyncio.create_task(self._prepare(), name="preparation"))
                background += [asyncio.create_task(self._run(loop), name=loop.name) for loop in self._loops.values()]
                yield
            finally:
                await self._stop(background, messaging)

    async def _prepare(self) -> None:
        for step in self._preparations:
            while True:
                try:
                    await step()
                    break
                except Exception as error:  # noqa: BLE001  it is looked at
                    if not outside_trouble(error):  # nothing could be handled right without it
                        self._watchdog.give_up(f"not prepared: {error!r}"[:256])
                        return
                    self.telemetry.log.warning("not prepared yet", extra={"error": repr(error)[:256]})
                    await asyncio.sleep(1)
        self._prepared.set()

    async def _once_prepared(self, run: Callable[[], Awaitable[None]]) -> None:
        await self._prepared.wait()
        await run()

    async def _run(self, loop: Loop) -> None:
        if loop.name in ("duties", *self._unparking):  # handlers run in them
            await self._prepared.wait()
        await loop.run()

    async def _open_database(self) -> None:
        """Wait for PostgreSQL and for the tables; raises `CannotStart` when the patience ends."""
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                if self.settings.migrate:
                    await migrate.apply(self.settings.postgres, self.name, self._folders)
                await self.database.open()
                async with self.database.connection() as connection:
                    missing = await migrate.pending(connection, self._folders)
                if missing:
                    raise NotMigrated(f"run `musubi migrate` (or set MUSUBI_MIGRATE=true). To apply: {', '.join(missing)}")
            except migrate.ChangedMigration:
                raise
            except Exception as error:
                await self.database.close()
                found = _in_words(error)
                if asyncio.get_running_loop().time() > deadline:
                    raise found from error
                self.telemetry.log.warning("waits for its database", extra={"error": str(found)[:256]})
                await asyncio.sleep(1)
            else:
                self._migrated = True
                self._health.database = True
                return

    async def _stop(self, background: list[asyncio.Task[None]], messaging: list[asyncio.Task[None]]) -> None:
        """Begin nothing new, end the batch in work, send what it announced, then leave; each within its time."""
        begun = asyncio.get_running_loop().time()
        for task in background:
            task.cancel()
        if messaging:
            await asyncio.gather(*(subscription.stop(_LAST_BATCH_SECONDS) for subscription in self._subscriptions.values()))
        if self._relay.leading:
            await self._send_the_rest()
        for task in messaging:
            task.cancel()
        late = {*background, *messaging}
        for until in (STOP_SECONDS - _SECOND_CALL_SECONDS, STOP_SECONDS):
            if late:
                _, late = await asyncio.wait(late, timeout=begun + until - asyncio.get_running_loop().time())
            for task in late:  # aiokafka swallows a cancellation that arrives while it closes
                task.cancel()
        if late:
            self.telemetry.log.warning("did not stop in time", extra={"tasks": sorted(task.get_name() for task in late)})
        self._health.close()
        await self.database.close()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.to_thread(self.telemetry.close)

    async def _send_the_rest(self) -> None:
        """What is committed goes out now if it can; else the next leader sends it."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_LAST_SENDING_SECONDS), self.database.connection() as connection:
                while await outbox.count_unsent(connection):  # noqa: ASYNC110  the table is PostgreSQL's
                    await asyncio.sleep(0.05)


def _in_words(error: Exception) -> Exception:
    """The same with what to do about it, where that is known."""
    if isinstance(error, (OSError, TryAgain, asyncpg.PostgresError, asyncpg.InterfaceError)):
        said = (str(error) or type(error).__name__).splitlines()[0]
        return CannotStart(f"PostgreSQL cannot be worked with ({said}). Is it running, and MUSUBI_POSTGRES right?")
    return error
