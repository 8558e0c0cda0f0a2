"""All SQL of the lists: what is on each, and what was announced of it.

As in `store`, everything is read and written for many rows at once.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from common.transaction import Transaction


async def scores(tx: Transaction, need_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """The list of each of these needs: the score of each offering on it."""
    rows = await tx.fetch("select need_id, offering_id, score from match where need_id = any($1::text[])", list(need_ids))
    found: dict[str, dict[str, int]] = {need_id: {} for need_id in need_ids}
    for need_id, offering_id, score in rows:
        found[need_id][offering_id] = score
    return found


class MatchRow(NamedTuple):
    """One place on a list as it is kept."""

    need_id: str
    offering_id: str
    company_id: str
    score: int
    explained: str
    fingerprint: bytes


async def save_matches(tx: Transaction, gone: Sequence[tuple[str, str]], come: Sequence[MatchRow]) -> None:
    """Take (need, offering) pairs off their lists, and put others on or in place of what was said of them before."""
    if gone:
        await tx.execute(
            """delete from match using unnest($1::text[], $2::text[]) as x(need_id, offering_id)
            where match.need_id = x.need_id and match.offering_id = x.offering_id""",
            [need_id for need_id, _ in gone],
            [offering_id for _, offering_id in gone],
        )
    rows = sorted(come)
    await tx.execute(
        """insert into match (need_id, offering_id, company_id, score, explained, fingerprint)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::json[], $6::bytea[])
        on conflict (need_id, offering_id) do update set company_id = excluded.company_id, score = excluded.score,
            explained = excluded.explained, fingerprint = excluded.fingerprint""",
        [row.need_id for row in rows],
        [row.offering_id for row in rows],
        [row.company_id for row in rows],
        [row.score for row in rows],
        [row.explained for row in rows],
        [row.fingerprint for row in rows],
    )


class ListToAnnounce(NamedTuple):
    """What may have to be announced of a need: its fingerprints in order tell whether."""

    need_id: str
    summary: str
    trace: bytes
    as_of: datetime
    announced: bytes | None
    fingerprints: list[bytes]


async def lists_to_announce(tx: Transaction, need_ids: Sequence[str]) -> list[ListToAnnounce]:
    rows = await tx.fetch(
        """select id, summary, trace, as_of, announced, array(
            select fingerprint from match where need_id = need.id order by score desc, offering_id
        ) from need join unnest($1::text[]) as asked(id) using (id) order by id""",
        list(need_ids),
    )
    return [ListToAnnounce(*row) for row in rows]


async def explained_matches(tx: Transaction, need_ids: Sequence[str]) -> dict[str, list[str]]:
    """The matches of these needs as JSON, best first; needs without proposals are left out."""
    rows = await tx.fetch(
        """select need_id, explained from match where need_id = any($1::text[])
        order by need_id, score desc, offering_id""",
        list(need_ids),
    )
    found: dict[str, list[str]] = {}
    for need_id, explained in rows:
        found.setdefault(need_id, []).append(explained)
    return found


async def set_announced(tx: Transaction, fingerprints: Mapping[str, bytes]) -> None:
    """What was just announced of each need."""
    await tx.execute(
        """update need set announced = x.fingerprint from unnest($1::text[], $2::bytea[]) as x(id, fingerprint)
        where need.id = x.id""",
        list(fingerprints),
        list(fingerprints.values()),
    )
