"""Whether a service can do its work: its database, its tables, the broker, its events."""

import asyncio

from common.broker import Broker
from common.postgres import Database


class Health:
    """What was seen at the last look."""

    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker
        self.database = False
        self.broker = False

    async def look_at_database(self) -> bool:
        """A background step: does PostgreSQL answer within two seconds?"""
        try:
            async with asyncio.timeout(2), self._database.connection() as connection:
                await connection.fetchval("select 1")
        except BaseException:
            self.database = False
            raise
        self.database = True
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
