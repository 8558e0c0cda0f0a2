"""Gives a partner's system a key with which it may send events, and takes it away again: `musubi partner`."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from common.access import identity
from common.clock import utc_now
from musubi import places, roles, run_file
from musubi.advice import CannotGoOn
from musubi.database_words import in_words

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")


def add(folder: Path, partner: str, name: str) -> int:
    """The command `musubi partner add`: prints a new key, alone on standard output. Only its hash is kept."""
    if not _ID.fullmatch(partner):
        raise CannotGoOn(
            f"{partner} is no id for a partner. Use small letters, digits, dots and dashes, such as city-of-kamakura."
        )
    print(asyncio.run(new_key(identity_address(folder), partner, name or partner)))
    print(f"This is the key of {partner}. It is not shown again.", file=sys.stderr)
    return 0


def revoke(folder: Path, key: str) -> int:
    """The command `musubi partner revoke`; the key may come from standard input, where other users cannot see it."""
    key = sys.stdin.readline().strip() if key == "-" else key
    if not asyncio.run(_revoke(identity_address(folder), key)):
        raise CannotGoOn("There is no such key. Nothing was changed.")
    print("This key is worth nothing any more.")
    return 0


async def new_key(dsn: str, partner: str, name: str) -> str:
    """A key of this partner, who is recorded with this name; `dsn` is that of the owner of the schema `identity`."""
    async with writing_identity(dsn) as tx:
        await identity.record_organisation(tx, partner, "partner", {"en": name}, now=utc_now())
        return await identity.create_api_key(tx, partner, now=utc_now())


async def _revoke(dsn: str, key: str) -> bool:
    async with writing_identity(dsn) as tx:
        return await identity.revoke_api_key(tx, key, now=utc_now())


def identity_address(folder: Path) -> str:
    """Where the schema `identity` is: where the environment says, else that of the running Musubi. Raises `CannotGoOn`."""
    said = places.database_said(roles.IDENTITY)
    running = None if said else run_file.find(folder)
    if not said and running is None:
        raise CannotGoOn(f"Nothing runs in {folder}. Start it with `musubi up`, or set MUSUBI_POSTGRES_IDENTITY.")
    return said or (running.postgres[roles.IDENTITY] if running else "")


@asynccontextmanager
async def writing_identity(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """`identity.writing`, where what can be mended is said in words."""
    with in_words(roles.IDENTITY, places.database_variable(roles.IDENTITY)):
        async with identity.writing(dsn) as tx:
            yield tx
