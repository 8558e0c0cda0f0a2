"""What could not be handled: events that wait beside their key (`parked`), and records that are no events (`quarantine`)."""

from collections.abc import Iterable, Mapping

from common.gate import LaneKey, Parked
from common.message import Broken, raw_headers
from common.transaction import Transaction


async def park(tx: Transaction, group: str, parked: Iterable[Parked]) -> None:
    """Keep events that wait; one that waits already stays as it is."""
    await tx.executemany(
        """insert into parked (grp, topic, key, sequence, event_id, type, source, time, body, trace, correlation_id,
            causation_id, reason, pointer, error, attempts, first_at, next_try)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
            $17::timestamptz, $17::timestamptz + interval '1 second')
        on conflict do nothing""",
        [
            (
                group, *event, reason, refusal and refusal.pointer, refusal and refusal.error,
                int(reason == "poison"), tx.now,
            )
            for event, reason, refusal in parked
        ],
    )  # fmt: skip


async def supersede(tx: Transaction, group: str, reached: Mapping[LaneKey, int]) -> int:
    """A newer version of these keys took effect: what waits before it waits no longer, but is kept. Returns how many."""
    result = await tx.execute(
        """update parked as p set reason = 'superseded'
        from unnest($2::text[], $3::text[], $4::bigint[]) as x(topic, key, last)
        where p.grp = $1 and p.topic = x.topic and p.key = x.key and p.sequence <= x.last and p.reason not in ('superseded', 'skipped')""",
        group, [topic for topic, _ in reached], [key for _, key in reached], list(reached.values()),
    )  # fmt: skip
    return int(result.split()[-1])


async def quarantine(tx: Transaction, group: str, incarnation: str, broken: Iterable[Broken]) -> None:
    """Keep records that are no events, byte for byte."""
    await tx.executemany(
        """insert into quarantine (grp, topic, incarnation, part, "offset", reason, key, headers, body, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing""",
        [
            (
                group, record.topic, incarnation, record.partition, record.offset, reason.replace("\x00", "�"),
                record.key, raw_headers(record.headers), record.value, tx.now,
            )
            for record, reason in broken
        ],
    )  # fmt: skip
