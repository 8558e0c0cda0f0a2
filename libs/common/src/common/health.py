"""Whether a service can do its work: its database, its tables, the broker and its topics, its events.

Looking at the database also ends the waiting where a network was cut without a word: a statement would wait for half a minute,
and a connection that nobody closed looks like any other.
"""

from collections.abc import Iterable
from typing import Any

import asyncpg

from common.messaging.broker import Broker
from common.postgres import Database, server_settings
from common.telemetry import Telemetry

LOOK_SECONDS = 3
SILENT_LOOKS = 3
"""After so many looks in a row without any answer, all connections of the pool are given up."""


class Health:
    """What was seen at the last look."""

    def __init__(self, database: Database, broker: Broker, told: Telemetry) -> None:
        self._database = database
        self._broker = broker
        self._told = told
        self._session: Any = None
        self._silent = 0
        self._topics: frozenset[str] = frozenset()
        self.database = False
        self.broker = False
        self.missing_topics: frozenset[str] = frozenset()
        """Of those that we write or read, as far as the broker has said."""

    def needs_topics(self, names: Iterable[str]) -> None:
        """Look for these, too."""
        self._topics |= frozenset(names)

    async def look_at_database(self) -> bool:
        """A background step: does PostgreSQL answer? On a session of its own, because a pool in full use is no illness."""
        try:
            if self._session is None or self._session.is_closed():
                self._session = await asyncpg.connect(
                    self._database.dsn,
                    timeout=LOOK_SECONDS,
                    command_timeout=LOOK_SECONDS,
                    server_settings=server_settings(self._database.schema),
                )
            await self._session.fetchval("select 1")
        except BaseException as error:
            self.database = False
            self.close()
            self._silent = self._silent + 1 if isinstance(error, TimeoutError) else 0
            if self._silent == SILENT_LOOKS:
                self._silent = 0
                self._told.log.error("PostgreSQL is silent: all connections are given up")
                await self._database.cut()
            raise
        self.database = True
        self._silent = 0
        return False

    async def look_at_broker(self) -> bool:
        """A background step: does the broker answer, and has it our topics?"""
        try:
            missing = await self._broker.missing(self._topics)
        except BaseException:
            self.broker = False
            raise
        self.broker = True
        self._note_missing(missing)
        return False

    def _note_missing(self, missing: frozenset[str]) -> None:
        for topic in self.missing_topics - missing:
            self._told.metrics.missing.remove(topic)
        for topic in missing - self.missing_topics:
            self._told.metrics.missing.labels(topic).set(1)
        if missing - self.missing_topics:
            said = {"topics": sorted(missing), "to_mend": "musubi topics apply"}
            self._told.log.warning("topics are missing on the broker", extra=said)
        elif self.missing_topics and not missing:
            self._told.log.info("all topics are there")
        self.missing_topics = missing

    def close(self) -> None:
        """Leave the database."""
        session, self._session = self._session, None
        if session is not None:
            session.terminate()
