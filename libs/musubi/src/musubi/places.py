"""Where databases, broker and services are: where the environment says, else those of the Musubi that runs in the folder."""

import getpass
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from common.postgres import Database
from common.settings import ESCAPES, names_a_database
from musubi import roles, run_file
from musubi.advice import CannotGoOn
from musubi.database_words import in_words, in_words_beside_others


class Kafka(NamedTuple):
    """A broker's address; `incarnation` is the life of an embedded one, and empty on a real one."""

    address: str
    incarnation: str


def databases(folder: Path) -> Mapping[str, str]:
    """The address of each service's database: where the environment says, else that of the running Musubi. Raises
    `CannotGoOn`."""
    given = {name: database_said(name) for name in roles.SERVICES}
    if all(given.values()):
        return given
    return _running(folder, "MUSUBI_POSTGRES").postgres


def database_said(schema: str) -> str:
    """Where the environment says that a schema is: `MUSUBI_POSTGRES_NEEDS` and so on, each with a role of its own, else
    `MUSUBI_POSTGRES`; empty where it says nothing. Raises `CannotGoOn` where it cannot be read."""
    return address_in(database_variable(schema))


def address_in(variable: str) -> str:
    """The address of a database that this variable says, if any. Raises `CannotGoOn` where it cannot be read."""
    said = os.environ.get(variable, "")
    if said and not names_a_database(said):
        raise CannotGoOn(f"{variable} cannot be read as an address. Write it anew: {ESCAPES}.")
    return said


def database_variable(schema: str) -> str:
    """The variable that says where a schema is; where none does, the one that may for all."""
    own = f"MUSUBI_POSTGRES_{schema.upper()}"
    return own if os.environ.get(own) else "MUSUBI_POSTGRES"


def service_said(service: str) -> str:
    """Where the environment says that a service itself answers, not a proxy before it, such as http://needs:8000; else empty."""
    return os.environ.get(service_variable(service), "").rstrip("/")


def service_variable(service: str) -> str:
    """The variable that says so."""
    return f"MUSUBI_URL_{service.upper()}"


def kafka(folder: Path) -> Kafka:
    """The broker: `MUSUBI_KAFKA`, else that of the running Musubi. Raises `CannotGoOn`."""
    given = os.environ.get("MUSUBI_KAFKA")
    if given:
        return Kafka(given, "")
    running = _running(folder, "MUSUBI_KAFKA")
    return Kafka(running.kafka, running.incarnation)


def _running(folder: Path, variable: str) -> run_file.Running:
    running = run_file.find(folder)
    if running is None:
        raise CannotGoOn(f"Nothing runs in {folder}. Start it with `musubi up`, say where it runs (--folder), or set {variable}.")
    return running


def known(services: Sequence[str]) -> tuple[str, ...]:
    """These services, or all; raises `CannotGoOn` for one that there is not."""
    if unknown := sorted(set(services) - set(roles.SERVICES)):
        raise CannotGoOn(f"There is no service {', '.join(unknown)}. There are {', '.join(roles.SERVICES)}.")
    return tuple(services) or roles.SERVICES


@asynccontextmanager
async def opened(dsn: str, service: str) -> AsyncIterator[Database]:
    """A service's database while the block runs, which speaks to nothing else; raises like `using`."""
    with in_words(service, database_variable(service)):
        async with using(Database(dsn, service, connections=1)) as database:
            yield database


@asynccontextmanager
async def using(database: Database) -> AsyncIterator[Database]:
    """Open this database while the block runs. Raises `CannotGoOn` where it does not answer or lacks its tables."""
    variable = database_variable(database.schema)
    with in_words_beside_others(database.schema, variable):
        try:
            with in_words(database.schema, variable):
                await database.open()
            yield database
        finally:
            await database.close()


def actor() -> str:
    """Who acts, as the audit names it: whom MUSUBI_OPERATOR names, else the operating system's user. In a container that is the
    same for everybody."""
    if named := os.environ.get("MUSUBI_OPERATOR", "").strip():
        return f"{named} (command line)"
    try:
        return f"{getpass.getuser()} (command line)"
    except (OSError, KeyError):  # a user without a name, as in some containers
        return f"user {os.getuid()} (command line)"
