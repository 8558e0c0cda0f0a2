"""A campaign: rounds of a house, a workload and a nemesis; after each it heals, comes to rest, and is judged.

`python -m tests.faults.campaign --minutes M --seed S --kind real|embedded|both [--report FILE]`. The seed is printed first; it
steers what is done, not when the machine does it. Ends with 1 if there was any anomaly, all of which are printed.
"""

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import machine
from tests.faults import evidence, rest, states, verdict
from tests.faults.counter import DEADLOCK, POISON
from tests.faults.house import House, Kind, house
from tests.faults.ledger import Ledger
from tests.faults.nemesis import BROKER_RESTARTS, Nemesis
from tests.faults.oracle import Oracle, oracle
from tests.faults.sending import Surroundings
from tests.faults.verdict import Anomaly
from tests.faults.workload import Rates

ROUND_MINUTES: Mapping[Kind, float] = {"real": 18, "embedded": 4}
"""An embedded broker is sent the whole outbox again in each of its lives, so its rounds are short."""
EMBEDDED_SHARE = 0.15
"""Of the minutes of a campaign of both kinds."""
REST_SECONDS = 300.0
ANSWERED_SECONDS = 120.0
CURED_AFTER = 2
"""Waves of trouble (of 15 s) until one is cured."""
RATES: Mapping[Kind, Rates] = {"real": Rates(counter=300), "embedded": Rates(counter=100, cheap=15, dear=1)}
PACE: Mapping[Kind, float] = {"real": 0.7, "embedded": 0.8}
"""A process that is killed takes seconds to be back; on the embedded broker it is the only one."""


@dataclass(frozen=True)
class Goal:
    """When a round is over: when so much has happened and so many seconds have gone by; in any case after `at_most`."""

    seconds: float
    at_most: float
    events: int = 0
    faults: int = 0
    kills: int = 0
    broker_restarts: int = 0

    def reached(self, seconds: float, events: int, faults: Counter[str], killed: int) -> bool:
        """Whether it is over."""
        if seconds >= self.at_most:
            return True
        return (
            seconds >= self.seconds
            and events >= self.events
            and faults.total() >= self.faults
            and killed >= self.kills
            and sum(faults[kind] for kind in BROKER_RESTARTS) >= self.broker_restarts
        )


@dataclass
class Round:
    """What one round came to. `anomalies` is empty if the promise was kept."""

    kind: Kind
    seed: int
    seconds: float = 0
    sent: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    crash_points: dict[str, int] = field(default_factory=dict)
    killed: int = 0
    """Processes that ended by kill -9, by others or by themselves at a crash point."""
    starts: int = 0
    rest_seconds: float = 0
    figures: dict[str, float] = field(default_factory=dict)
    anomalies: list[Anomaly] = field(default_factory=list)
    kept: str = ""

    @property
    def accepted(self) -> int:
        return self.sent.get("accepted", 0)

    @property
    def broker_restarts(self) -> int:
        return sum(self.faults.get(kind, 0) for kind in BROKER_RESTARTS)


async def fight(
    kind: Kind,
    seed: int,
    goal: Goal,
    folder: Path,
    *,
    rates: Rates | None = None,
    pace: float = 1.0,
    patience: float = REST_SECONDS,
    **of_house: Any,
) -> Round:
    """One round in a folder of its own, which keeps ledger, evidence and logs."""
    result = Round(kind, seed, kept=str(folder))
    async with house(kind, folder, **of_house) as made:
        where = Surroundings(made.all_origins, made.partner_key, made.kafka, has_a_limit=kind == "real")
        async with oracle(folder / "ledger", folder / "oracle.log", seed, rates or RATES[kind], where) as sender:
            await _struggle(made, sender, Nemesis(made, seed, pace=pace), goal, result)
            await rest.cure(made.postgres_dsn, _troubles(sender.wave + 100))
            await sender.finish(within=ANSWERED_SECONDS)
            result.sent = dict(sender.counts)
        begun = time.monotonic()
        left = await rest.at_rest(made.postgres_dsn, within=patience)
        result.rest_seconds = round(time.monotonic() - begun, 1)
        result.anomalies = [Anomaly("stuck", what, f"{amount} left after {patience:.0f} s") for what, amount in left.items()]
        result.anomalies += await _judged(made, folder / "ledger", result)
        result.starts = made.supervisor.starts()
    return result


async def _struggle(made: House, sender: Oracle, nemesis: Nemesis, goal: Goal, result: Round) -> None:
    """The workload and the nemesis, side by side, until the goal is reached; then the nemesis has healed everything."""
    stop, cured, kafka = asyncio.Event(), 0, made.kafka
    breaking = asyncio.create_task(nemesis.run_until(stop))
    begun = time.monotonic()
    try:
        while not goal.reached(time.monotonic() - begun, sender.accepted, nemesis.counts, _killed(made)):
            await asyncio.sleep(0.5)
            if not sender.lives:
                raise AssertionError(f"the oracle ended too early: see {result.kept}/oracle.log")
            if breaking.done():
                breaking.result()
            if made.kafka != kafka:
                kafka = made.kafka
                sender.tell(kafka=kafka)
            if sender.wave - CURED_AFTER > cured:
                cured = await _cure(made, sender.wave - CURED_AFTER, cured)
    finally:
        result.killed = _killed(made)
        stop.set()
        await breaking
    sender.tell(kafka=made.kafka)
    result.seconds = round(time.monotonic() - begun, 1)
    result.faults, result.crash_points = dict(nemesis.counts), dict(nemesis.points)


def _killed(made: House) -> int:
    return sum(life.code == -signal.SIGKILL for watched in made.processes.values() for life in watched.lives)


async def _cure(made: House, until: int, before: int) -> int:
    try:
        await rest.cure(made.postgres_dsn, _troubles(until))
    except Exception:  # noqa: BLE001  PostgreSQL may be down just now; the next time, then
        return before
    return until


def _troubles(waves: int) -> list[str]:
    return [f"{name}{wave}" for wave in range(waves) for name in (POISON, DEADLOCK)]


async def _judged(made: House, ledger: Path, result: Round) -> list[Anomaly]:
    book = Ledger(ledger).connection
    try:
        await evidence.collect(book, made.postgres_dsn, made.kafka)
        # In a thread: the house's proxies live in this one, and their services would take the silence for a fault.
        found = await asyncio.to_thread(verdict.judge, book, real=made.kind == "real")
        found += await states.compare(book, made.postgres_dsn)
        mailbox = made.mailbox
        arrived = list(zip(mailbox.messages, mailbox.recipients, strict=True))
        found += await states.mails(made.postgres_dsn, arrived, mailbox.refused_for_good)
        result.figures = verdict.figures(book) | {"mails": len(arrived)}
        return found
    finally:
        book.close()


def plan(kind: str, minutes: float) -> list[tuple[Kind, float]]:
    """The rounds of a campaign: their kinds and seconds."""
    shares: dict[Kind, float] = {}
    if kind in ("real", "both"):
        shares["real"] = minutes * (1 - EMBEDDED_SHARE if kind == "both" else 1)
    if kind in ("embedded", "both"):
        shares["embedded"] = minutes * (EMBEDDED_SHARE if kind == "both" else 1)
    rounds: list[tuple[Kind, float]] = []
    for which, share in shares.items():
        amount = max(1, round(share / ROUND_MINUTES[which]))
        rounds.extend((which, share * 60 / amount) for _ in range(amount))
    return rounds


async def run(kind: str, minutes: float, seed: int, folder: Path) -> dict[str, Any]:
    """All rounds; what they came to, for the report."""
    begun = time.monotonic()
    found: dict[str, Any] = {"seed": seed, "kind": kind, "minutes": minutes, "machine": machine.facts(), "rounds": []}
    for number, (which, seconds) in enumerate(plan(kind, minutes), start=1):
        say(f"round {number}: {which}, {seconds:.0f} s, seed {seed + number}")
        round_ = await fight(which, seed + number, Goal(seconds, seconds), folder / f"round-{number}-{which}", pace=PACE[which])
        faults = sum(round_.faults.values())
        say(f"  {round_.accepted} events, {faults} faults, {round_.killed} processes killed; {round_.figures}")
        say(verdict.in_words(round_.anomalies))
        found["rounds"].append(asdict(round_))
        if not round_.anomalies:
            shutil.rmtree(folder / f"round-{number}-{which}", ignore_errors=True)
    found["seconds"] = round(time.monotonic() - begun)
    return found


async def _until_ended(kind: str, minutes: float, seed: int, folder: Path) -> dict[str, Any]:
    """The same; whoever ends us with SIGTERM gets the house taken down first."""
    running = asyncio.ensure_future(run(kind, minutes, seed, folder))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await running


def say(words: str) -> None:
    """Progress."""
    print(words, flush=True)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--kind", choices=("real", "embedded", "both"), default="both")
    parser.add_argument("--report", type=Path, help="a file for what it came to, as JSON (see tests.faults.report)")
    parser.add_argument("--folder", type=Path, help="where ledgers and logs of rounds with anomalies stay; else a temporary one")
    given = parser.parse_args()
    say(f"seed {given.seed}")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="musubi-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    found = asyncio.run(_until_ended(given.kind, given.minutes, given.seed, folder))
    if given.report:
        given.report.write_text(json.dumps(found, indent=1))
    anomalies = sum(len(round_["anomalies"]) for round_ in found["rounds"])
    say(f"seed {given.seed}: {anomalies} anomalies" + (f"; see {folder}" if anomalies else ""))
    return 1 if anomalies else 0


if __name__ == "__main__":
    sys.exit(main())
