"""The one skeleton of all services: its database and tables, events in and out, duties and background work, readiness.

A service's `create_app` makes one of these and hands it on; nothing here is process-wide, so that several services share a
process.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from common import migrate
from common.background import Loop, Step
from common.broker import Broker
from common.clock import Clock, utc_now
from common.consumer import Consumer, Handler
from common.contracts.values import Fact
from common.due import DutyHandler, DutyRunner
from common.health import Health
from common.migrate import Folder
from common.postgres import Database
from common.relay import Relay
from common.settings import Settings
from common.subscription import Subscription
from common.telemetry import Telemetry

START_SECONDS = 60
"""So long a service waits at its start for PostgreSQL and for its migrations."""
STOP_SECONDS = 8
"""So long it may take to stop; what is cut off then was not committed and is done again."""


class NotMigrated(Exception):
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
    ) -> None:
        """`migrations` is the service's folder of SQL files; without `telemetry` it is made as the settings say."""
        self.name = name
        self.settings = settings
        self.clock = clock
        self.telemetry = telemetry or Telemetry.of(name, settings)
        self._folders = {"messaging": files("common") / "migrations" / "messaging", name: migrations}
        self._broker = Broker(settings.kafka, settings.incarnation)
        self._relay = Relay(settings.postgres, name, self._broker, self.telemetry)
        self.database = Database(settings.postgres, name, clock=clock, announce=self._relay.announce)
        self._health = Health(self.database, self._broker)
        self._migrated = False
        self._subscription: Subscription | None = None
        self._loops: dict[str, Loop] = {}
        self.in_background("database check", self._health.look_at_database, every=2)
        self.in_background("broker check", self._health.look_at_broker, every=10)

    def on_events(self, handlers: Mapping[type[Fact], Handler], *, at_once: int = 2000, before: Handler | None = None) -> None:
        """What to do with which events. `at_once` is the most that one transaction takes; `before` sees all its events first,
        for a service that has to take locks in one order whatever the types."""
        if handlers:
            consumer = Consumer(self.database, self.name, handlers, self.telemetry, before=before, after_batch=self.wake_all)
            self._subscription = Subscription(consumer, self._broker, self.telemetry, at_once=at_once)

    def on_duties(self, duties: Mapping[str, DutyHandler]) -> None:
        """What to do when the time of a duty has come, by kind (see `common.due`)."""
        if duties:
            self.in_background("duties", DutyRunner(self.database, duties, self.telemetry).step, every=1)

    def in_background(self, name: str, step: Step, *, every: float) -> None:
        """Have `step` done again and again; it returns True when there may be more to do at once. Errors are only logged."""
        self._loops[name] = Loop(name, step, every=every, told=self.telemetry)

    def wake(self, name: str) -> None:
        """Run a background step now."""
        self._loops[name].wake()

    def wake_all(self) -> None:
        """Something was committed: whoever works in the background may have something to do."""
        for name, loop in self._loops.items():
            if not name.endswith(" check"):
                loop.wake()

    def readiness(self) -> dict[str, str | bool]:
        """Each thing that the service waits for; False is not ready."""
        consumer = True if self._subscription is None else self._subscription.assigned
        return {
            "database": self._health.database,
            "migrations": self._migrated,
            "broker": self._health.broker,
            "consumer": consumer,
        }

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Ready for requests once the database is; events and background work start beside."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._open_database()
            runs: list[Callable[[], Awaitable[None]]] = [self._relay.run, *(loop.run for loop in self._loops.values())]
            if self._subscription is not None:
                runs.append(self._subscription.run)
            tasks = [asyncio.ensure_future(run()) for run in runs]
            yield
        finally:
            await self._stop(tasks)

    async def _open_database(self) -> None:
        """Wait for PostgreSQL and for the tables; raises what was wrong last when the patience ends."""
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while True:
            try:
                if self.settings.migrate:
                    await migrate.apply(self.settings.postgres, self.name, self._folders)
                await self.database.open()
                async with self.database.connection() as connection:
                    missing = await migrate.pending(connection, self._folders)
                if missing:
                    raise NotMigrated(f"apply the migrations first (or set MUSUBI_MIGRATE=true): {', '.join(missing)}")
            except migrate.ChangedMigration:
                raise
            except Exception as error:
                await self.database.close()
                if asyncio.get_running_loop().time() > deadline:
                    raise
                self.telemetry.log.warning("database not ready", extra={"error": repr(error)[:256]})
                await asyncio.sleep(1)
            else:
                self._migrated = True
                self._health.database = True
                return

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            if late:
                self.telemetry.log.warning("did not stop in time", extra={"tasks": len(late)})
        await self.database.close()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.to_thread(self.telemetry.close)
