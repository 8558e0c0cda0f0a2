"""`musubi migrate`: brings the schemas of `MUSUBI_POSTGRES` up to date, before the services of a deployment start."""

import asyncio
import os
from collections.abc import Sequence
from importlib.resources import files

from common import migrate
from common.access import identity
from musubi import roles
from musubi.advice import CannotGoOn


def run(services: Sequence[str]) -> int:
    """Apply what is missing to the named services' schemas, or to all and identity, and print each file that was applied."""
    dsn = os.environ.get("MUSUBI_POSTGRES")
    if not dsn:
        raise CannotGoOn("MUSUBI_POSTGRES is missing. Set it to where PostgreSQL is, such as postgresql://user@host/musubi.")
    if unknown := set(services) - {*roles.SERVICES, roles.IDENTITY}:
        known = ", ".join((*roles.SERVICES, roles.IDENTITY))
        raise CannotGoOn(f"There is no service {', '.join(sorted(unknown))}. There are {known}.")
    asyncio.run(_apply(dsn, services or (roles.IDENTITY, *roles.SERVICES)))
    return 0


async def _apply(dsn: str, schemas: Sequence[str]) -> None:
    messaging = files("common").joinpath("migrations", "messaging")
    for schema in schemas:
        if schema == roles.IDENTITY:
            await identity.prepare(dsn)
            print("identity: up to date")
            continue
        folders = {"messaging": messaging, schema: files(schema).joinpath("migrations")}
        applied = await migrate.apply(dsn, schema, folders)
        print(f"{schema}: {', '.join(applied) or 'up to date'}")
