"""All SQL of what people said of matches: word by word, and what became of each match by the words that count."""

from collections.abc import Sequence
from typing import NamedTuple

from common.contracts.matching import Outcome, Statement
from common.exact_json import dump, load
from common.transaction import Transaction
from matching.domain.precision import Judged

FEEDBACK_LOCK = 0x73616964
"""Advisory locks of feedback: this number, and the hash of the match."""


async def hold(tx: Transaction, need_id: str, offering_id: str) -> None:
    """Wait until nobody else speaks of this match, until the end of the transaction: each word follows upon the one before."""
    await tx.execute("select pg_advisory_xact_lock($1, hashtext($2))", FEEDBACK_LOCK, f"{need_id}/{offering_id}")


async def history(tx: Transaction, need_id: str, offering_id: str) -> list[Statement]:
    """All that was ever said of a match, oldest first."""
    rows = await tx.fetch(
        "select said from feedback where need_id = $1 and offering_id = $2 order by number", need_id, offering_id
    )
    return [load(Statement, row[0]) for row in rows]


async def add(tx: Transaction, need_id: str, offering_id: str, said: Statement) -> None:
    """Write down what was said."""
    await tx.execute(
        "insert into feedback (need_id, offering_id, said) values ($1, $2, $3)", need_id, offering_id, dump(said).decode()
    )


class MatchOutcome(NamedTuple):
    """What became of a match; place and weights are those of the first word, `reasons` of those who declined."""

    need_id: str
    offering_id: str
    technology: str
    place: int | None
    weights: str
    outcome: Outcome | None
    reasons: Sequence[str]


async def save_outcome(tx: Transaction, one: MatchOutcome) -> None:
    """Keep what has become of a match; technology, place and weights stay as they were when it was first spoken of."""
    await tx.execute(
        """insert into outcome (need_id, offering_id, technology, place, weights, outcome, reasons)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (need_id, offering_id) do update set outcome = excluded.outcome, reasons = excluded.reasons""",
        *one,
    )


async def outcomes_of(tx: Transaction, need_id: str) -> dict[str, Outcome]:
    """What became of the need's matches of which somebody spoke, by offering."""
    rows = await tx.fetch("select offering_id, outcome from outcome where need_id = $1 and outcome is not null", need_id)
    return {row["offering_id"]: row["outcome"] for row in rows}


async def judged(tx: Transaction) -> list[Judged]:
    """How many matches came to which outcome, by technology, version of the points and place."""
    rows = await tx.fetch(
        """select technology, weights, place, outcome, count(*) from outcome where outcome is not null
        group by 1, 2, 3, 4 order by 1, 2, 3, 4"""
    )
    return [Judged(*row) for row in rows]


async def decline_reasons(tx: Transaction) -> dict[str, int]:
    """How often each reason stands, the most frequent first."""
    rows = await tx.fetch(
        """select reason, count(*) from outcome cross join unnest(reasons) as reason
        group by 1 order by 2 desc, 1"""
    )
    return {row[0]: row[1] for row in rows}
