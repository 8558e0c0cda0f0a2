"""What `bench.recovery` breaks: Kafka and PostgreSQL behind proxies, a source that announces all the time, the hop's processes.

Everything is looked at directly, past the proxies.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from common.contracts.registry import CONTROL_TOPICS, TOPICS
from musubi import topics
from tests.brokers import Broker
from tests.common.hop import NOTIFICATIONS, RATES, Source, rate
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer
from tests.proxy import Mode, Proxy

SCHEMA = "hop"
KEYS = ("AUD", "BRL", "CAD", "CHF", "CNY", "EUR", "GBP", "IDR", "INR", "JPY", "KRW", "MXN", "NZD", "PHP", "THB", "VND")
_PAUSE = 0.02
_PATIENCE = 90.0


class HopProcess:
    """One process of the hop."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._ready: dict[str, bool] = {}
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            self._ready = json.loads(line)

    def kill(self) -> None:
        """kill -9."""
        if self._process.returncode is None:
            self._process.kill()

    async def gone(self) -> None:
        """Wait for its end."""
        await self._process.wait()
        self._listening.cancel()

    async def says(self, **wanted: bool) -> None:
        """Wait until it is ready, or not, for each of these things."""
        await until(lambda: wanted.items() <= self._ready.items())

    async def ready(self) -> None:
        """Wait until it is ready for everything."""
        await until(lambda: bool(self._ready) and all(self._ready.values()))

    async def logs(self, words: str) -> None:
        """Wait until it writes these words into its log, from now on."""
        begun = self._log.stat().st_size

        def there() -> bool:
            with self._log.open() as lines:
                lines.seek(begun)
                return words in lines.read()

        await until(there)


async def until(holds: Callable[..., bool | Coroutine[Any, Any, bool]], *values: object) -> None:
    """Wait until something holds of these values; fails after 90 s."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        result = holds(*values)
        if asyncio.iscoroutine(result):
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                result = await result
        if result is True:
            return
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come true")
        await asyncio.sleep(_PAUSE)


class World:
    """Made by `World.made()`."""

    def __init__(self, kafka: KafkaServer, postgres: PostgresServer, to_kafka: Proxy, to_postgres: Proxy, logs: Path) -> None:
        self.to_kafka = to_kafka
        self.to_postgres = to_postgres
        self._kafka = kafka
        self._postgres = postgres
        self._logs = logs
        self._looking: Any = None
        self._ends: Any = None
        self._processes: list[HopProcess] = []

    @classmethod
    @asynccontextmanager
    async def made(cls, logs: Path) -> AsyncIterator["World"]:
        """Broker, database and source, running; the hop's processes are started by `started`."""
        server = PostgresServer()
        async with Proxy() as to_kafka, Proxy(server.address) as to_postgres:
            kafka = KafkaServer(advertised=to_kafka.port)
            to_kafka.target = kafka.behind
            world = cls(kafka, server, to_kafka, to_postgres, logs)
            try:
                await asyncio.gather(asyncio.to_thread(server.start), asyncio.to_thread(kafka.start))
                topics.apply(kafka.address, [*TOPICS.values(), *CONTROL_TOPICS.values()])
                world._ends = AIOKafkaConsumer(bootstrap_servers=kafka.address)
                await world._ends.start()
                source = Source(server.dsn(), Broker(kafka.address, "", "real"))
                async with source.running():
                    announcing = asyncio.create_task(world._announce(source))
                    try:
                        yield world
                    finally:
                        announcing.cancel()
                        for process in world._processes:
                            process.kill()
                        for process in world._processes:
                            await process.gone()
            finally:
                if world._ends is not None:
                    await world._ends.stop()
                kafka.close()
                server.close()

    async def _announce(self, source: Source) -> None:
        """A rate of each currency, about four times a second."""
        while True:
            with contextlib.suppress(Exception):  # PostgreSQL may be away
                await source.emit(*map(rate, KEYS))
            await asyncio.sleep(0.25)

    async def started(self, instance: str, *, ready: bool = True) -> HopProcess:
        """A new process of the hop, through the proxies; with an `instance` it is a static member."""
        log = self._logs / f"{len(list(self._logs.iterdir()))}.log"
        log.touch()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.recovery_hop",
            self._postgres.dsn(port=self.to_postgres.port), self.to_kafka.address, SCHEMA, str(log), f"--instance={instance}",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._processes.append(hop := HopProcess(process, log))
        if ready:
            await hop.ready()
        return hop

    # faults ----------------------------------------------------------------------------------------------------------
    async def crash_postgres(self, away: float) -> None:
        """Stop it immediately, and start it after so many seconds."""
        await asyncio.to_thread(self._postgres.crash)
        await asyncio.sleep(away)
        await asyncio.to_thread(self._postgres.start)

    async def kill_kafka(self, away: float) -> None:
        """kill -9, and start it after so many seconds; returns when it leads its partitions."""
        await asyncio.to_thread(self._kafka.kill)
        await asyncio.sleep(away)
        await asyncio.to_thread(self._kafka.start)

    @asynccontextmanager
    async def silent(self, proxy: Proxy) -> AsyncIterator[None]:
        """Nothing comes through while the block runs."""
        await proxy.become(Mode.SILENT)
        try:
            yield
        finally:
            await proxy.become(Mode.PASS)

    # looking ---------------------------------------------------------------------------------------------------------
    async def _fetch(self, query: str, *values: object) -> list[Any]:
        if self._looking is None or self._looking.is_closed():
            self._looking = await asyncpg.connect(self._postgres.dsn(), server_settings={"search_path": SCHEMA})
        return await self._looking.fetch(query, *values)

    async def effects(self) -> int:
        """The number of the last effect."""
        return (await self._fetch("select coalesce(max(id), 0) from effect where topic = $1", RATES))[0][0]

    async def new_effect(self, before: int) -> bool:
        return await self.effects() > before

    async def last_of_each_key(self) -> dict[str, int]:
        """The last sequence of each key that took effect."""
        return dict(await self._fetch("select key, max(sequence) from effect where topic = $1 group by key", RATES))

    async def every_key_moved(self, before: dict[str, int]) -> bool:
        now = await self.last_of_each_key()
        return all(now.get(key, 0) > before.get(key, 0) for key in KEYS)

    async def sent(self) -> int:
        """How many records the hop's own topic has."""
        parts = [TopicPartition(NOTIFICATIONS, number) for number in range(TOPICS[NOTIFICATIONS].partitions)]
        return sum((await self._ends.end_offsets(parts)).values())

    async def more_sent(self, before: int) -> bool:
        return await self.sent() > before

    async def flowing(self) -> None:
        """Wait until things take effect one after the other."""
        for _ in range(3):
            before = await self.effects()
            await until(self.new_effect, before)

    async def flowing_everywhere(self) -> None:
        """The same for every key, and for what the hop announces."""
        for _ in range(2):
            keys, sent = await self.last_of_each_key(), await self.sent()
            await until(self.every_key_moved, keys)
            await until(self.more_sent, sent)
