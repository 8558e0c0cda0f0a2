"""Whether a service can do its work: its database, its tables, the broker, its events.

Looking at the database also ends the waiting where a network was cut without a word: a statement would wait for half a minute,
and a connection that nobody closed looks like any other.
"""

from typing import Any

import asyncpg

from common.broker import Broker
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
        self.database = False
        self.broker = False

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
        """A background step: does the broker answer?"""
        try:
            await self._broker.incarnation()
        except BaseException:
            self.broker = False
            raise
        self.broker = True
        return False

    def close(self) -> None:
        """Leave the database."""
        session, self._session = self._session, None
        if session is not None:
            session.terminate()
