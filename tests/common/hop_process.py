"""The hop in a process of its own, made to be killed: `python -m tests.common.hop_process DSN KAFKA NAME`."""

import asyncio
import sys

from common.service import Service
from common.telemetry import Telemetry
from tests.brokers import Broker
from tests.common.hop import HANDLERS, MIGRATIONS, settings


async def main(postgres: str, kafka: str, name: str) -> None:
    """Run until killed."""
    broker = Broker(kafka, "", "real")
    service = Service(name, settings(postgres, broker), migrations=MIGRATIONS, telemetry=Telemetry(name, log_level="ERROR"))
    service.on_events(HANDLERS)
    async with service.lifespan():
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
