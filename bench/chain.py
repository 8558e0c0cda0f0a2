"""How long an event takes through the whole chain under an open load: `python -m bench.chain`.

Four services in four processes, a real Kafka, a real PostgreSQL with fsync. With needs and offerings loaded, events arrive by
Poisson, at a gentle rate and then at 100 a second: 70 % changed offerings, 25 % new needs, 5 % withdrawn offerings, each in a
request of its own. For every event: from the moment at which it was meant to be sent to the answer "accepted", to the commit
by which the shortlists that it touches are stored, and, for those that notify somebody, to the commit by which it stands in
the inbox. Commit times are PostgreSQL's own (`track_commit_timestamp`), so nothing is added to what is measured. Mails go
to an SMTP server that throws them away; only those of the loading before it are set aside. Before and after, at the same
rate, three hops written by hand as thinly as possible (`bench.thin_hops`).
"""

import argparse
import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from bench import chain_load, machine, thin_run
from bench.chain_times import Times, stored_and_told
from bench.open_loop import Sent, percentile, poisson
from musubi import embedded_postgres, topics
from notify.settings import NotifySettings
from tests import kafka_server
from tests.chain import partner_key
from tests.chain_process import services_in_a_process

SERVICES = ("needs", "catalog", "matching", "notify")
POSTGRES = {"track_commit_timestamp": "on", "shared_buffers": "256MB", "max_connections": "200"}
PATIENCE = 60
"""Seconds after the last event; what has not come through by then counts as not arrived."""


@dataclass(frozen=True)
class Row:
    """One line of the table, in milliseconds."""

    what: str
    events: int
    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, what: str, seconds: Sequence[float]) -> "Row":
        values = [1000 * value for value in seconds]
        return cls(what, len(values), *(round(percentile(values, share), 1) for share in (0.5, 0.99, 1.0)))


def main() -> None:
    """Measure, print a table and, with `--json FILE`, write everything down."""
    parser = argparse.ArgumentParser(prog="python -m bench.chain", description=(__doc__ or "").partition(":")[0] + ".")
    parser.add_argument("--seconds", type=float, default=40, help="how long the load lasts at each rate (default 40)")
    parser.add_argument(
        "--rates",
        type=float,
        nargs="+",
        default=[20, 100],
        help="events a second on average, one after the other (default 20 100)",
    )
    parser.add_argument("--needs", type=int, default=10_000, help="needs loaded before (default 10,000)")
    parser.add_argument("--offerings", type=int, default=10_000, help="offerings loaded before (default 10,000)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures with the machine's facts")
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, default=str) + "\n")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything in temporary folders; nothing is left behind."""
    facts = machine.facts()
    async with AsyncExitStack() as stack:
        server = stack.enter_context(embedded_postgres.temporary(settings=POSTGRES))
        postgres = server.dsn()
        kafka = stack.enter_context(kafka_server.running())
        mail_port = stack.enter_context(mail_server())
        topics.apply(kafka)
        thin_run.make_topics(kafka)
        settings = NotifySettings(
            postgres=postgres,
            kafka=kafka,
            migrate=True,
            log_level="ERROR",
            smtp_host="127.0.0.1",
            smtp_port=mail_port,
            public_origin="http://127.0.0.1",
        )
        key = await partner_key(postgres)
        say("starting four services in four processes")
        running = {name: await stack.enter_async_context(services_in_a_process(settings, name)) for name in SERVICES}
        origins = {name: process.origin for name, process in running.items()}
        partner = await stack.enter_async_context(chain_load.Partner.speaking(origins, key))
        world = await load(partner, postgres, options)
        chain = Chain(kafka, postgres, server.pid(), partner, {name: process.pid for name, process in running.items()})
        runs = [await chain.at_rate(world, rate, options) for rate in options.rates]
    return {"machine": facts, "options": {k: v for k, v in vars(options).items() if k != "json"}, "runs": runs}


@dataclass
class Chain:
    """The running services with their world loaded. `pids` are those of the services' processes."""

    kafka: str
    postgres: str
    postmaster: int
    partner: chain_load.Partner
    pids: dict[str, int]

    async def at_rate(self, world: chain_load.World, rate: float, options: argparse.Namespace) -> dict[str, Any]:
        """The thin hops, the chain, the thin hops again, all at this rate."""
        moments = list(poisson(rate, options.seconds, options.seed))
        half = len(moments) // 2
        say(f"{rate:g} a second: three thin hops, the first {half} events")
        thin = await thin_run.measure(self.kafka, self.postgres, moments[:half])
        say(f"{rate:g} a second: the chain, {len(moments)} events in {options.seconds:g} s")
        items = chain_load.stream(world, len(moments))
        self.partner.keys.clear()
        before = cpu(self.pids, self.postmaster)
        sent = await chain_load.drive_chain(self.partner, items, moments)
        times = await stored_and_told(self.postgres, self.partner.keys, patience=PATIENCE)
        used = {name: seconds - before[name] for name, seconds in cpu(self.pids, self.postmaster).items()}
        say(f"{rate:g} a second: three thin hops, the rest")
        thin += await thin_run.measure(self.kafka, self.postgres, moments[: len(moments) - half])
        found = report(rate, items, sent, times, thin, len(self.partner.keys))
        return found | {"cpu_ms_per_event": {name: round(1000 * seconds / len(items), 2) for name, seconds in used.items()}}


@contextmanager
def mail_server() -> Iterator[int]:
    """The port of a mail server that accepts everything and keeps nothing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(Sink(), hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield port
    finally:
        server.stop()


def cpu(pids: dict[str, int], postmaster: int) -> dict[str, float]:
    """Processor seconds so far of each service, and of PostgreSQL with its sessions."""
    services = {name: machine.cpu_seconds(pid) for name, pid in pids.items()}
    return services | {"postgres": machine.cpu_seconds(postmaster, with_children=True)}


async def load(partner: chain_load.Partner, postgres: str, options: argparse.Namespace) -> chain_load.World:
    """What is there before: offerings first, then needs; then until all is at rest."""
    begun = asyncio.get_running_loop().time()
    world = chain_load.World(seed=options.seed)
    await partner.send_all(chain_load.before(world, options.offerings))
    say(f"{options.offerings} offerings accepted after {asyncio.get_running_loop().time() - begun:.0f} s")
    await chain_load.at_rest(postgres)
    await partner.send_all(chain_load.needs(world, options.needs))
    say(f"{options.needs} needs accepted after {asyncio.get_running_loop().time() - begun:.0f} s")
    await chain_load.at_rest(postgres)
    say(f"everything at rest after {asyncio.get_running_loop().time() - begun:.0f} s")
    say(f"{await chain_load.set_mails_aside(postgres)} mails of the loading set aside")
    connection = await asyncpg.connect(postgres)
    await connection.execute("vacuum analyze")
    await connection.execute("checkpoint")
    await connection.close()
    partner.keys.clear()
    return world


def report(
    rate: float,
    items: Sequence[chain_load.Item],
    sent: Sent[str],
    times: Times,
    thin: Sequence[Sequence[float]],
    accepted: int,
) -> dict[str, Any]:
    """The figures at one rate. Latencies count from the moment at which an event was meant to be sent."""
    kinds = Counter(item.kind for item in items)
    stored = {id_: at - sent.meant[id_] for id_, at in times.stored.items()}
    rows = [
        Row.of("chain: accepted (answered)", [sent.answered[i] - sent.meant[i] for i in sent.answered]),
        Row.of("chain: shortlists stored", list(stored.values())),
        *(Row.of(f"  of a {kind}", [stored[i.id] for i in items if i.kind == kind and i.id in stored]) for kind in kinds),
        Row.of("chain: in the inbox", [times.told[i] - sent.meant[i] for i in times.told]),
        *(Row.of(f"thin: {hop} hop{'s' if hop > 1 else ''}", [hops[hop - 1] for hops in thin]) for hop in (1, 2, 3)),
    ]
    return {
        "rate": rate,
        "events": dict(kinds),
        "failed": sent.failed,
        "not_stored_in_time": accepted - len(times.stored),
        "lists_announced": times.changed,
        "rows": [asdict(row) for row in rows],
    }


def table(found: dict[str, Any]) -> str:
    """For people."""
    facts, options = found["machine"], found["options"]
    lines = [
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gb']} GB, Python {facts['python']}, "
        f"load before {facts['load_before']}",
        f"{options['needs']} needs and {options['offerings']} offerings loaded; {options['seconds']:g} s at each rate",
    ]
    for run in found["runs"]:
        lines += [
            "",
            f"{run['rate']:g} events a second: " + ", ".join(f"{n} {kind}" for kind, n in run["events"].items()),
            f"failed {len(run['failed'])}, not stored {PATIENCE} s after the last: {run['not_stored_in_time']}, "
            f"lists announced {run['lists_announced']}",
            f"{'milliseconds':<34}{'events':>8}{'p50':>10}{'p99':>10}{'max':>10}",
            *(f"{r['what']:<34}{r['events']:>8}{r['p50']:>10}{r['p99']:>10}{r['max']:>10}" for r in run["rows"]),
            "processor time for each event, ms: " + ", ".join(f"{name} {ms:g}" for name, ms in run["cpu_ms_per_event"].items()),
        ]
    return "\n".join(lines)


def say(words: str) -> None:
    """Progress goes beside the result."""
    print(f"  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
