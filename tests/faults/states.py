"""Whether each service knows what it should: its own rows the last accepted, copies what was announced, lists the oracle's.

And whether the right people were told: each of each match once, by a mail that is the same however often it comes.
"""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.message import EmailMessage
from typing import Any

import msgspec

from catalog import domain as catalog_domain
from common.contracts.catalog import CompanyListed, CompanySubmitted, ExchangeRatePublished, OfferingListed, OfferingSubmitted
from common.contracts.matching import ShortlistChanged
from common.contracts.needs import MunicipalityListed, MunicipalitySubmitted, NeedPosted, NeedSubmitted
from common.contracts.values import Fact, Submission
from common.exact_json import from_json, load, to_json
from matching.domain.sides import Need, Offering
from needs import domain as needs_domain
from notify.domain.routing import Occasion, whom_to_tell
from notify.offices import SECRETARIAT, offices
from tests.chain import rows
from tests.faults.verdict import Anomaly
from tests.oracle import announced, differences, newest

SUBMITTED: Mapping[str, type[Submission]] = {
    "municipality": MunicipalitySubmitted,
    "need": NeedSubmitted,
    "company": CompanySubmitted,
    "offering": OfferingSubmitted,
}
OUR_FAULT = "fault of Musubi"


async def compare(book: sqlite3.Connection, dsn: str) -> list[Anomaly]:
    """All differences between the ledger's model and what the four services keep."""
    return [
        *await _own_rows(book, dsn),
        *await _copies(dsn),
        *(Anomaly("state", *difference.split(": ", 1)) for difference in differences(await announced(dsn))),
        *await _who_was_told(dsn),
    ]


# What needs and catalog keep ---------------------------------------------------------------------------------------------


def possible(book: sqlite3.Connection) -> dict[tuple[str, str], list[str | None]]:
    """For each subject that anything was sent of: the data that may be in force, and None where it may be that none is.

    The newest accepted one is, by its own time; or one whose outcome nobody knows, if it says that it happened later."""
    found: dict[tuple[str, str], list[str | None]] = {}
    sent = book.execute(
        """select kind, subject, data, outcome, answer from sent
        where service <> 'counter' and outcome <> 'fail' and answer <> 'superseded' order by time"""
    )
    for kind, subject, data, outcome, _ in sent:
        here = found.setdefault((kind, subject), [None])
        if outcome == "ok":
            here[:] = [data]
        else:
            here.append(data)
    return found


async def _own_rows(book: sqlite3.Connection, dsn: str) -> list[Anomaly]:
    cities = {row["subject"]: row["fact"] for row in await rows(dsn, "needs", "select subject, fact::text from municipality")}
    companies = {row["subject"]: row["fact"] for row in await rows(dsn, "catalog", "select subject, fact::text from company")}
    kept = {
        "municipality": cities,
        "company": companies,
        "need": {row["subject"]: row["fact"] for row in await rows(dsn, "needs", "select subject, fact::text from need")},
        "offering": {
            row["subject"]: row["fact"] for row in await rows(dsn, "catalog", "select subject, fact::text from offering")
        },
        "exchange-rate": {
            row["currency"]: row["fact"] for row in await rows(dsn, "catalog", "select currency, fact::text from exchange_rate")
        },
    }
    found = []
    expected = possible(book)
    cities_ever = _municipalities_ever(book, cities)
    for (kind, subject), candidates in expected.items():
        fact = kept[kind].get(subject)
        is_: Any = fact and from_json(fact)
        if fact is None:
            if None not in candidates:
                found.append(Anomaly("state", f"{kind}/{subject}", f"is nowhere, should be one of {candidates}"))
            continue
        wanted: list[Any] = [data and _as_kept(kind, data, fact, cities, companies) for data in candidates]
        if is_ and kind == "need" and is_["status"] != "open" and is_["municipality"] in cities_ever:
            # Only open needs follow their city; a closed one stays as it was.
            wanted = [one and one | {"municipality": is_["municipality"]} for one in wanted]
        if is_ not in wanted:
            found.append(Anomaly("state", f"{kind}/{subject}", f"is {fact}, should be one of {candidates}"))
    for kind, facts in kept.items():
        found += [
            Anomaly("effect without acceptance", f"{kind}/{subject}", "nothing of it was ever sent")
            for subject in facts
            if (kind, subject) not in expected
        ]
    return found


def _municipalities_ever(book: sqlite3.Connection, cities: Mapping[str, str]) -> list[Any]:
    """Every version of every city, as needs carry it."""
    found = []
    for subject, data in book.execute("select subject, data from sent where kind = 'municipality' and outcome <> 'fail'"):
        if subject in cities:
            made = needs_domain.listed(MunicipalitySubmitted.model_validate(from_json(data)), from_json(cities[subject])["id"])
            found.append(from_json(to_json(needs_domain.buyer(made).model_dump())))
    return found


def _as_kept(kind: str, data: str, fact: str, cities: Mapping[str, str], companies: Mapping[str, str]) -> Any:
    """What the service makes of a submission, given the city or company as it now is; as plain JSON."""
    said = from_json(data)
    if kind == "exchange-rate":
        made: Fact = ExchangeRatePublished.model_validate(said)
        return from_json(to_json(made.model_dump()))
    submitted: Any = SUBMITTED[kind].model_validate(said)
    id_ = from_json(fact)["id"]
    match kind:
        case "municipality":
            made = needs_domain.listed(submitted, id_)
        case "company":
            made = catalog_domain.listed_company(submitted, id_)
        case "need":
            city = load(MunicipalityListed, cities[submitted.municipality])
            fields = submitted.model_dump(exclude={"municipality"})
            made = NeedPosted.model_validate({**fields, "id": id_, "municipality": needs_domain.buyer(city)})
        case _:
            company = load(CompanyListed, companies[submitted.company])
            made = catalog_domain.listed_offering(submitted, id_, company)
    return from_json(to_json(made.model_dump()))


# What matching and notify keep of others --------------------------------------------------------------------------------


async def _copies(dsn: str) -> list[Anomaly]:
    found: list[Anomaly] = []

    def compare_all(what: str, is_: Mapping[str, Any], should_be: Mapping[str, Any]) -> None:
        for key in is_.keys() | should_be.keys():
            if is_.get(key) != should_be.get(key):
                seen = f"is {str(is_.get(key))[:400]}, was announced as {str(should_be.get(key))[:400]}"
                found.append(Anomaly("state", f"{what}/{key}", seen))

    need_of, offering_of = msgspec.json.Decoder(Need).decode, msgspec.json.Decoder(Offering).decode
    matching, notify = "matching", "notify"
    needs = await rows(dsn, matching, "select id, judged::text as judged from need")
    announced_needs = await newest(dsn, "needs", NeedPosted)
    compare_all("matching's need", {r["id"]: need_of(r["judged"]) for r in needs}, {n.id: Need.of(n) for n in announced_needs})
    offerings = await rows(dsn, matching, "select id, judged::text as judged from offering")
    announced_offerings = await newest(dsn, "catalog", OfferingListed)
    compare_all(
        "matching's offering", {r["id"]: offering_of(r["judged"]) for r in offerings},
        {o.id: Offering.of(o) for o in announced_offerings},
    )  # fmt: skip
    rates = await rows(dsn, matching, "select currency, per_usd, as_of from rate")
    compare_all(
        "matching's rate", {r["currency"]: (r["per_usd"], r["as_of"]) for r in rates},
        {r.currency: (r.per_usd, r.as_of) for r in await newest(dsn, "catalog", ExchangeRatePublished)},
    )  # fmt: skip
    for service, table, kind in (("needs", "municipality", MunicipalityListed), ("catalog", "company", CompanyListed)):
        kept = await rows(dsn, notify, f"select id, body::text as body from {table}")
        compare_all(
            f"notify's {table}", {r["id"]: load(kind, r["body"]) for r in kept},
            {fact.subject: fact for fact in await newest(dsn, service, kind)},
        )  # fmt: skip
    lists = await rows(dsn, notify, "select id, shortlist from need")
    newest_lists = await rows(
        dsn, matching, "select distinct on (key) key, body from outbox where type = $1 order by key, sequence desc",
        ShortlistChanged.type,
    )  # fmt: skip
    compare_all(
        "notify's shortlist", {r["id"]: bytes(r["shortlist"]) for r in lists}, {r["key"]: bytes(r["body"]) for r in newest_lists}
    )
    return found


# Who was told ------------------------------------------------------------------------------------------------------------


async def _who_was_told(dsn: str) -> list[Anomaly]:
    """Everybody whom the rules name for the lists in force was told, nobody who was named by no list, and nobody twice."""
    told = {tuple(row) for row in await rows(dsn, "notify", "select need_id, recipient_id, offering_id from told")}
    may: set[tuple[str, str, str]] = set()
    must: dict[str, set[tuple[str, str, str]]] = {}
    lists = await rows(dsn, "matching", "select body from outbox where type = $1 order by key, sequence", ShortlistChanged.type)
    for row in lists:
        shortlist = load(ShortlistChanged, row["body"])
        named = set(_named(shortlist))
        may |= named
        must[shortlist.need.id] = named  # the last one stays
    found = [Anomaly("state", "/".join(who), "was not told") for named in must.values() for who in named - told]
    found += [Anomaly("effect without acceptance", "/".join(who), "was told, named by no list") for who in told - may]
    issued = await rows(
        dsn, "notify",
        """select recipient_id || '/' || need_id || '/' || offering_id as who, count(*) from notification
        group by 1 having count(*) > 1""",
    )  # fmt: skip
    found += [Anomaly("double", row["who"], f"{row['count']} notifications") for row in issued]
    unannounced = await rows(
        dsn, "notify",
        """select n.id::text from notification n
        left join outbox o on o.key = n.id::text and o.type = 'notification.issued.v1'
        group by n.id having count(o.key) <> 1""",
    )  # fmt: skip
    return found + [Anomaly("unannounced", row["id"], "this notification was not announced just once") for row in unannounced]


def _named(shortlist: ShortlistChanged) -> Iterator[tuple[str, str, str]]:
    if shortlist.need.status == "open":
        for match in shortlist.matches:
            for told in whom_to_tell(Occasion(shortlist.need, match, offices(), SECRETARIAT)):
                yield shortlist.need.id, told.recipient.id, match.offering_id


# Mails -------------------------------------------------------------------------------------------------------------------


async def mails(dsn: str, arrived: Sequence[tuple[EmailMessage, Sequence[str]]], refused: Iterable[str]) -> list[Anomaly]:
    """`arrived` is what the mail server took, with its recipients; `refused` the Message-IDs that it turned away for good."""
    planned = {
        str(row["id"]): row
        for row in await rows(dsn, "notify", "select id, notification_id, state, address, reason::text as reason from delivery")
    }
    found: list[Anomaly] = []
    contents: dict[str, set[tuple[str, bytes]]] = defaultdict(set)
    ids_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for mail, recipients in arrived:
        id_ = _delivery(mail["Message-ID"])
        contents[id_].add((",".join(recipients), mail.as_bytes()))
        item = re.search(r"/notify/inbox/([0-9a-f-]{36})", mail.get_content().replace("=\n", ""))
        ids_of[",".join(recipients), item[1] if item else ""].add(id_)
        row = planned.get(id_)
        if row is None:
            found.append(Anomaly("effect without acceptance", mail["Message-ID"], "a mail that nobody planned"))
        elif item is None or item[1] != str(row["notification_id"]):
            found.append(Anomaly("mail", mail["Message-ID"], f"is about {item and item[1]}, not {row['notification_id']}"))
    found += [Anomaly("mail", id_, f"{len(some)} different mails have it") for id_, some in contents.items() if len(some) > 1]
    found += [
        Anomaly("mail", f"{recipient}: {item}", f"came under {len(ids)} ids")
        for (recipient, item), ids in ids_of.items()
        if len(ids) > 1
    ]
    away = {_delivery(id_) for id_ in refused}
    for id_, row in planned.items():
        if row["state"] == "sent" and id_ not in contents:
            found.append(Anomaly("mail lost", id_, "is said to be sent, and never came"))
        if row["state"] == "failed" and (id_ not in away or OUR_FAULT in str(row["reason"])):
            found.append(Anomaly("mail lost", id_, f"failed without having been refused: {row['reason']}"))
    without = await rows(
        dsn,
        "notify",
        "select id::text from notification n where not exists (select from delivery d where d.notification_id = n.id)",
    )
    return found + [Anomaly("mail lost", row["id"], "no mail was planned for this notification") for row in without]


def _delivery(message_id: str | None) -> str:
    return (message_id or "").strip().strip("<>").partition("@")[0]
