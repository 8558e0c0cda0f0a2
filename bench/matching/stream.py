"""A whole stream with exact lists: events a second, memory, and what filling anew takes. `python -m bench.matching.stream --help`

70 % changed offerings, 25 % new needs, 5 % withdrawals (see `changes`). Between batches, lists of needs drawn at random are
compared with the plain rules over everything that is listed at that moment. One thread.
"""

import argparse
import gc
import json
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench import machine
from bench.matching import streaming
from bench.matching.changes import Change, Changes
from bench.matching.engines import Latency
from bench.matching.records import Lexicon, Market
from bench.matching.workload import SKEWS, Sizes, market
from matching.domain.shortlist import LENGTH, judge
from matching.domain.sides import Offering

SIZES = {"small": (100_000, 10_000), "large": (1_000_000, 100_000)}
"""Offerings and open needs."""


class Engine(Protocol):
    """What a stream asks of an engine that was filled with offerings and open needs."""

    name: str

    def prepared(self, batch: Sequence[Change]) -> Any:
        """The batch in the form in which the service hands it over; not measured."""
        ...

    def apply(self, batch: Any) -> int:
        """All of it as one transaction, all lists exact afterwards. Returns how many read differently."""
        ...

    def listed(self, need: Any) -> list[tuple[int, str]]:
        """Score and offering id of the ten of this need (its record), best first."""
        ...

    def bytes(self) -> tuple[int, int]:
        """Memory for offerings, and for needs with their lists, as the engine counts it."""
        ...

    def slow_ways(self) -> str:
        """How often it could not take its quick way, in words."""
        ...


@dataclass(frozen=True)
class Result:
    market: str
    offerings: int
    needs: int
    events: int
    batch: int
    seconds_to_fill: float
    events_per_second: float
    p50: float
    p99: float
    mean: float
    """Microseconds a batch."""
    bytes_a_row: float
    bytes_a_need: float
    process_mb: float
    lists_compared: int
    lists_different: int


def run(skew: str, size: tuple[int, int], events: int, batch: int, seed: int, sample: int) -> Result:
    offerings, open_needs = size
    sizes = Sizes(offerings, open_needs + events // 3, events // 8)
    whole = market(skew, sizes, seed)
    changes = Changes(whole, open_needs, seed)
    gc.collect()
    before, begun = resident(), time.perf_counter()
    engine: Engine = streaming.Musubi(whole, whole.needs[:open_needs])
    to_fill = time.perf_counter() - begun
    gc.collect()
    taken = resident() - before
    rows, needs = engine.bytes()
    each_row, each_need = rows / number_of_rows(whole), needs / open_needs
    print(
        f"\n{whole.name}: {offerings:,} offerings and {open_needs:,} needs with their lists filled in {to_fill:.1f} s; "
        f"{each_row:.0f} B a row, {each_need:.0f} B a need; {taken / 1e6:,.0f} MB more in the process",
        flush=True,
    )
    check = Check(whole.lexicon, changes, seed)
    nanoseconds: list[int] = []
    done = changed = 0
    for round_of in rounds(changes, events, batch):
        prepared = deque(engine.prepared(one) for one in round_of)
        while prepared:
            one = prepared.popleft()
            started = time.perf_counter_ns()
            changed += engine.apply(one)
            nanoseconds.append(time.perf_counter_ns() - started)
        done += sum(map(len, round_of))
        check.lists(engine, sample)
    latency = Latency.of(np.array(nanoseconds))
    per_second = done / (sum(nanoseconds) / 1e9)
    print(
        f"  {done:,} events, {batch} a transaction: {per_second:,.0f} events/s; a transaction p50 {latency.p50:,.1f} µs, "
        f"p99 {latency.p99:,.1f}, mean {latency.mean:,.1f}; {changed / done:.2f} lists changed each; {engine.slow_ways()}\n"
        f"  {check.compared:,} lists judged by the plain rules: {check.different} different",
        flush=True,
    )
    return Result(
        whole.name, offerings, open_needs, done, batch, to_fill, per_second, latency.p50, latency.p99, latency.mean,
        each_row, each_need, taken / 1e6, check.compared, check.different,
    )  # fmt: skip


def rounds(changes: Changes, events: int, batch: int, number: int = 10) -> Iterator[list[list[Change]]]:
    """The stream in ten parts of many batches; between them lists are compared."""
    for _ in range(number):
        part = list(changes.take(events // number))
        yield [part[begin : begin + batch] for begin in range(0, len(part), batch)]


class Check:
    """Compares lists with the plain rules over the state that the changes led to."""

    def __init__(self, lexicon: Lexicon, changes: Changes, seed: int) -> None:
        self._lexicon, self._changes = lexicon, changes
        self._random = np.random.default_rng(seed)
        self._made: dict[bytes, Offering] = {}
        self.compared = self.different = 0

    def lists(self, engine: Engine, sample: int) -> None:
        for need in self._random.choice(np.flatnonzero(self._changes.open), sample, replace=False).tolist():
            record = self._changes.needs[need]
            self.compared += 1
            if engine.listed(record) != self._best(record):
                self.different += 1

    def _best(self, record: Any) -> list[tuple[int, str]]:
        offerings, need = self._changes.offerings, self._lexicon.need(record)
        rows = np.flatnonzero((offerings["fields"] == record["field"]).any(axis=1) & self._changes.listed)
        judged = [judge(need, self._offering(offerings[row]), self._lexicon.circumstances) for row in rows.tolist()]
        best = sorted(one.rank for one in judged if one is not None)[:LENGTH]
        return [(rank.score, rank.offering_id) for rank in best]

    def _offering(self, record: Any) -> Offering:
        """Made once for each version of the record."""
        key = record.tobytes()
        if key not in self._made:
            self._made[key] = self._lexicon.offering(record)
        return self._made[key]


def number_of_rows(market: Market) -> int:
    """An offering in two fields has a row in each."""
    fields = market.offerings["fields"]
    return int((fields[:, 0] >= 0).sum() + ((fields[:, 1] >= 0) & (fields[:, 1] != fields[:, 0])).sum())


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.matching.stream", description=__doc__)
    parser.add_argument("--skew", nargs="*", choices=list(SKEWS), default=list(SKEWS))
    parser.add_argument(
        "--size",
        nargs="*",
        choices=list(SIZES),
        default=list(SIZES),
        help="small: 100,000 offerings and 10,000 needs; large: ten times",
    )
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=1, help="events in a transaction")
    parser.add_argument("--seeds", nargs="*", type=int, default=[7])
    parser.add_argument("--sample", type=int, default=10, help="lists judged by the plain rules after each tenth")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser


def main() -> None:
    chosen, facts = options().parse_args(), machine.facts()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    results = [
        run(skew, SIZES[size], chosen.events, chosen.batch, seed, chosen.sample)
        for size in chosen.size
        for skew in chosen.skew
        for seed in chosen.seeds
    ]
    if chosen.json:
        written = {"machine": facts, "results": [asdict(one) for one in results]}
        chosen.json.write_text(json.dumps(written, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
