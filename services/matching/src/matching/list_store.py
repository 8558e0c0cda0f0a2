"""All SQL of the lists: which needs an offering concerns, what is kept of each need's best, what was announced of it.

As in `store`, everything is read and written for many rows at once.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

import msgspec

from common.transaction import Transaction
from matching.domain.places import Place
from matching.domain.shortlist import Rank, Standing
from matching.domain.sides import Need

_need_from = msgspec.json.Decoder(Need).decode


class NeedInReach(NamedTuple):
    """A need whose list an offering may change. `number` is the offering's place in what was asked."""

    number: int
    need: Need
    today: date
    entry_score: int


async def needs_in_places(tx: Transaction, places: Sequence[tuple[int, Place]]) -> list[NeedInReach]:
    """The open needs in these places that would keep the place's best; each with the offering's number."""
    rows = await tx.fetch(
        """select x.number, need.judged, need.today, coalesce(need.floor_score, 0)
        from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::int[]) as x(number, technology, unit, country, most)
        join need on need.technology = x.technology and need.country = x.country and need.unit = x.unit
            and need.open and coalesce(need.floor_score, 0) <= x.most""",
        [number for number, _ in places],
        [place.technology for _, place in places],
        [place.unit for _, place in places],
        [place.country for _, place in places],
        [place.most for _, place in places],
    )
    return [NeedInReach(number, _need_from(judged), today, entry) for number, judged, today, entry in rows]


async def needs_keeping(tx: Transaction, offering_ids: Sequence[str]) -> list[NeedInReach]:
    """The needs that keep these offerings, on their lists or in line; each with the offering's number."""
    rows = await tx.fetch(
        """select x.number - 1, need.judged, need.today, coalesce(need.floor_score, 0)
        from unnest($1::text[]) with ordinality as x(id, number)
        join lateral (
            select need_id from match where match.offering_id = x.id
            union all select need_id from in_line where in_line.offering_id = x.id
        ) as kept on true
        join need on need.id = kept.need_id""",
        list(offering_ids),
    )
    return [NeedInReach(number, _need_from(judged), today, entry) for number, judged, today, entry in rows]


async def standings(tx: Transaction, need_ids: Collection[str]) -> dict[str, Standing]:
    """What is kept of each of these needs' best."""
    ids = list(need_ids)
    floors = await tx.fetch("select id, floor_score, floor_id from need join unnest($1::text[]) as asked(id) using (id)", ids)
    rows = await tx.fetch(
        """select need_id, score, offering_id from match where need_id = any($1::text[])
        union all select need_id, score, offering_id from in_line where need_id = any($1::text[])
        order by need_id, score desc, offering_id""",
        ids,
    )
    found = {id_: Standing([], None if score is None else Rank.of(score, floor_id)) for id_, score, floor_id in floors}
    for need_id, score, offering_id in rows:
        found[need_id].ranks.append(Rank.of(score, offering_id))
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


async def save_line(tx: Transaction, gone: Sequence[tuple[str, str]], come: Sequence[tuple[str, str, int]]) -> None:
    """Take (need, offering) pairs out of the line, and put others in, with their score."""
    if gone:
        await tx.execute(
            """delete from in_line using unnest($1::text[], $2::text[]) as x(need_id, offering_id)
            where in_line.need_id = x.need_id and in_line.offering_id = x.offering_id""",
            [need_id for need_id, _ in gone],
            [offering_id for _, offering_id in gone],
        )
    if come:
        rows = sorted(come)
        await tx.execute(
            "insert into in_line (need_id, offering_id, score) select * from unnest($1::text[], $2::text[], $3::smallint[])",
            [need_id for need_id, _, _ in rows],
            [offering_id for _, offering_id, _ in rows],
            [score for _, _, score in rows],
        )


async def save_floors(tx: Transaction, floors: Mapping[str, Rank | None]) -> None:
    """Down to which place each need's best are kept."""
    await tx.execute(
        """update need set floor_score = x.score, floor_id = x.offering_id
        from unnest($1::text[], $2::smallint[], $3::text[]) as x(id, score, offering_id)
        where need.id = x.id and (floor_score, floor_id) is distinct from (x.score, x.offering_id)""",
        list(floors),
        [floor and floor.score for floor in floors.values()],
        [floor and floor.offering_id for floor in floors.values()],
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
