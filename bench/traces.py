"""Is any trace broken? Needs are posted one by one at full sampling, each leads to mails, and every span must hang together.

A trace is whole if each of its spans but the request's own has its parent in it, and it leads from the request through both
topics to a mail that was written. `python -m bench.traces [--journeys 1000]` runs the four services in one process on a real
Kafka, and judges spans as they end: not what a collector has of them.
"""

import argparse
import asyncio
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from bench import machine
from musubi import embedded_postgres, topics
from tests import kafka_server
from tests import partner_events as partner
from tests.brokers import Broker
from tests.chain import Chain, running_chain
from tests.eventually import eventually

PATH = (
    "POST /api/needs/v1/events", "send needs.needs", "process needs.needs", "send matching.proposals",
    "process matching.proposals", "send mail",
)  # fmt: skip
AT_ONCE = 20
MINUTES = 10


async def measure(journeys: int) -> dict[str, Any]:
    """Post the needs, wait for the mails, and judge every trace."""
    with kafka_server.running() as kafka, embedded_postgres.temporary() as server, tempfile.TemporaryDirectory() as folder:
        topics.apply(kafka, topics.ALL_TOPICS)
        async with running_chain(server.dsn(), Broker(kafka, "", "real"), None, mail_folder=Path(folder)) as chain:
            await chain.publish_accepted(partner.city(), partner.company(), partner.offering())
            await eventually(lambda: _named(chain, "process catalog.offerings"), what="the offering in matching")
            chain.spans.clear()
            gate = asyncio.Semaphore(AT_ONCE)

            async def post(number: int) -> None:
                async with gate:
                    await chain.publish_accepted(partner.need(f"need-{number}"))

            await asyncio.gather(*map(post, range(journeys)))
            await eventually(lambda: _mailed(chain), lambda mailed: mailed >= journeys, within=60 * MINUTES, every=1)
            quiet = await eventually(lambda: _unchanged(chain), within=60, every=0.01)
            return judge(quiet)


async def _named(chain: Chain, name: str) -> int:
    return sum(span.name == name for span in chain.ended_spans())


async def _mailed(chain: Chain) -> int:
    return len({span.context.trace_id for span in chain.ended_spans() if span.name == "send mail" and span.context})


async def _unchanged(chain: Chain) -> Sequence[ReadableSpan]:
    """All spans, once for two seconds none has been added."""
    before = len(chain.ended_spans())
    await asyncio.sleep(2)
    after = chain.ended_spans()
    return after if len(after) == before else ()


def judge(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """How many traces of journeys there are, how many are broken, and how."""
    traces: dict[int, list[ReadableSpan]] = defaultdict(list)
    for span in spans:
        assert span.context
        traces[span.context.trace_id].append(span)
    faults: Counter[str] = Counter()
    journeys = {trace: found for trace, found in traces.items() if any(span.name == PATH[0] for span in found)}
    for found in journeys.values():
        faults.update(_faults(found))
    return {
        "journeys": len(journeys),
        "spans": sum(map(len, journeys.values())),
        "broken": sum(bool(_faults(found)) for found in journeys.values()),
        "faults": dict(faults),
        "other_traces": dict(Counter(_root(found) for trace, found in traces.items() if trace not in journeys)),
    }


def _faults(trace: Sequence[ReadableSpan]) -> list[str]:
    known = {span.context.span_id for span in trace if span.context}
    faults = [f"{span.name} hangs on nothing" for span in trace if span.parent is not None and span.parent.span_id not in known]
    faults += [f"no {name}" for name in PATH if not any(span.name == name for span in trace)]
    roots = sum(span.parent is None for span in trace)
    return faults + ([] if roots == 1 else [f"{roots} roots"])


def _root(trace: Sequence[ReadableSpan]) -> str:
    return next((span.name for span in trace if span.parent is None), "none")


async def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--journeys", type=int, default=1000)
    chosen = options.parse_args()
    about = machine.facts()
    result = await measure(chosen.journeys)
    for name, figure in result.items():
        print(f"{name:14} {figure}")
    print(json.dumps({"benchmark": "traces", "machine": about, **result}))


if __name__ == "__main__":
    asyncio.run(main())
