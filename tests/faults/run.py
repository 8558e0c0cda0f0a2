"""One service, as in production, with places where it can be made to die, hang or be wrong about the time.

`python -m tests.faults.run SERVICE --port N --crash-at POINT[,nth[,step]] --bug NAME`; the settings come from the environment.
SERVICE `all` is the one-machine mode: all services and the embedded broker in one process. Nothing in the product knows of this.
"""

import argparse
import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from common import garbage
from common.contracts.registry import CONTROL_TOPICS
from common.messaging import consumer
from musubi.dispatcher import OneOrigin
from musubi.embedded_kafka import EmbeddedBroker
from musubi.lifespans import side_by_side
from notify.settings import NotifySettings
from tests import chain
from tests.faults import bugs, counter, tally
from tests.faults.crash_points import CRASH_POINTS, Trigger, wrap
from tests.faults.orders import Clock, Order, follow, write

MAKERS: Mapping[str, Callable[..., FastAPI]] = {**chain.MAKERS, "counter": counter.create_app, "tally": tally.create_app}
READ_TOPICS = tuple(counter.TOPICS.values())
ALL_TOPICS = (*READ_TOPICS, *CONTROL_TOPICS.values())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("service", choices=[*MAKERS, "all"])
    parser.add_argument("--port", type=int, default=0, help="where it answers; 0 takes a free one")
    parser.add_argument("--crash-at", metavar="POINT[,nth[,step]]", type=Order.read, help="kill -9 of itself at that point")
    parser.add_argument("--bug", action="append", default=[], choices=sorted(bugs.BUGS), help="plant this mistake")
    parser.add_argument("--orders", type=Path, help="a file with orders that come while it runs")
    parser.add_argument("--notes", type=Path, help="a file to which is written what was done of them")
    parser.add_argument("--told", type=Path, help="a file to write the broker's address to (`all` only)")
    parser.add_argument("--handler-seconds", type=int, default=consumer.HANDLER_SECONDS, help="the deadline of a handler")
    parser.add_argument("--at-most", type=int, default=7200, help="it ends after so many seconds, whoever forgot it")
    given = parser.parse_args()
    if given.crash_at and given.crash_at.point not in CRASH_POINTS:
        parser.error(f"no point of that name; known are {', '.join(CRASH_POINTS)}")
    return given


def _end_with_our_parent() -> None:
    """Who kills the campaign with -9 must not leave its processes behind (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


async def _run(given: argparse.Namespace) -> None:
    makers = {name: make for name, make in MAKERS.items() if given.service in ("all", name)}
    trigger, clock = Trigger(given.notes), Clock()
    for name in given.bug:
        bugs.plant(name)
    for point in CRASH_POINTS.values():
        wrap(point, trigger)
    consumer.HANDLER_SECONDS = given.handler_seconds
    trigger.order = given.crash_at
    garbage.collect_seldom()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    following = asyncio.create_task(follow(given.orders, trigger.take, clock)) if given.orders else None
    try:
        with _settings(given) as settings, _listening(given.port) as listening:
            apps = {name: make(settings, clock=clock) for name, make in makers.items()}
            async with _served(apps, listening):
                print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
                await stop.wait()
    finally:
        if following:
            following.cancel()


@contextlib.contextmanager
def _settings(given: argparse.Namespace) -> Iterator[NotifySettings]:
    """The settings; on one machine with a new life of the embedded broker."""
    if given.service != "all":
        yield NotifySettings.read()
        return
    broker = EmbeddedBroker.with_topics((topic.name, topic.partitions) for topic in ALL_TOPICS)
    try:
        os.environ |= {"MUSUBI_KAFKA": broker.address, "MUSUBI_INCARNATION": broker.incarnation}
        if given.told:
            write(given.told, broker.address)
        yield NotifySettings.read()
    finally:
        broker.stop()


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
        yield listening


class _Server(uvicorn.Server):
    """Without uvicorn's own handling of signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _served(apps: dict[str, FastAPI], listening: socket.socket) -> AsyncIterator[None]:
    app = OneOrigin(apps) if len(apps) > 1 else next(iter(apps.values()))
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=3)
    server = _Server(config)
    async with side_by_side(partial(app.router.lifespan_context, app) for app in apps.values()):
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving


if __name__ == "__main__":
    _end_with_our_parent()
    arguments = _arguments()
    signal.alarm(arguments.at_most)
    asyncio.run(_run(arguments))
    sys.exit(0)
