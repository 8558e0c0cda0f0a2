"""The relay of the `source` in a process of its own, made to be killed: `python -m tests.common.relay_process DSN KAFKA`."""

import asyncio
import sys

from common.messaging.broker import Broker
from common.messaging.relay import Relay
from common.telemetry import Telemetry


async def main(postgres: str, kafka: str) -> None:
    """Run until killed."""
    await Relay(postgres, "source", Broker(kafka), Telemetry("source", log_level="ERROR")).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
