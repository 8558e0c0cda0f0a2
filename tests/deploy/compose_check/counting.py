"""What is in the four services' tables once everything has come to rest, counted service by service against what was accepted."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from common.contracts.matching import ShortlistChanged
from common.contracts.registry import TOPICS, Topic, service_of
from common.exact_json import load
from musubi.roles import SERVICES
from notify.envelope import message_id
from notify.handlers import to_be_told
from tests.deploy.compose_check.findings import Findings
from tests.oracle import announced, differences, newest

SENDER = "notify@musubi.example"
WAITS = "reason not in ('superseded', 'skipped')"


async def left_to_do(dsn: str) -> dict[str, int]:
    """What is not at rest yet, in words; empty when everything is sent, read, told and mailed."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        left: dict[str, int] = {}
        for service in SERVICES:
            left[f"{service}: unsent"] = await connection.fetchval(f"select count(*) from {service}.unsent")
        for topic in TOPICS.values():
            for group in topic.readers:
                left[f"{group}: keys of {topic.name} not read to their end"] = await _behind(connection, group, topic)
        left["notify: mails"] = await connection.fetchval(
            "select count(*) from notify.delivery where state in ('to_compose', 'due')"
        )
        return {what: amount for what, amount in left.items() if amount}
    finally:
        await connection.close()


async def _behind(connection: Any, group: str, topic: Topic) -> int:
    return await connection.fetchval(
        f"""select count(*) from {topic.producer}.stream_head h
        left join {service_of(group)}.inbox_cursor c on c.grp = $1 and c.topic = h.topic and c.key = h.key
        where h.topic = $2 and c.last is distinct from h.sequence""",
        group, topic.name,
    )  # fmt: skip


async def count(dsn: str, accepted: Mapping[str, str], mails: Sequence[Mapping[str, Any]], findings: Findings) -> None:
    """Compare all tables with the needs that were accepted (subject and id) and the mails that the mail server has."""
    connection = await asyncpg.connect(dsn)
    try:
        await _needs(connection, accepted, findings)
        await _matching(connection, dsn, accepted, findings)
        await _notify(connection, dsn, accepted, findings)
        await _mails(connection, mails, findings)
        for service in SERVICES:
            held = await connection.fetchval(f"select count(*) from {service}.parked where {WAITS}")
            broken = await connection.fetchval(f"select count(*) from {service}.quarantine")
            findings.expect(
                f"{service}: nothing waits in `parked`, nothing lies in `quarantine`", not held + broken, (held, broken)
            )
    finally:
        await connection.close()


async def _needs(connection: Any, accepted: Mapping[str, str], findings: Findings) -> None:
    ids = list(accepted.values())
    stored = await connection.fetch("select id, subject from needs.need where id = any($1)", ids)
    findings.expect(
        f"needs: each of the {len(ids)} accepted needs is one row of `need`, under the id that the answer named",
        sorted((row["subject"], row["id"]) for row in stored) == sorted(accepted.items()),
        f"{len(stored)} rows",
    )
    rows = await connection.fetch(
        """select key, count(*) as n, max(sequence) as last from needs.outbox
        where topic = 'needs.needs' and key = any($1) group by key""",
        ids,
    )
    findings.expect(
        "needs: each was announced by one event of its own, number 1, and no more",
        len(rows) == len(ids) and all((row["n"], row["last"]) == (1, 1) for row in rows),
        [dict(row) for row in rows if row["n"] != 1] or f"{len(rows)} keys",
    )
    for service in SERVICES:
        unsent = await connection.fetchval(f"select count(*) from {service}.unsent")
        findings.expect(f"{service}: no announcement waits in `unsent`", not unsent, unsent)


async def _matching(connection: Any, dsn: str, accepted: Mapping[str, str], findings: Findings) -> None:
    ids = list(accepted.values())
    read = await connection.fetchval(
        """select count(*) from matching.inbox_cursor
        where grp = 'matching' and topic = 'needs.needs' and key = any($1) and last = 1""",
        ids,
    )
    findings.expect("matching: its cursor stands at the event of each of these needs", read == len(ids), f"{read} of {len(ids)}")
    seen = await announced(dsn)
    wrong = differences(seen)
    findings.expect(
        f"matching: of all {len(seen.needs)} needs, the list it announced last is what the rules say, found the long way",
        not wrong and set(ids) <= seen.needs.keys(),
        wrong[:3],
    )
    kept = await connection.fetch(
        "select need_id, array_agg(offering_id order by offering_id) as offerings from matching.match group by need_id"
    )
    stored = {row["need_id"]: row["offerings"] for row in kept}
    said = {id_: sorted(m.offering_id for m in fact.matches) for id_, fact in seen.shortlists.items() if fact.matches}
    findings.expect(
        "matching: the lists that it keeps are those that it announced", stored == said, f"{len(stored)}, {len(said)}"
    )


async def _notify(connection: Any, dsn: str, accepted: Mapping[str, str], findings: Findings) -> None:
    ids = list(accepted.values())
    told = await connection.fetch("select need_id, recipient_id, offering_id from notify.told where need_id = any($1)", ids)
    lists = [fact for fact in await newest(dsn, "matching", ShortlistChanged) if fact.need.id in set(ids)]
    wanted = [(fact.need.id, one.recipient.id, one.match.offering_id) for fact in lists for one in to_be_told(fact)]
    findings.expect(
        f"notify: `told` has exactly those {len(wanted)} pairs of recipient and match that the routing rules say, each once",
        sorted(tuple(row) for row in told) == sorted(wanted),
        f"{len(told)} rows",
    )
    doubled = await connection.fetch(
        "select recipient_id from notify.notification group by recipient_id, need_id, offering_id having count(*) > 1"
    )
    findings.expect("notify: no recipient has two notifications of one match", not doubled, len(doubled))
    issued = await connection.fetchval("select count(*) from notify.notification")
    sent = await connection.fetchrow(
        "select count(*) as n, count(distinct key) as keys from notify.outbox where type = 'notification.issued.v1'"
    )
    findings.expect(
        f"notify: each of the {issued} notifications was announced once", tuple(sent) == (issued, issued), tuple(sent)
    )  # fmt: skip
    last = await newest(dsn, "matching", ShortlistChanged)
    shown = {row["id"]: load(ShortlistChanged, row["shortlist"]) for row in await connection.fetch("select * from notify.need")}
    differ = [fact.need.id for fact in last if shown.get(fact.need.id) != fact]
    findings.expect(f"notify: it keeps the newest list of each of the {len(last)} needs", not differ, differ[:3])


async def _mails(connection: Any, mails: Sequence[Mapping[str, Any]], findings: Findings) -> None:
    rows = await connection.fetch("select id, state from notify.delivery")
    states = {row["state"] for row in rows}
    findings.expect("notify: every mail is sent, or is for the inbox only", states <= {"sent", "inbox_only"}, states)
    sent = {message_id(UUID(str(row["id"])), SENDER) for row in rows if row["state"] == "sent"}
    arrived = [f"<{str(mail['messageId']).strip('<>')}>" for mail in mails]
    findings.expect(
        f"mail: each of the {len(sent)} sent mails is at the mail server, and no other", set(arrived) == sent,
        f"{len(set(arrived))} there, {len(sent - set(arrived))} missing, {len(set(arrived) - sent)} unknown",
    )  # fmt: skip
    twice = len(arrived) - len(set(arrived))
    findings.figures["mails that came to the mail server twice under one Message-ID"] = str(twice)
