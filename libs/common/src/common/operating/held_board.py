"""How many records each service holds back: every service says its own number on a board in the shared schema `identity`, and the
pages of all services show them to operators. Only numbers are there; no service reads another's tables.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from common.operating.held import Amount, amount
from common.postgres import Database
from common.transaction import Transaction


class Everywhere(NamedTuple):
    """What all services hold, by name, each as it last said; the sum, and where to look first."""

    by_service: dict[str, Amount]

    @property
    def amount(self) -> int:
        return sum(held.amount for held in self.by_service.values())

    @property
    def where(self) -> str:
        """The service whose oldest record has waited longest; the one that was asked where nothing is held."""
        waiting = {name: held.oldest for name, held in self.by_service.items() if held.oldest}
        return min(waiting, key=lambda name: waiting[name]) if waiting else next(iter(self.by_service))


async def everywhere(tx: Transaction, own: str) -> Everywhere:
    """What each service holds: the service `own` first and as it is now, the others as they last said.

    A service may say any name, and the name leads somewhere: what is none, such as "/elsewhere.example", is left out."""
    rows = await tx.fetch(
        """select service, amount, oldest from identity.held_records
        where service <> $1 and service ~ '^[a-z][a-z0-9_-]*$' order by 1""",
        own,
    )
    return Everywhere({own: await amount(tx), **{row["service"]: Amount(row["amount"], row["oldest"]) for row in rows}})


def tell_how_many(database: Database, service: str) -> Callable[[], Awaitable[bool]]:
    """A background step that says on the board how many records this service holds, whenever that has changed."""
    told: Amount | None = None

    async def step() -> bool:
        nonlocal told
        async with database.transaction() as tx:
            now = await amount(tx)
            if now == told or await tx.fetchval("select to_regnamespace('identity') is null"):
                return False
            await tx.execute("select identity.say_held($1, $2, $3, $4)", service, now.amount, now.oldest, tx.now)
        told = now
        return False

    return step
