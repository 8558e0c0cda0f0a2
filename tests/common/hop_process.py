"""The hop in a process of its own, served as a service is, to be stopped or killed: `python -m tests.common.hop_process NAME`.

The settings come from the environment. `--stand-still`: nothing ever arrives at its reader, which looks for that all the time.
"""

import argparse
import sys
from collections.abc import Collection
from functools import partial
from typing import Any

from aiokafka import TopicPartition
from fastapi import FastAPI

from common import serving
from common.messaging import lookout, subscription
from common.service import Service
from common.settings import Settings
from common.web import application as web
from tests.common.hop import HANDLERS, MIGRATIONS
from tests.faults.wrapping import replace


def create_app(name: str, settings: Settings) -> FastAPI:
    """The hop under this name, which is schema and group."""
    service = Service(name, settings, migrations=MIGRATIONS)
    service.on_events(HANDLERS)
    return web.application(service)


def stand_still() -> None:
    """Let the client behave as in aiokafka's issue 1154: it is a member of its group, and fetches nothing."""

    def without_fetching(right: Any) -> Any:
        async def assigned(stay: Any, parts: Collection[TopicPartition]) -> None:
            stay._subscriber.consumer.pause(*parts)
            await right(stay, parts)

        return assigned

    replace("common.messaging.stay:Stay.on_partitions_assigned", without_fetching)
    lookout._STUCK_AFTER, subscription._CHECK_EVERY = 0.2, 0.1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.common.hop_process", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--port", default="0", help="where it answers; 0 takes a free one")
    parser.add_argument("--stand-still", action="store_true")
    given = parser.parse_args()
    if given.stand_still:
        stand_still()
    sys.exit(serving.run(partial(create_app, given.name), Settings, ["--host=127.0.0.1", f"--port={given.port}"]))
