"""Compares the ledger with what the system shows, after it has healed and come to rest. Every kind of anomaly must come to 0.

Each check is one query over the ledger and the evidence beside it, so each can be read, and tested, for itself. A key that is
`junk-…` was thrown in by the oracle and is nobody's.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.faults.counter import COUNTED, OWN_TOPICS, SAID, SET, TOPICS


class Anomaly(NamedTuple):
    """Something that must not be: of which kind, about what, and what was seen."""

    kind: str
    key: str
    seen: str


class Check(NamedTuple):
    """`sql` gives (key, seen) for each anomaly; `real_only`: the embedded broker forgets what it needs."""

    kind: str
    sql: str
    real_only: bool = False


DENSE = f"('{SAID}', '{COUNTED}')"
OWN_WORDS = "(a.topic in ('faults.said', 'faults.set') or a.service in ('needs', 'catalog')) and a.topic <> 'dead-letters'"
"""What follows from one request of the oracle, in the transaction that takes it in."""
OURS = "t.key not like 'junk-%' and t.event_id <> '' and t.topic <> 'dead-letters' and t.key <> ''"

CHECKS = (
    Check(
        "lost",
        """select s.kind || '/' || s.subject, s.answer || ' as ' || s.id || ', number ' || s.number || ', and not in the outbox'
        from sent s where s.outcome = 'ok' and s.answer in ('accepted', 'created', 'updated', 'repeat')
        and not exists (select 1 from announced a where a.correlation = s.id and a.service = s.service
            and (a.service <> 'counter' or a.topic = s.kind))""",
    ),
    Check(
        "lost",
        f"""select a.topic || '/' || a.key, 'sequence ' || a.sequence || ' (' || a.event_id || ') had no effect'
        from announced a where a.topic in {DENSE} and not exists (select 1 from effect e where e.event_id = a.event_id)""",
    ),
    Check(
        "lost",
        f"""select s.kind || '/' || s.subject, 'number ' || s.number || ' (' || s.id || ') did not come as far as ' || g.grp
        from sent s, (select 'counter' as grp union all select 'tally') g
        where s.kind = '{SAID}' and s.outcome = 'ok'
        and not exists (select 1 from effect e where e.said = s.id and e.grp = g.grp)""",
    ),
    Check(
        "double",
        """select grp || ': ' || topic || '/' || key, count(*) || ' effects of sequence ' || sequence
        from effect group by grp, topic, key, sequence having count(*) > 1""",
    ),
    Check(
        "double",
        """select grp || ': ' || topic || '/' || min(key), count(*) || ' effects of ' || said
        from effect group by grp, topic, said having count(*) > 1""",
    ),
    Check(
        "double",
        """select topic || '/' || key, count(*) || ' announcements because of event ' || causation
        from announced where causation <> '' and topic <> 'dead-letters'
        group by service, topic, key, causation having count(*) > 1""",
    ),
    Check(
        "double",
        f"""select a.topic || '/' || a.key, count(*) || ' announcements because of request ' || a.correlation
        from announced a where {OWN_WORDS} group by a.service, a.topic, a.key, a.correlation having count(*) > 1""",
    ),
    Check(
        "effect without acceptance",
        f"""select a.topic || '/' || a.key, 'announced because of ' || a.correlation || ': '
            || coalesce(s.outcome || ' ' || s.answer, 'never sent')
        from announced a left join sent s on s.id = a.correlation
        where {OWN_WORDS} and (s.id is null or s.outcome = 'fail' or s.answer in ('superseded', 'unchanged'))""",
    ),
    Check(
        "effect without acceptance",
        """select e.grp || ': ' || e.topic || '/' || e.key, 'effect of ' || e.event_id || ', which nobody announced'
        from effect e where not exists (select 1 from announced a where a.event_id = e.event_id)""",
    ),
    Check(
        "effect without acceptance",
        f"""select distinct t.topic || '/' || t.key, 'sent, but not in the outbox: ' || t.event_id
        from on_topic t where {OURS} and not exists (select 1 from announced a where a.event_id = t.event_id)""",
    ),
    Check(
        "order",
        f"""select grp || ': ' || topic || '/' || key, 'sequence ' || sequence || ' after ' || coalesce(earlier, 'nothing')
        from (select *, lag(sequence) over (partition by grp, topic, key order by place) as earlier from effect)
        where earlier >= sequence or (topic in {DENSE} and sequence <> coalesce(earlier, 0) + 1)""",
    ),
    Check(
        "order",
        f"""select topic || '/' || key, 'sequence ' || sequence || ' (' || id || ') was answered before an earlier one was sent'
        from (
            select a.topic, a.key, a.sequence, s.id, s.outcome, s.answered, max(s.sent) over (
                partition by a.topic, a.key order by a.sequence rows between unbounded preceding and 1 preceding
            ) as latest
            from announced a join sent s on s.id = a.correlation where {OWN_WORDS}
        ) where outcome = 'ok' and latest > answered""",
    ),
    Check(
        "order",
        f"""select topic || '/' || key, 'number ' || number || ' of one request got sequence ' || sequence || ' after ' || earlier
        from (
            select a.topic, a.key, s.number, a.sequence,
                lag(a.sequence) over (partition by a.topic, a.key, s.sent order by s.number) as earlier
            from announced a join sent s on s.id = a.correlation where a.topic in ('{SAID}', '{SET}')
        ) where earlier >= sequence""",
    ),
    Check(
        "sequence",
        """select topic || '/' || key, count(*) || ' events with sequences ' || min(sequence) || ' to ' || max(sequence)
        from announced where topic <> 'dead-letters'
        group by topic, key having count(*) <> max(sequence) or count(distinct sequence) <> max(sequence)""",
    ),
    Check(
        "unannounced",
        """select a.topic || '/' || a.key, 'sequence ' || a.sequence || ' (' || a.event_id || ') is in the outbox, not in Kafka'
        from announced a where a.topic <> 'dead-letters' and not exists (
            select 1 from on_topic t where t.event_id = a.event_id and t.topic = a.topic and t.key = a.key
            and t.sequence = a.sequence
        )""",
        real_only=True,
    ),
    Check(
        "changed id",
        f"""select t.topic || '/' || t.key, 'id ' || t.event_id || ' is sequence ' || t.sequence || ' in Kafka and '
            || a.sequence || ' of ' || a.topic || '/' || a.key || ' in the outbox'
        from on_topic t join announced a on a.event_id = t.event_id
        where {OURS} and (t.topic <> a.topic or t.key <> a.key or t.sequence <> a.sequence)""",
    ),
    Check(
        "changed id",
        f"""select t.topic || '/' || t.key, 'sequence ' || t.sequence || ' has ' || count(distinct t.event_id) || ' ids'
        from on_topic t where {OURS} group by t.topic, t.key, t.sequence having count(distinct t.event_id) > 1""",
    ),
    Check(
        "blocked",
        """select grp || ': ' || topic || '/' || key, 'sequence ' || sequence || ' is parked: ' || reason || ' '
            || coalesce(error, '')
        from parked where key not like 'junk-%'""",
    ),
    Check("stuck", "select service || ': ' || what, amount || ' left' from left_over"),
    Check("wrong answer", "select kind || ': ' || key, seen from complaint"),
)


def judge(book: sqlite3.Connection, *, real: bool) -> list[Anomaly]:
    """All anomalies that ledger and evidence show."""
    found = [
        Anomaly(check.kind, *row) for check in CHECKS if real or not check.real_only for row in book.execute(check.sql).fetchall()
    ]
    found += _stuck(book)
    if real:
        found += _vanished(book)
    return found


def outdated(book: sqlite3.Connection) -> list[Anomaly]:
    """States whose last record in Kafka is not their newest version: of a compacted log nothing else is left for a new reader.

    Only where nobody but relays wrote events, and none went on that had been cut off (decision 62 says what is promised then)."""
    states = [topic.name for topic in OWN_TOPICS.values() if topic.kind == "state"]
    sql = f"""select topic || '/' || key, 'the log ends with sequence ' || sequence || ', after ' || newest from (
        select *, max(sequence) over one as newest, max("offset") over one as end from on_topic t
        where {OURS} and topic in ({", ".join("?" * len(states))}) window one as (partition by topic, key)
    ) where "offset" = end and sequence < newest"""
    return [Anomaly("order", *row) for row in book.execute(sql, states)]


def _stuck(book: sqlite3.Connection) -> Iterator[Anomaly]:
    """Keys whose readers did not come as far as was announced."""
    for topic in TOPICS.values():
        for reader in topic.readers:
            behind = book.execute(
                """select h.key, h.sequence, c.last from head h
                left join cursor c on c.grp = ? and c.topic = h.topic and c.key = h.key
                where h.topic = ? and c.last is not h.sequence""",
                (reader, topic.name),
            )
            for key, sequence, last in behind.fetchall():
                yield Anomaly("stuck", f"{reader}: {topic.name}/{key}", f"announced up to {sequence}, handled up to {last}")


def _vanished(book: sqlite3.Connection) -> Iterator[Anomaly]:
    """Junk that the broker took, and that a reader has neither in quarantine nor parked."""
    for topic in TOPICS.values():
        for reader in topic.readers:
            gone = book.execute(
                """select j.kind, j.key, j.part, j."offset" from junk j where j.topic = ? and not exists (
                    select 1 from quarantined q
                    where q.grp = ? and q.topic = j.topic and q.part = j.part and q."offset" = j."offset"
                ) and not exists (select 1 from parked p where p.grp = ? and p.topic = j.topic and p.key = j.key)""",
                (topic.name, reader, reader),
            )
            for kind, key, part, offset in gone.fetchall():
                yield Anomaly("vanished", f"{reader}: {topic.name}/{key}", f"{kind} at {part}:{offset} is nowhere")


def in_words(anomalies: Iterable[Anomaly], *, most: int = 20) -> str:
    """All kinds with their counts, and the first of each in full."""
    by_kind: dict[str, list[Anomaly]] = {}
    for anomaly in anomalies:
        by_kind.setdefault(anomaly.kind, []).append(anomaly)
    lines = []
    for kind, some in by_kind.items():
        lines.append(f"{kind}: {len(some)}")
        lines += [f"    {anomaly.key}: {anomaly.seen}" for anomaly in some[:most]]
    return "\n".join(lines) or "no anomaly"


def figures(book: sqlite3.Connection) -> dict[str, float]:
    """What happened beside: how much was announced and handled, and how long it took from the answer to the effect."""
    found: dict[str, float] = {
        name: book.execute(sql).fetchone()[0]
        for name, sql in {
            "announced": "select count(*) from announced",
            "effects counted": "select count(*) from effect",
            "records in Kafka": "select count(*) from on_topic",
            "sent and never answered": "select count(*) from sent where outcome = 'unknown'",
            "junk": "select count(*) from junk",
            "quarantined": "select count(*) from quarantined",
            "parked junk": "select count(*) from parked where key like 'junk-%'",
        }.items()
    }
    waits = book.execute(
        """select e.at - s.answered / 1e9 - (select value from figure where name = 'epoch') as wait
        from effect e join sent s on s.id = e.said
        where e.grp = 'counter' and s.outcome = 'ok' and s.subject not like 'ill-%' order by wait"""
    ).fetchall()
    if waits:
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            found[f"answer to effect, {name}, s"] = round(waits[min(len(waits) - 1, int(len(waits) * share))][0], 2)
    pauses = book.execute(
        """select max(pause) from (select at - lag(at) over (order by at) as pause from effect where grp = 'counter')"""
    ).fetchone()[0]
    return found | {"longest pause between effects, s": round(pauses or 0, 2)}
