"""Runs one service as a process of its own: settings from the environment, HTTP on one port, until SIGTERM.

`python -m needs` calls it, and so does each container. Access is written down by whoever stands before it (proxy, Ingress).
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import uvicorn
from fastapi import FastAPI

from common.garbage import collect_seldom
from common.settings import Settings, Unconfigured

EVERYWHERE, PORT = "0.0.0.0", 8000
LAST_REQUESTS_SECONDS = 5
"""So long requests under way may take at the end; then the service itself stops (`common.service.STOP_SECONDS`)."""
KEPT_OPEN_SECONDS = 75
"""Longer than proxies keep an idle connection (60 s), or one of them would send a request into a connection just closed."""

_Settings = TypeVar("_Settings", bound=Settings)


def run(create_app: Callable[[_Settings], FastAPI], settings: type[_Settings], arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code, 2 where the environment lacks something."""
    options = _options(arguments)
    try:
        app = create_app(settings.read())
    except Unconfigured as what:
        print(what, file=sys.stderr)
        return 2
    _tell_what_libraries_warn_of(app)
    collect_seldom()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=options.host,
            port=options.port,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who calls is known by cookie or key, never by what a header says of an address
            timeout_graceful_shutdown=LAST_REQUESTS_SECONDS,
            timeout_keep_alive=KEPT_OPEN_SECONDS,
        )
    )
    server.run()
    return 0 if server.started else 1


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
