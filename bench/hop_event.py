"""The benchmark's event: about 1 kB of JSON about a need, and the tables that both kinds of hop write."""

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from common.clock import rfc3339
from common.contracts.registry import Topic
from common.contracts.values import Fact
from common.exact_json import dump
from common.messaging.message import Event

IN, OUT = "bench.needs", "bench.indexed"
PARTITIONS = 6
TOPICS = {name: Topic(name, "state", "bench", partitions=PARTITIONS) for name in (IN, OUT)}
BODY_BYTES = 1024

STATE_TABLE = """create table state (
    id text primary key, version integer not null, data jsonb not null, updated_at timestamptz not null default now()
);"""
UPSERT = """insert into state (id, version, data) select id, 1, data::jsonb from unnest($1::text[], $2::text[]) as x(id, data)
on conflict (id) do update set version = state.version + 1, data = excluded.data, updated_at = now()"""


class NeedFields(Fact):
    """Plain fields, so that the hop is measured and not a contract's rules."""

    id: str
    title: str
    category: str
    latitude: float
    longitude: float
    quantity: int
    price: Decimal
    tags: list[str]
    text: str

    @property
    def subject(self) -> str:
        return self.id


class NeedChanged(NeedFields):
    """What comes in."""

    type: ClassVar[str] = "bench.need-changed.v1"
    topic: ClassVar[str] = IN


class NeedIndexed(NeedFields):
    """What goes out."""

    type: ClassVar[str] = "bench.need-indexed.v1"
    topic: ClassVar[str] = OUT


FACTS: dict[str, type[Fact]] = {NeedChanged.type: NeedChanged, NeedIndexed.type: NeedIndexed}


def events(amount: int, keys: int, *, sampling: float) -> Iterator[Event]:
    """So many changes of so many needs, in an order without pattern; a share of them belongs to a sampled trace."""
    rng = random.Random(1)
    sequences: Counter[str] = Counter()
    now = rfc3339(datetime.now(UTC))
    for number in range(amount):
        key = f"need-{number * 2654435761 % 2**32 % keys}"
        sequences[key] += 1
        need = NeedChanged(
            id=key, title=f"Need of something {number}", category="lighting", latitude=rng.random() * 90,
            longitude=rng.random() * 180, quantity=5, price=Decimal(rng.randrange(10**6)) / 100, tags=["a", "urgent"], text="",
        )  # fmt: skip
        need = need.model_copy(update={"text": ("lorem ipsum dolor sit amet " * 40)[: BODY_BYTES - len(dump(need))]})
        flags = "01" if rng.random() < sampling else "00"
        trace = f"00-{rng.getrandbits(128):032x}-{rng.getrandbits(64):016x}-{flags}".encode()
        id_ = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        yield Event(IN, key, sequences[key], id_, NeedChanged.type, "/services/bench", now, dump(need), trace, id_, "")
