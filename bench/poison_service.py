"""The service of `bench.poison` in a process of its own: the counting one of the fault tests, which also says in PostgreSQL, to
whoever listens, which effects were committed.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from common.garbage import collect_seldom
from common.messaging.consumer import Arrived
from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from common.transaction import Transaction
from tests.faults import counter
from tests.faults.counter import Number, NumberSaid

SCHEMA = "counter"
CHANNEL = "effects"
_MOST_NUMBERS = 500
"""A notification holds 8,000 bytes."""


async def count(arrived: Sequence[Arrived[Number]], tx: Transaction) -> None:
    """Record each effect, announce one event for each, and let it be known with the commit."""
    await counter.count(arrived, tx)
    numbers = [one.data.number for one in arrived]
    for begin in range(0, len(numbers), _MOST_NUMBERS):
        await tx.execute("select pg_notify($1, $2)", CHANNEL, json.dumps(numbers[begin : begin + _MOST_NUMBERS]))


async def main(settings: Settings, telemetry: Telemetry) -> None:
    """Run until killed; says on standard output when it is ready."""
    service = Service(SCHEMA, settings, migrations=counter.MIGRATIONS, telemetry=telemetry)
    service.on_events({NumberSaid: count}, facts=counter.FACTS, topics=counter.TOPICS)
    async with service.lifespan():
        while not all(service.readiness().values()):  # noqa: ASYNC110  it is polled by design
            await asyncio.sleep(0.05)
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    for argument in ("postgres", "kafka"):
        options.add_argument(argument)
    options.add_argument("log", type=Path)
    given = options.parse_args()
    what = Settings(postgres=given.postgres, kafka=given.kafka, migrate=True)
    collect_seldom()
    with given.log.open("a") as log:
        asyncio.run(main(what, Telemetry(SCHEMA, log_to=log)))
