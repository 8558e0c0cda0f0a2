"""Runs one service as a process of its own: settings from the environment, HTTP on one port, until SIGTERM.

`python -m needs` calls it, and so does each container. Access is written down by whoever stands before it (proxy, Ingress).
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import uvicorn
from fastapi import FastAPI

from common.garbage import collect_seldom
from common.migrate import ChangedMigration
from common.service import CannotStart
from common.settings import Settings, Unconfigured

EVERYWHERE, PORT = "0.0.0.0", 8000
LAST_REQUESTS_SECONDS = 5
"""So long requests under way may take at the end; then the service itself stops (`common.service.STOP_SECONDS`)."""
KEPT_OPEN_SECONDS = 75
"""Longer than proxies keep an idle connection (60 s), or one of them would send a request into a connection just closed."""

_Settings = TypeVar("_Settings", bound=Settings)


def run(create_app: Callable[[_Settings], FastAPI], settings: type[_Settings], arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code: 2 where the environment lacks something, 1 where the start fails."""
    options = _options(arguments)
    try:
        app = create_app(settings.read())
    except Unconfigured as what:
        print(what, file=sys.stderr)
        return 2
    _tell_what_libraries_warn_of(app)
    collect_seldom()
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        lifespan="off",  # `_serve` sees to it
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who calls is known by cookie or key, never by what a header says of an address
        timeout_graceful_shutdown=LAST_REQUESTS_SECONDS,
        timeout_keep_alive=KEPT_OPEN_SECONDS,
    )
    log = app.state.service.telemetry.log
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(app, Server(config)))
    except asyncio.CancelledError:  # told to stop before it had begun
        return 0
    except (CannotStart, ChangedMigration) as error:
        log.error("cannot start: %s", error)
        return 1
    except Exception:
        log.exception("ended by an error")
        return 1
    return 0


class Server(uvicorn.Server):
    """uvicorn takes signals and raises them again at its end; here whoever runs it hears them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def _serve(app: FastAPI, server: Server) -> None:
    """Start the service, answer requests, stop the service. It can be told to stop at any time, also while it still waits for its
    database: uvicorn would hear that only when the start is over."""
    starting = asyncio.current_task()

    def stop(number: int) -> None:
        if starting is None:
            server.handle_exit(number, None)
        elif not starting.cancelling():
            starting.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    async with app.router.lifespan_context(app):
        starting = None
        await server.serve()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One Musubi service. Its settings are environment variables, MUSUBI_….")
    parser.add_argument("--host", default=EVERYWHERE, help=f"default: {EVERYWHERE}, every network of this machine or container")
    parser.add_argument("--port", type=int, default=PORT, help=f"default: {PORT}")
    return parser.parse_args(arguments)


def _tell_what_libraries_warn_of(app: FastAPI) -> None:
    """As lines of JSON like our own: the process belongs to this one service."""
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in app.state.service.telemetry.log.handlers:
        root.addHandler(handler)
