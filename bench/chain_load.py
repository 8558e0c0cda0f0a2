"""What partners send in the chain's benchmark: the world of `bench.workload` as requests to the services."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
import httpx

from bench.open_loop import Sent, drive
from bench.workload import World, need_submission, offering_submission
from common.contracts.catalog import CompanySubmitted, ExchangeRateSubmitted, OfferingListed
from common.contracts.needs import NeedPosted
from common.contracts.values import Submission
from common.exact_json import to_json

BATCH = "application/cloudevents-batch+json"
AT_ONCE = 50
SIDE_BY_SIDE = 3
REST_SECONDS = 900


class Item(NamedTuple):
    """One event to be sent; `kind` is what it does, for the table."""

    id: str
    kind: str
    service: str
    subject: str
    text: bytes


class Announced(NamedTuple):
    """The aggregate that an event became."""

    topic: str
    key: str


@dataclass
class Partner:
    """Sends events to the services, each in its own process. `keys` says what each accepted event became, by the event's id."""

    clients: dict[str, httpx.AsyncClient]
    keys: dict[str, Announced] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def speaking(cls, origins: dict[str, str], key: str) -> AsyncIterator["Partner"]:
        headers = {"authorization": f"Bearer {key}", "content-type": BATCH}
        limits = httpx.Limits(max_connections=200)
        clients = {
            name: httpx.AsyncClient(base_url=origin, headers=headers, timeout=60, limits=limits)
            for name, origin in origins.items()
        }
        try:
            yield cls(clients)
        finally:
            for client in clients.values():
                await client.aclose()

    async def send(self, items: Sequence[Item]) -> None:
        """One request; raises where anything was not accepted."""
        service = items[0].service
        body = b"[" + b",".join(item.text for item in items) + b"]"
        answer = await self.clients[service].post(f"/api/{service}/v1/events", content=body)
        results = answer.json().get("results", [])
        refused = [result for result in results if result["status"] != "accepted"]
        if answer.status_code != 202 or refused:
            raise RuntimeError(f"{answer.status_code}: {refused or answer.text[:500]}")
        topic = {"needs": NeedPosted.topic, "catalog": OfferingListed.topic}[service]
        for item, result in zip(items, results, strict=True):
            self.keys[item.id] = Announced(topic, result["aggregate_id"])

    async def send_all(self, items: Iterable[Item]) -> None:
        """Many to a request, a few requests side by side; in order where the service changes."""
        waiting: list[Item] = []
        requests: list[list[Item]] = []
        for item in items:
            if waiting and (item.service != waiting[0].service or item.kind != waiting[0].kind or len(waiting) == AT_ONCE):
                requests.append(waiting)
                waiting = []
            if requests and item.kind != requests[0][0].kind:
                await self._side_by_side(requests)
                requests = []
            waiting.append(item)
        await self._side_by_side([*requests, waiting])

    async def _side_by_side(self, requests: list[list[Item]]) -> None:
        left = iter(requests)

        async def worker() -> None:
            for request in left:
                await self.send(request)

        await asyncio.gather(*(worker() for _ in range(SIDE_BY_SIDE)))


def before(world: World, offerings: int) -> Iterator[Item]:
    """Rates, companies and offerings; and the municipalities."""
    for rate in world.rates():
        yield item("load", rate.currency, ExchangeRateSubmitted(**dict(rate)))
    made = [world.offering() for _ in range(offerings)]
    for company in {offering.company.id: offering.company for offering in made}.values():
        yield item("company", company.id, CompanySubmitted(names=company.names, country=company.country, example=company.example))
    for offering in made:
        yield item("offering", offering.id, offering_submission(offering))
    for subject, city in world.municipalities():
        yield item("city", subject, city)


def needs(world: World, amount: int) -> Iterator[Item]:
    for _ in range(amount):
        need = world.need()
        yield item("need", need.id, need_submission(need))


def stream(world: World, amount: int) -> list[Item]:
    """The stream of changes. No offering comes twice in it, so that each event's effect can be told from the others'."""
    seen: set[str] = set()
    items: list[Item] = []
    while len(items) < amount:
        change = world.change()
        if isinstance(change, NeedPosted):
            items.append(item("new need", change.id, need_submission(change)))
        elif change.id not in seen:
            seen.add(change.id)
            kind = "withdrawn offering" if change.status == "withdrawn" else "changed offering"
            items.append(item(kind, change.id, offering_submission(change)))
    return items


def item(kind: str, subject: str, submission: Submission) -> Item:
    """A submission as the CloudEvent that carries it."""
    id_ = str(uuid.uuid4())
    event = {
        "specversion": "1.0",
        "id": id_,
        "source": "https://bench.example",
        "type": submission.type,
        "subject": subject,
        "time": datetime.now(UTC).isoformat(),
        "data": submission.model_dump(),
    }
    return Item(id_, kind, submission.service, subject, to_json(event))


async def drive_chain(partner: Partner, items: Sequence[Item], moments: Sequence[float]) -> Sent[str]:
    """Each event at its moment, in a request of its own."""
    by_id = {one.id: one for one in items}

    async def send(id_: str) -> None:
        await partner.send([by_id[id_]])

    return await drive(list(by_id), moments, send)


UNHANDLED = """
select (select count(*) from {producer}.unsent) + (
    select count(*) from {producer}.stream_head h
    left join {group}.inbox_cursor c on c.grp = '{group}' and c.topic = h.topic and c.key = h.key
    where h.topic = $1 and c.last is distinct from h.sequence
)"""
EDGES = (
    ("needs", "needs.needs", "matching"),
    ("catalog", "catalog.offerings", "matching"),
    ("catalog", "catalog.exchange-rates", "matching"),
    ("needs", "needs.municipalities", "notify"),
    ("catalog", "catalog.companies", "notify"),
    ("matching", "matching.proposals", "notify"),
)
"""Who announces on which topic to whom."""


async def set_mails_aside(postgres: str) -> int:
    """The mails of the loading are not written: they are many, and not what is measured. Returns how many."""
    connection = await asyncpg.connect(postgres)
    try:
        done = await connection.execute(
            "update notify.delivery set state = 'inbox_only', finished_at = now() where finished_at is null"
        )
        return int(done.split()[-1])
    finally:
        await connection.close()


async def at_rest(postgres: str) -> None:
    """Wait until everything announced has been handled and every duty of now is done."""
    connection = await asyncpg.connect(postgres)
    deadline = time.monotonic() + REST_SECONDS
    try:
        while left := await _left(connection):
            if time.monotonic() > deadline:
                raise RuntimeError(f"not at rest after {REST_SECONDS} s: {left}")
            await asyncio.sleep(0.5)
    finally:
        await connection.close()


async def _left(connection: Any) -> dict[str, int]:
    left = {
        f"{topic} for {group}": await connection.fetchval(UNHANDLED.format(producer=producer, group=group), topic)
        for producer, topic, group in EDGES
    }
    left["duties"] = await connection.fetchval("select count(*) from matching.due where next_try <= now()")
    return {what: amount for what, amount in left.items() if amount}
