"""A small service on the product's own skeleton that carries the bulk of the events in the fault tests.

It takes batches in over HTTP and announces them, reads them back, records each effect and announces one event for each, which
`tests.faults.tally` reads. Nothing in their tables keeps an effect from being recorded twice.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from fastapi import APIRouter, FastAPI
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse

from common.clock import Clock, utc_now
from common.contracts import registry
from common.contracts.registry import Topic
from common.contracts.values import Fact, Value
from common.exact_json import dump, from_json
from common.messaging.consumer import Arrived
from common.service import Service
from common.settings import Settings
from common.telemetry import Telemetry
from common.transaction import Transaction
from common.web import application as web

MIGRATIONS = Path(__file__).parent / "counter_migrations"
SAID, SET, COUNTED = "faults.said", "faults.set", "faults.counted"

OWN_TOPICS = {
    topic.name: topic
    for topic in (
        Topic(SAID, "facts", "counter", readers=("counter",)),
        Topic(SET, "state", "counter", readers=("counter",)),
        Topic(COUNTED, "facts", "counter", readers=("tally",)),
    )
}
TOPICS: dict[str, Topic] = {**registry.TOPICS, **OWN_TOPICS}
"""All topics of a house in which these services run: the product's and their own."""

POISON, DEADLOCK = "poison-", "deadlock-"
"""How the name of a trouble begins says in which way the handler fails, as long as the name is not in the table `cured`."""


class Number(Fact):
    """The `number`th event of its key, by the oracle's count."""

    key: str
    number: int
    trouble: str = ""

    @property
    def subject(self) -> str:
        return self.key


class NumberSaid(Number):
    """Every one counts."""

    type: ClassVar[str] = "number.said.v1"
    topic: ClassVar[str] = SAID


class NumberSet(Number):
    """Only the newest counts."""

    type: ClassVar[str] = "number.set.v1"
    topic: ClassVar[str] = SET


class NumberCounted(Number):
    """What follows from one of the others; its key tells from which kind."""

    type: ClassVar[str] = "number.counted.v1"
    topic: ClassVar[str] = COUNTED


FACTS: dict[str, type[Fact]] = {**registry.FACTS, **{kind.type: kind for kind in (NumberSaid, NumberSet, NumberCounted)}}


async def count(arrived: Sequence[Arrived[Number]], tx: Transaction) -> None:
    """Announce one event for each, and record each effect: in this order, so that what fails has announced already."""
    for one in arrived:
        counted = NumberCounted(key=f"{one.event.topic}/{one.data.key}", number=one.data.number)
        tx.emit_json(NumberCounted, counted.subject, dump(counted), cause=one.event)
    await record(arrived, tx)


async def record(arrived: Sequence[Arrived[Number]], tx: Transaction) -> None:
    """Record each effect; then fail where an event says so and it is not cured."""
    await tx.connection.copy_records_to_table(
        "effect",
        columns=["topic", "key", "sequence", "event_id", "said", "number"],
        records=[
            (e.topic, e.key, e.sequence, e.id, e.correlation_id, data.number) for e, data in ((a.event, a.data) for a in arrived)
        ],
    )
    troubles = {one.data.trouble for one in arrived if one.data.trouble}
    if troubles:
        troubles -= {row[0] for row in await tx.fetch("select trouble from cured")}
    if any(trouble.startswith(DEADLOCK) for trouble in troubles):
        await tx.execute("do $$ begin raise exception 'a deadlock' using errcode = '40P01'; end $$")
    if troubles:
        raise ValueError("poison")


class Item(Value):
    """One event as the oracle sends it."""

    id: str
    topic: Literal["faults.said", "faults.set"]
    key: str
    number: int
    trouble: str = ""


_items = TypeAdapter(list[Item])
KINDS: Mapping[str, type[Number]] = {SAID: NumberSaid, SET: NumberSet}


async def take_in(items: Sequence[Item], tx: Transaction) -> list[str]:
    """Announce what is new. Says for each, in order: "accepted", "repeat", or "refused" for its other content."""
    fresh = await tx.fetch(
        """insert into received (id, topic, key, number, trouble)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) as x(id, topic, key, number, trouble)
        order by id on conflict do nothing returning id""",
        *(list(column) for column in zip(*(dict(item).values() for item in items), strict=True)),
    )  # fmt: skip
    new = {row[0] for row in fresh}
    known: dict[str, tuple[Any, ...]] = {}
    if len(new) < len(items):
        rows = await tx.fetch("select * from received where id = any($1::text[])", [item.id for item in items])
        known = {row["id"]: tuple(row) for row in rows}
    answers = []
    for item in items:
        if item.id in new:
            new.discard(item.id)
            tx.correlation_id = item.id
            tx.emit(KINDS[item.topic](key=item.key, number=item.number, trouble=item.trouble))
            answers.append("accepted")
        else:
            answers.append("repeat" if known[item.id] == tuple(dict(item).values()) else "refused")
    return answers


def routes(service: Service) -> APIRouter:
    """`POST /api/counter/v1/events`: a list of items, all taken in by one transaction; answered after the commit."""
    router = APIRouter()

    @router.post(f"/api/{service.name}/v1/events")
    async def events(request: Request) -> JSONResponse:
        items = _items.validate_python(from_json(await request.body()))
        async with service.database.transaction() as tx:
            answers = await take_in(items, tx)
        return JSONResponse({"results": answers}, 202)

    return router


def create_app(settings: Settings, *, clock: Clock = utc_now, telemetry: Telemetry | None = None) -> FastAPI:
    """The service that takes in, announces, and reads what it announced."""
    service = Service("counter", settings, migrations=MIGRATIONS, clock=clock, telemetry=telemetry)
    service.on_events({NumberSaid: count, NumberSet: count}, facts=FACTS, topics=TOPICS)
    app = web.application(service)
    app.include_router(routes(service))
    return app
