"""The whole system with the outside world around it, made to be broken: every process that is killed comes back.

`real`: Kafka and PostgreSQL behind proxies, each service in processes of its own. `embedded`: everything in one process with the
embedded broker, as in the one-machine mode, and PostgreSQL beside it.
"""

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import asyncpg
import httpx

from musubi import topics
from tests.chain import partner_key
from tests.eventually import eventually
from tests.faults.mail_faults import MoodyMailbox, MoodyMailServer
from tests.faults.orders import Order, Orders, write
from tests.faults.run import ALL_TOPICS, MAKERS
from tests.faults.supervisor import Supervisor, Watched
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer
from tests.proxy import Proxy

Kind = Literal["real", "embedded"]
DATABASE = "musubi"
INSTANCES: Mapping[str, int] = {"needs": 1, "catalog": 1, "matching": 2, "notify": 2, "counter": 2, "tally": 1}
"""How many processes of each service a real house has."""
SMTP_SECONDS = 3
HANDLER_SECONDS = 5
"""The deadline of handlers here, instead of 30 s, so that one that hangs is seen soon."""
ROOT = Path(__file__).parent.parent.parent


@dataclass
class House:
    """What runs, and where. `postgres_dsn` and `kafka` are direct, past the proxies, for whoever checks."""

    kind: Kind
    folder: Path
    postgres: PostgresServer
    postgres_proxy: Proxy
    mailbox: MoodyMailbox
    origins: dict[str, str] = field(default_factory=dict)
    """Where each service takes requests; of several processes the first, see `all_origins`."""
    all_origins: dict[str, list[str]] = field(default_factory=dict)
    partner_key: str = ""
    kafka_server: KafkaServer | None = None
    kafka_proxy: Proxy | None = None
    supervisor: Supervisor = field(default_factory=Supervisor)
    services: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Which services each process has."""
    bugs: Sequence[str] = ()
    _orders: dict[str, Order] = field(default_factory=dict)
    _ahead: dict[str, float] = field(default_factory=dict)

    @property
    def postgres_dsn(self) -> str:
        return self.postgres.dsn(DATABASE)

    @property
    def kafka(self) -> str:
        """Where the broker answers just now; the embedded one has a new address in each life, and none before its first."""
        if self.kafka_server:
            return self.kafka_server.address
        told = self.folder / "kafka"
        return told.read_text() if told.exists() else ""

    @property
    def processes(self) -> dict[str, Watched]:
        """All processes by name, such as `matching-2`."""
        return self.supervisor.watched

    def order(self, process: str, point: str = "", *, nth: int = 1, step: int = 1, hang: float = 0) -> None:
        """Have a running process die (or hang) when it comes by that point for the nth time; no point takes the order back."""
        last = self._orders[process].number if process in self._orders else 0
        self._orders[process] = Order(point, nth, step, hang, number=last + 1)
        self._tell(process)

    def set_clock(self, ahead: float, *processes: str) -> None:
        """Let these processes (or all) believe that it is so many seconds later; it lasts, also over their restarts."""
        for process in processes or self.processes:
            self._ahead[process] = ahead
            self._tell(process)

    def _tell(self, process: str) -> None:
        orders = Orders(self._orders.get(process, Order("")), self._ahead.get(process, 0))
        write(self.folder / f"{process}.orders", orders.as_text())

    def notes(self, process: str) -> list[dict[str, Any]]:
        """What it did of what was ordered: the point, and how long it hung."""
        path = self.folder / f"{process}.notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    async def ready(self, *, within: float = 60) -> None:
        """Wait until every process says that it is ready."""
        async with httpx.AsyncClient(timeout=3) as http:

            async def unready() -> list[str]:
                found = []
                for service, origins in self.all_origins.items():
                    for origin in origins:
                        try:
                            answer = await http.get(f"{origin}/api/{service}/readyz")
                        except httpx.TransportError as error:
                            found.append(f"{service} at {origin}: {error!r}")
                        else:
                            if answer.status_code != 200:
                                found.append(f"{service} at {origin}: {answer.text[:200]}")
                return found

            await eventually(unready, lambda found: not found, within=within, every=0.2, what="all processes to be ready")

    def _run(self, name: str, service: str, port: int, environment: Mapping[str, str]) -> None:
        command = [
            sys.executable, "-m", "tests.faults.run", service, f"--port={port}", f"--orders={self.folder / f'{name}.orders'}",
            f"--notes={self.folder / f'{name}.notes'}", f"--told={self.folder / 'kafka'}",
            f"--handler-seconds={HANDLER_SECONDS}", *(f"--bug={bug}" for bug in self.bugs),
        ]  # fmt: skip
        self.services[name] = tuple(MAKERS) if service == "all" else (service,)
        for one in self.services[name]:
            self.all_origins.setdefault(one, []).append(f"http://127.0.0.1:{port}")
            self.origins.setdefault(one, f"http://127.0.0.1:{port}")
        self.supervisor.add(Watched(name, command, {**environment, "MUSUBI_INSTANCE": name}, self.folder / f"{name}.log"))


@asynccontextmanager
async def house(
    kind: Kind, folder: Path, *, instances: Mapping[str, int] = INSTANCES, bugs: Sequence[str] = (), fsync: bool = True
) -> AsyncIterator[House]:
    """Everything running and ready, in a folder of its own; everything ended and gone afterwards, except for the logs there.

    Raises `tests.kafka_server.NoKafka` where a real one cannot be had."""
    async with AsyncExitStack() as stack:
        stack.enter_context(_ended_by_signals())
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        postgres = PostgresServer({"max_connections": "300", "fsync": "on" if fsync else "off"})
        stack.callback(postgres.close)
        await asyncio.to_thread(postgres.start)
        await _prepare(postgres)
        postgres_proxy = await stack.enter_async_context(Proxy(postgres.address))
        server = MoodyMailServer(_free_port())
        mailbox = server.start()
        stack.callback(server.stop)
        made = House(kind, folder, postgres, postgres_proxy, mailbox, bugs=bugs)
        made.partner_key = await partner_key(made.postgres_dsn)
        stack.push_async_callback(made.supervisor.stop)
        if kind == "real":
            await _add_kafka(made, stack)
            for service, count in instances.items():
                for number in range(1, count + 1):
                    made._run(f"{service}-{number}", service, _lasting_port(), _environment(made))
        else:
            made._run("all", "all", _lasting_port(), _environment(made))
        await made.ready()
        yield made


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end the house as Ctrl-C does: everything is ended, nothing is left behind."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


async def _prepare(postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    try:
        await connection.execute(f"create database {DATABASE}")
    finally:
        await connection.close()


async def _add_kafka(made: House, stack: AsyncExitStack) -> None:
    proxy = await stack.enter_async_context(Proxy())
    made.kafka_proxy, made.kafka_server = proxy, KafkaServer(advertised=proxy.port)
    stack.callback(made.kafka_server.close)
    await asyncio.to_thread(made.kafka_server.start)
    proxy.target = made.kafka_server.behind
    await asyncio.to_thread(topics.apply, made.kafka_server.address, ALL_TOPICS)


def _environment(made: House) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MUSUBI_")}
    return environment | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), environment.get("PYTHONPATH")))),
        "MUSUBI_POSTGRES": made.postgres.dsn(DATABASE, port=made.postgres_proxy.port),
        "MUSUBI_KAFKA": made.kafka_proxy.address if made.kafka_proxy else "",
        "MUSUBI_MIGRATE": "true",
        "MUSUBI_LOCAL_SIGN_IN": "true",
        "MUSUBI_LOG_LEVEL": "WARNING",
        "MUSUBI_SMTP_HOST": made.mailbox.host,
        "MUSUBI_SMTP_PORT": str(made.mailbox.port),
        "MUSUBI_SMTP_TIMEOUT": str(SMTP_SECONDS),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


_given: set[int] = set()


def _lasting_port() -> int:
    """A free port that stays free while its process is down: below those that the system gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
