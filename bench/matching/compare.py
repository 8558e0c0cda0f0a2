"""The matching engine beside engines that one would pick instead. `python -m bench.matching.compare --help`

All count the same points by the same gates, on the same market, and give the same ten; every difference is counted, and a sample
is judged by the plain rules. One thread each. `bench/README.md` says what was done for each.
"""

import argparse
import gc
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import machine
from bench.matching import lucene_peer, numpy_peer, ours, postgres_peer, real
from bench.matching.engines import Entered, EventPeer, Found, Latency, Lists, Peer, mismatches
from bench.matching.oracle import Oracle, wrong
from bench.matching.records import Market
from bench.matching.workload import SKEWS, Sizes, market

ENGINES = ("musubi", "lucene", "monitor", "postgres", "numpy")


@dataclass(frozen=True)
class Figure:
    """One engine's answer to one question on one market."""

    market: str
    offerings: int
    open_needs: int
    question: str
    engine: str
    p50: float
    p99: float
    mean: float
    number: int
    differences: int
    """To the first engine, over all that both answered."""


@dataclass(frozen=True)
class Plan:
    """How much is asked."""

    engines: Sequence[str]
    needs: int
    postgres_needs: int
    numpy_needs: int
    events: int
    sample: int


# New needs -----------------------------------------------------------------------------------------------------------


def searchers(market: Market, plan: Plan, stack: ExitStack) -> Iterator[tuple[Peer, int]]:
    """Each engine, loaded, and how many needs it is asked; one at a time, so that none is in another's way."""
    everything = min(plan.needs, len(market.needs))
    if "musubi" in plan.engines:
        yield stack.enter_context(ours.opened(market)), everything
    if "lucene" in plan.engines:
        lucene = stack.enter_context(lucene_peer.written(market))
        yield lucene_peer.SearchPeer(lucene, "heap"), everything
        yield lucene_peer.SearchPeer(lucene, "values"), everything
    if "numpy" in plan.engines:
        yield numpy_peer.NumpyPeer(market), min(plan.numpy_needs, everything)
    if "postgres" in plan.engines:
        yield stack.enter_context(postgres_peer.opened(market)), min(plan.postgres_needs, everything)


def new_needs(market: Market, plan: Plan) -> list[Figure]:
    print(f"\nA new need comes: its best ten of {len(market.offerings):,} offerings ({market.name})")
    figures: list[Figure] = []
    first: Found | None = None
    with ExitStack() as stack:
        for peer, number in searchers(market, plan, stack):
            begun = time.perf_counter()
            found = peer.new_needs(number)
            first = first or found
            differences = sum(1 for _ in mismatches(first, found))
            figures.append(_figure(market, 0, "a new need", peer.name, Latency.of(found.nanoseconds), differences))
            tell(figures[-1], time.perf_counter() - begun)
            gc.collect()
    if first and plan.sample:
        sample = min(plan.sample, len(first.nanoseconds))
        print(f"  {sample} of them judged by the plain rules: {sum(1 for _ in wrong(market, first, sample))} different")
    return figures


# New offerings -------------------------------------------------------------------------------------------------------


def listeners(market: Market, lists: Lists, plan: Plan, stack: ExitStack) -> Iterator[EventPeer]:
    if "musubi" in plan.engines:
        yield stack.enter_context(ours.opened_with_needs(market, lists))
    if {"lucene", "monitor"} & set(plan.engines):
        lucene = stack.enter_context(lucene_peer.written(market, lists))
        if "lucene" in plan.engines:
            yield lucene_peer.ReversePeer(lucene)
        if "monitor" in plan.engines:
            yield lucene_peer.MonitorPeer(lucene)


def lists_of_all(market: Market, plan: Plan) -> Lists:
    """The open needs' lists before anything comes, from an engine whose answers were compared before."""
    if {"lucene", "monitor"} & set(plan.engines):
        with lucene_peer.written(market) as lucene:
            return lucene_peer.SearchPeer(lucene, "heap").new_needs(len(market.needs)).lists
    return numpy_peer.NumpyPeer(market).new_needs(len(market.needs)).lists


def new_offerings(market: Market, plan: Plan) -> list[Figure]:
    number = min(plan.events, len(market.events))
    if not number:
        return []
    print(
        f"\nA new offering comes: into whose ten does it enter, of {len(market.needs):,} open needs "
        f"with {len(market.offerings):,} offerings before ({market.name})"
    )
    lists = lists_of_all(market, plan)
    figures: list[Figure] = []
    first: Entered | None = None
    with ExitStack() as stack:
        for peer in listeners(market, lists, plan, stack):
            begun = time.perf_counter()
            entered = peer.new_offerings(number)
            first = first or entered
            differences = sum(one != other for one, other in zip(first.needs, entered.needs, strict=True))
            latency = Latency.of(entered.nanoseconds)
            figures.append(_figure(market, len(market.needs), "a new offering", peer.name, latency, differences))
            tell(figures[-1], time.perf_counter() - begun)
    if first:
        print(f"  each enters {sum(map(len, first.needs)) / number:.2f} lists on average")
        if plan.sample:
            sample, oracle = min(plan.sample, number), Oracle(market)
            different = sum(oracle.entered(event, lists) != first.needs[event] for event in range(sample))
            print(f"  the first {sample} judged by the plain rules, with all needs: {different} different")
    return figures


# Telling -------------------------------------------------------------------------------------------------------------


def _figure(market: Market, open_needs: int, question: str, engine: str, latency: Latency, differences: int) -> Figure:
    return Figure(market.name, len(market.offerings), open_needs, question, engine, *latency, differences)


def tell(figure: Figure, seconds: float) -> None:
    print(
        f"  {figure.engine:32} p50 {figure.p50:9,.1f} µs   p99 {figure.p99:10,.1f}   mean {figure.mean:9,.1f}   "
        f"n={figure.number:,}, {figure.differences} different, {seconds:.0f} s in all",
        flush=True,
    )


def ratios(figures: Sequence[Figure]) -> Iterator[str]:
    """How many times longer than the first engine each took, by question and market."""
    first: dict[tuple[str, int, str], Figure] = {}
    for figure in figures:
        ours = first.setdefault((figure.market, figure.offerings, figure.question), figure)
        if ours is not figure:
            yield (
                f"{figure.question}, {figure.market}, {figure.offerings:,} offerings: {figure.engine} takes "
                f"{figure.p50 / ours.p50:.1f} × {ours.engine} (p50), {figure.p99 / ours.p99:.1f} × (p99), "
                f"{figure.mean / ours.mean:.1f} × (mean)"
            )


def markets(options: argparse.Namespace) -> Iterator[tuple[Market, bool]]:
    """Each market, and whether new offerings come to it."""
    for skew in options.skew:
        for offerings in options.offerings:
            yield market(skew, Sizes(offerings, options.needs, 0), options.seed), False
        if options.events:
            sizes = Sizes(options.event_offerings, options.open_needs, options.events)
            yield market(skew, sizes, options.seed), True
    if options.real:
        yield real.market(options.real), False
        yield real.market(options.real, copies=1000), False


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.matching.compare", description=__doc__)
    parser.add_argument("--skew", nargs="*", choices=list(SKEWS), default=list(SKEWS))
    parser.add_argument("--offerings", nargs="*", type=int, default=[100_000, 1_000_000], help="sizes at which new needs come")
    parser.add_argument("--needs", type=int, default=3_000, help="how many new needs come")
    parser.add_argument("--postgres-needs", type=int, default=300, help="as many to PostgreSQL, which is slow")
    parser.add_argument("--numpy-needs", type=int, default=3_000, help="as many to numpy")
    parser.add_argument("--events", type=int, default=3_000, help="how many new offerings come; 0: none")
    parser.add_argument("--open-needs", type=int, default=100_000, help="needs that wait for them")
    parser.add_argument("--event-offerings", type=int, default=100_000, help="offerings that were there before them")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--sample", type=int, default=30, help="needs and events judged by the plain rules; 0: none")
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--real", type=Path, help="a folder with real_needs.json and real_offerings.json")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser


def main() -> None:
    chosen = options().parse_args()
    facts = machine.facts()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    plan = Plan(chosen.engines, chosen.needs, chosen.postgres_needs, chosen.numpy_needs, chosen.events, chosen.sample)
    figures: list[Figure] = []
    for one, with_events in markets(chosen):
        figures += new_offerings(one, plan) if with_events else new_needs(one, plan)
    print()
    print("\n".join(ratios(figures)))
    if chosen.json:
        written = {"machine": facts, "figures": [asdict(figure) for figure in figures]}
        chosen.json.write_text(json.dumps(written, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
