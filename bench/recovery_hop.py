"""The hop of `bench.recovery` in a process of its own, made to be killed; says on its standard output what it is ready for."""

import argparse
import asyncio
import json
from pathlib import Path

from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from tests.common.hop import HANDLERS, MIGRATIONS


async def main(settings: Settings, name: str, telemetry: Telemetry) -> None:
    """Run until killed."""
    service = Service(name, settings, migrations=MIGRATIONS, telemetry=telemetry)
    service.on_events(HANDLERS)
    async with service.lifespan():
        said = ""
        while True:
            if (now := json.dumps(service.readiness())) != said:
                said = now
                print(now, flush=True)
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    for argument in ("postgres", "kafka", "name"):
        options.add_argument(argument)
    options.add_argument("log", type=Path)
    options.add_argument("--instance", default="")
    given = options.parse_args()
    what = Settings(postgres=given.postgres, kafka=given.kafka, migrate=True, instance=given.instance)
    with given.log.open("a") as log:
        asyncio.run(main(what, given.name, Telemetry(given.name, log_level="INFO", log_to=log)))
