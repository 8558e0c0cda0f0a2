"""Our engine under a stream of changes: each batch is one transaction, after which all lists are exact.

It is handed the domain's objects, as the service's handlers make them of events, and packs them itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from bench.matching.changes import Change
from bench.matching.records import NOT_STATED, Market, Records, identifier
from matching.domain.shortlist import LENGTH
from matching.domain.sides import Need, Offering
from matching.engine.field import Field
from matching.engine.market import Market as Rates


@dataclass
class FieldChanges:
    """What a batch changes in one field; each id once."""

    offerings: dict[str, Offering] = field(default_factory=dict)
    offerings_gone: list[str] = field(default_factory=list)
    needs: dict[str, tuple[Need, date]] = field(default_factory=dict)
    needs_gone: list[str] = field(default_factory=list)


class Musubi:
    """The engine with a market's offerings and some open needs."""

    name = "Musubi"

    def __init__(self, market: Market, needs: Records) -> None:
        self._lexicon = market.lexicon
        rates = Rates()
        rates.set(market.lexicon.rates)
        places = (name.partition("/") for name in market.lexicon.fields)
        self._fields = [Field(group, unit, rates) for group, _, unit in places]
        for number, one in enumerate(self._fields):
            offerings = market.offerings[(market.offerings["fields"] == number).any(axis=1)]
            asking = needs[needs["field"] == number]
            one.load([self._lexicon.offering(record) for record in offerings], [self._asking(record) for record in asking])

    def _asking(self, record: Any) -> tuple[Need, date]:
        return self._lexicon.need(record), self._lexicon.today

    def prepared(self, batch: Sequence[Change]) -> dict[int, FieldChanges]:
        """The batch as objects, by field; of what changed twice only the newest."""
        by_field: dict[int, FieldChanges] = {}
        for kind, record in newest(batch):
            for at in fields_of(kind, record):
                changes = by_field.setdefault(at, FieldChanges())
                if kind == "offering":
                    changes.offerings[identifier(record["id"])] = self._lexicon.offering(record)
                elif kind == "offering gone":
                    changes.offerings_gone.append(identifier(record["id"]))
                elif kind == "need":
                    changes.needs[identifier(record["id"])] = self._asking(record)
                else:
                    changes.needs_gone.append(identifier(record["id"]))
        return by_field

    def apply(self, batch: dict[int, FieldChanges]) -> int:
        """As one transaction. Returns how many lists read differently."""
        changed = 0
        for at, changes in batch.items():
            one = self._fields[at]
            if changes.offerings or changes.offerings_gone:
                one.change_offerings(list(changes.offerings.values()), changes.offerings_gone)
            if changes.needs or changes.needs_gone:
                one.change_needs(list(changes.needs.values()), changes.needs_gone)
            changed += len(one.changed_lists())
            one.keep()
        return changed

    def listed(self, need: Any) -> list[tuple[int, str]]:
        """Score and id of its ten."""
        standing = self._fields[int(need["field"])].standing(identifier(need["id"]))
        return [(rank.score, rank.offering_id) for rank in standing.ranks[:LENGTH]] if standing else []

    def bytes(self) -> tuple[int, int]:
        """Of memory, for offerings and for needs with their lists, as the engine counts it."""
        sizes = [one.bytes for one in self._fields]
        return sum(offerings for offerings, _ in sizes), sum(needs for _, needs in sizes)

    def slow_ways(self) -> str:
        counts = [one.counts for one in self._fields]
        searches, loose = sum(one.searches for one in counts), sum(one.loose_searches for one in counts)
        return (
            f"{searches:,} searches, {loose:,} not by kernels; {sum(one.judged_plainly for one in counts):,} pairs judged plainly"
        )


def newest(batch: Sequence[Change]) -> list[Change]:
    """Of what changed more than once, the last."""
    return list({(change.kind.split()[0], change.record["id"].tobytes()): change for change in batch}.values())


def fields_of(kind: str, record: Any) -> list[int]:
    if kind.startswith("need"):
        return [int(record["field"])]
    return sorted({at for at in record["fields"].tolist() if at != NOT_STATED})
