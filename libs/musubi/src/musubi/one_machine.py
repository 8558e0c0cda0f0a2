"""The one-machine mode: database, broker and the four services in this process, on one origin of the loopback interface."""

import asyncio
import contextlib
import errno
import importlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import uvicorn
from fastapi import FastAPI

from common import service
from common.access import identity
from common.clock import utc_now
from common.garbage import collect_seldom
from common.migrate import ChangedMigration
from common.serving import Server
from common.settings import KafkaSettings, Settings
from common.telemetry import Telemetry
from musubi import embedded_postgres, places, roles, run_file, topics
from musubi.advice import CannotGoOn
from musubi.database_words import in_words
from musubi.dispatcher import OneOrigin
from musubi.embedded_kafka import EmbeddedBroker
from musubi.lifespans import side_by_side
from musubi.run_file import Running
from notify.settings import NotifySettings

LOOPBACK = "127.0.0.1"
PARTNER = "local"
PARTNER_NAMES = {"en": "This machine", "ja": "この端末"}
GRACE_SECONDS = 5


class CannotStart(CannotGoOn):
    """The one-machine mode cannot start; the text says what to do."""


class Databases(NamedTuple):
    """The address of the database for each service and for identity, each as its own role."""

    by_name: dict[str, str]
    server_pid: int | None

    @property
    def identity(self) -> str:
        return self.by_name[roles.IDENTITY]


class Kafka(NamedTuple):
    """Where the broker is; `incarnation` is empty on a real one."""

    address: str
    incarnation: str


@dataclass
class OneMachine:
    """Everything running. `seconds` says how long each part of the start took."""

    folder: Path
    address: str
    key: str
    databases: Databases
    kafka: Kafka
    serving: "asyncio.Task[None]"
    seconds: dict[str, float] = field(default_factory=dict)

    async def until_it_ends(self) -> None:
        """Stay until somebody cancels us (Ctrl-C) or the web server gives up."""
        await asyncio.shield(self.serving)


@asynccontextmanager
async def running(folder: Path, port: int) -> AsyncIterator[OneMachine]:
    """Run everything while the block runs; port 0 takes a free one. What is stored in `folder` is there again next time.

    `folder` is absolute. Raises `CannotStart`, `FolderInUse` or `PostgresDidNotStart` with advice."""
    begun = time.monotonic()
    seconds: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        stack.enter_context(run_file.held(folder))
        log = stack.enter_context(_log_file(folder))
        listener = stack.enter_context(_listening(port))
        databases = await stack.enter_async_context(_databases(folder))
        seconds["postgres"] = time.monotonic() - begun
        kafka = stack.enter_context(_kafka())
        address = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        key = await stack.enter_async_context(_partner_key(folder, databases.identity))
        apps = _applications(databases, kafka, address, folder, log)
        collect_seldom()
        try:
            await stack.enter_async_context(side_by_side(partial(app.router.lifespan_context, app) for app in apps.values()))
        except ChangedMigration as error:
            advice = f"The data in {folder} belongs to another version of Musubi ({error}). Use another folder: --folder FOLDER."
            raise CannotStart(advice) from error
        except service.CannotStart as error:
            raise CannotStart(str(error)) from error
        serving = await stack.enter_async_context(_serving(OneOrigin(apps), listener))
        run_file.write(folder, Running(address, os.getpid(), kafka.incarnation, key, databases.by_name, kafka.address))
        stack.callback(run_file.remove, folder)
        seconds["ready"] = time.monotonic() - begun
        yield OneMachine(folder, address, key, databases, kafka, serving, seconds)


@asynccontextmanager
async def _databases(folder: Path) -> AsyncIterator[Databases]:
    """The database that `MUSUBI_POSTGRES` names, else the embedded one; identity's schema is up to date."""
    given = places.address_in("MUSUBI_POSTGRES")
    if given:
        databases = Databases(dict.fromkeys((*roles.SERVICES, roles.IDENTITY), given), None)
        with in_words(roles.IDENTITY, places.database_variable(roles.IDENTITY)):
            await identity.prepare(databases.identity)
        yield databases
        return
    server = embedded_postgres.start(folder / "postgres")
    try:
        await roles.prepare(server.dsn(), server.dsn(roles.DATABASE))
        by_name = {name: server.dsn(roles.DATABASE, name) for name in (*roles.SERVICES, roles.IDENTITY)}
        databases = Databases(by_name, server.pid())
        await identity.prepare(databases.identity)
        yield databases
    finally:
        await asyncio.to_thread(server.stop)


@contextmanager
def _kafka() -> Iterator[Kafka]:
    """The broker that `MUSUBI_KAFKA` names, with the registry's topics, else the embedded one."""
    given = os.environ.get("MUSUBI_KAFKA")
    if given:
        topics.apply(given, login=KafkaSettings.read().kafka_login)
        yield Kafka(given, "")
        return
    broker = EmbeddedBroker.with_topics((topic.name, topic.partitions) for topic in topics.ALL_TOPICS)
    try:
        yield Kafka(broker.address, broker.incarnation)
    finally:
        broker.stop()


@asynccontextmanager
async def _partner_key(folder: Path, identity_dsn: str) -> AsyncIterator[str]:
    """The key with which this machine's commands publish. It is new at every start and worth nothing after the end."""
    left_behind = run_file.read(folder)
    async with identity.writing(identity_dsn) as tx:
        if left_behind:  # by a process that was killed
            await identity.revoke_api_key(tx, left_behind.key, now=utc_now())
        await identity.record_organisation(tx, PARTNER, "partner", PARTNER_NAMES, now=utc_now())
        key = await identity.create_api_key(tx, PARTNER, now=utc_now())
    yield key
    async with identity.writing(identity_dsn) as tx:
        await identity.revoke_api_key(tx, key, now=utc_now())


def _applications(databases: Databases, kafka: Kafka, address: str, folder: Path, log: TextIO) -> dict[str, FastAPI]:
    """The four services, each with its own settings; nothing is opened yet."""
    apps = {}
    for name in roles.SERVICES:
        # What is not said here comes from the environment: MUSUBI_SMTP_HOST, MUSUBI_OTLP_ENDPOINT, …
        said: dict[str, Any] = {
            "postgres": databases.by_name[name],
            "kafka": kafka.address,
            "incarnation": kafka.incarnation,
            "public_origin": address,
            "local_sign_in": True,
            "identity_postgres": databases.identity,
            "migrate": True,
        }
        settings = NotifySettings.read(**said, mail_folder=_mail_folder(folder)) if name == "notify" else Settings.read(**said)
        telemetry = Telemetry.of(name, settings, log_to=log)
        apps[name] = importlib.import_module(f"{name}.app").create_app(settings, telemetry=telemetry)
    return apps


@asynccontextmanager
async def _serving(app: OneOrigin, listener: socket.socket) -> AsyncIterator["asyncio.Task[None]"]:
    """Answer HTTP while the block runs; requests under way at the end get a few seconds."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False, proxy_headers=False)
    config.timeout_graceful_shutdown = GRACE_SECONDS
    server = Server(config)
    task = asyncio.create_task(server.serve([listener]))  # it listens already: who connects now is answered in a moment
    try:
        yield task
    finally:
        server.should_exit = True
        await task


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise CannotStart(
                f"Port {port} is taken by another program, or not ours to take. Use another: --port 0 takes a free one."
            ) from None
        listener.listen(128)
        yield listener


@contextmanager
def _log_file(folder: Path) -> Iterator[TextIO]:
    """The services' lines of JSON, and in the same form what libraries warn of, go to a file that its owner alone can read; the
    terminal is for people."""
    path = folder / "musubi.log"
    path.touch(mode=0o600)
    path.chmod(0o600)  # also where another version made it
    with path.open("a", encoding="utf-8") as log:
        handlers = Telemetry("musubi", log_to=log).log.handlers
        root = logging.getLogger()
        for handler in handlers:
            handler.setLevel(logging.WARNING)
            root.addHandler(handler)
        try:
            yield log
        finally:
            for handler in handlers:
                root.removeHandler(handler)
            with contextlib.suppress(ValueError):
                log.flush()


def _mail_folder(folder: Path) -> Path:
    """Where mails go that only their owner can read, also where another version made it."""
    mails = folder / "mails"
    mails.mkdir(mode=0o700, exist_ok=True)
    mails.chmod(0o700)
    return mails
