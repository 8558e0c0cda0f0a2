"""`musubi migrate`: brings the schemas up to date, before the services of a deployment start."""

import asyncio
from collections.abc import Mapping, Sequence
from importlib.resources import files

from common import migrate
from common.access import identity
from musubi import places, roles
from musubi.advice import CannotGoOn
from musubi.database_words import in_words


def run(services: Sequence[str]) -> int:
    """Apply what is missing to the named services' schemas, or to all and identity, and print each file that was applied."""
    if unknown := set(services) - {*roles.SERVICES, roles.IDENTITY}:
        known = ", ".join((*roles.SERVICES, roles.IDENTITY))
        raise CannotGoOn(f"There is no service {', '.join(sorted(unknown))}. There are {known}.")
    addresses = {schema: places.database_said(schema) for schema in services or (roles.IDENTITY, *roles.SERVICES)}
    if not all(addresses.values()):
        raise CannotGoOn("MUSUBI_POSTGRES is missing. Set it to where PostgreSQL is, such as postgresql://user@host/musubi.")
    asyncio.run(_apply(addresses))
    return 0


async def _apply(addresses: Mapping[str, str]) -> None:
    for schema, dsn in addresses.items():
        with in_words(schema, places.database_variable(schema)):
            applied = await migrate.apply(dsn, schema, folders(schema))
        print(f"{schema}: {', '.join(applied) or 'up to date'}")


def folders(schema: str) -> Mapping[str, migrate.Folder]:
    """Where the migrations of a service's schema, or of identity's, are."""
    if schema == roles.IDENTITY:
        return identity.folders()
    messaging = files("common").joinpath("migrations", "messaging")
    return {"messaging": messaging, schema: files(schema).joinpath("migrations")}
