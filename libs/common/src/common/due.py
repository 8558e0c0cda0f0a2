"""What has to be done at a certain time: written in the transaction that creates the duty, run when its time has come.

Nothing else schedules. The clock is the transaction's, so a test moves time by moving the clock.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

from opentelemetry.trace import SpanKind

from common import telemetry
from common.postgres import Database
from common.telemetry import Telemetry
from common.transaction import Transaction

_RETRY_SECONDS = (1, 5, 30, 120, 600)
_RETRY_LATER_SECONDS = 3600
_DUTY_LOCK = 0x64757479
_LOOKED_AT = 16
"""So many duties are looked at for one that nobody works on: as many processes as can usefully share the work."""


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do. `id` is the same again when it has to be run again: uuid5(key, kind, at)."""

    id: str
    key: str
    kind: str
    at: datetime


DutyHandler = Callable[[Duty, Transaction], Awaitable[None]]
"""Does what is due. While it waits for its locks, its duty may be moved or cancelled: it looks whether there is still something
to do."""


def duty_id(key: str, kind: str, at: datetime) -> str:
    """The id of a duty, for effects outside that must not be doubled."""
    return str(uuid5(uuid5(NAMESPACE_URL, key), f"{kind}/{at.isoformat()}"))


def retry_after(attempts: int) -> timedelta:
    """How long to wait after so many failures (1 for the first): 1 s, 5 s, 30 s, 2 min, 10 min, then every hour."""
    seconds = _RETRY_SECONDS[attempts - 1] if attempts <= len(_RETRY_SECONDS) else _RETRY_LATER_SECONDS
    return timedelta(seconds=seconds)


async def schedule(tx: Transaction, key: str, kind: str, at: datetime) -> None:
    """Have `kind` done for `key` at this time; replaces an earlier duty of the same key and kind."""
    await tx.execute(
        """insert into due (key, kind, at, next_try) values ($1, $2, $3, $3)
        on conflict (key, kind) do update set at = excluded.at, next_try = excluded.at, attempts = 0, error = null""",
        key, kind, at,
    )  # fmt: skip


async def schedule_all(tx: Transaction, keys: Collection[str], kind: str, at: Sequence[datetime]) -> None:
    """The same for many keys at once, each with its time."""
    await tx.execute(
        """insert into due (key, kind, at, next_try)
        select key, $2, at, at from unnest($1::text[], $3::timestamptz[]) as x(key, at) order by key
        on conflict (key, kind) do update set at = excluded.at, next_try = excluded.at, attempts = 0, error = null""",
        list(keys), kind, list(at),
    )  # fmt: skip


async def cancel(tx: Transaction, key: str, kind: str) -> None:
    """It need not be done any more; nothing happens if it was not planned."""
    await tx.execute("delete from due where key = $1 and kind = $2", key, kind)


class DutyRunner:
    """Runs what is due, one duty a transaction; several processes share the work."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, DutyHandler],
        told: Telemetry,
        *,
        ours: Callable[[], Collection[str]] | None = None,
    ) -> None:
        """`ours`, where given, says which duties are this process's at the moment: by the first parts of their keys, up to the
        first slash. The others are left to theirs."""
        self._database = database
        self._ours = ours
        self._handlers = dict(handlers)
        self._told = told

    async def step(self) -> bool:
        """Run the next duty whose time has come; True if there was one. A duty that fails is tried again later."""
        duty: Duty | None = None
        try:
            async with self._database.transaction() as tx:
                duty = await self._claim(tx)
                if duty is None:
                    return False
                attributes = {telemetry.DUTY_KIND: duty.kind}
                with self._told.span(f"{telemetry.DUTY} {duty.kind}", parent=b"", kind=SpanKind.INTERNAL, attributes=attributes):
                    await self._handlers[duty.kind](duty, tx)
                await _done(tx, duty)
        except Exception as error:
            if duty is None:
                raise
            self._told.log.warning("duty failed", extra={"duty": duty.id, "kind": duty.kind, "error": repr(error)[:256]})
            self._told.metrics.duties.labels(duty.kind, "failed").inc()
            await self._postpone(duty, error)
        else:
            self._told.metrics.duties.labels(duty.kind, "done").inc()
        return True

    async def _claim(self, tx: Transaction) -> Duty | None:
        # An advisory lock, not the row's: a handler that changes the same thing holds what ours waits for, and then writes this
        # row (`schedule`). With the row locked here, each would wait for the other.
        ours = None if self._ours is None else list(self._ours())
        while row := await tx.fetchrow(
            """with waiting as materialized (
                select key, kind, at from due where next_try <= $1 and kind = any($2::text[])
                and ($5::text[] is null or split_part(key, '/', 1) = any($5)) order by next_try limit $3
            ) select key, kind, at from waiting where pg_try_advisory_xact_lock($4, hashtext(kind || ' ' || key)) limit 1""",
            tx.now, list(self._handlers), _LOOKED_AT, _DUTY_LOCK, ours,
        ):  # fmt: skip
            # Whoever held the lock before may have done it since that statement began.
            if await tx.fetchval("select exists (select from due where (key, kind, at) = ($1, $2, $3))", *row):
                return Duty(duty_id(row["key"], row["kind"], row["at"]), row["key"], row["kind"], row["at"])
        return None

    async def _postpone(self, duty: Duty, error: Exception) -> None:
        async with self._database.transaction() as tx:
            attempts = await tx.fetchval(
                """update due set attempts = attempts + 1, error = $4 where key = $1 and kind = $2 and at = $3
                returning attempts""",
                duty.key, duty.kind, duty.at, repr(error)[:256],
            )  # fmt: skip
            if attempts is not None:  # else it was planned anew meanwhile
                await tx.execute(
                    "update due set next_try = $3 where key = $1 and kind = $2",
                    duty.key, duty.kind, tx.now + retry_after(attempts),
                )  # fmt: skip


async def _done(tx: Transaction, duty: Duty) -> None:
    """Strike it off, unless its handler, or somebody meanwhile, planned the same for another time."""
    await tx.execute("delete from due where (key, kind, at) = ($1, $2, $3)", duty.key, duty.kind, duty.at)
