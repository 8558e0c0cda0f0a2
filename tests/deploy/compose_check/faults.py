"""Needs are sent through the proxy, one after another, while one container after the other is killed and comes back."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from tests import partner_events
from tests.deploy.compose_check.compose import Project
from tests.deploy.compose_check.findings import Findings
from tests.eventually import eventually
from tests.partner_events import BATCH, CloudEvent

VICTIMS = ("needs", "matching", "notify", "kafka", "postgres")
AT_LEAST = 120
TAKEN = ("accepted", "repeat")


@dataclass
class Sending:
    """What became of the needs: the ids that the answers named, and how often no good answer came and the need was sent again."""

    http: httpx.AsyncClient
    accepted: dict[str, str] = field(default_factory=dict)
    again: int = 0
    refused: list[str] = field(default_factory=list)
    longest: float = 0

    async def until(self, done: asyncio.Event) -> None:
        """Send needs until everybody was killed, and so many at least."""
        number = 0
        while not done.is_set() or len(self.accepted) < AT_LEAST:
            number += 1
            before = time.monotonic()
            await self._accepted(f"check-{number}", partner_events.need(f"check-{number}", quantity=3000 + number))
            self.longest = max(self.longest, time.monotonic() - before)
            await asyncio.sleep(0.25)  # so that the mails of all, some twenty for each, are out soon after

    async def _accepted(self, subject: str, event: CloudEvent) -> None:
        """As a partner does it: the same event again until there is an answer."""
        for _ in range(600):
            try:
                answer = await self.http.post("/api/needs/v1/events", json=[event], headers={"content-type": BATCH})
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                (result,) = answer.json()["results"]
                if result["status"] in TAKEN:
                    self.accepted[subject] = result["aggregate_id"]
                else:
                    self.refused.append(f"{subject}: {result}")
                return
            self.again += 1
            await asyncio.sleep(0.2)
        self.refused.append(f"{subject}: no answer")


async def broken(project: Project, http: httpx.AsyncClient, findings: Findings) -> Mapping[str, str]:
    """Kill each in turn while needs are sent; returns the ids of all that were accepted, by subject."""
    sending = Sending(http)
    done = asyncio.Event()
    began = time.monotonic()
    task = asyncio.create_task(sending.until(done))
    try:
        for victim in VICTIMS:
            sent = len(sending.accepted)
            await eventually(lambda: _more_than(sending, sent + 10), within=60, what="needs to be accepted")  # noqa: B023  awaited here
            before = await asyncio.to_thread(project.restarts, victim)
            killed = time.monotonic()
            await asyncio.to_thread(project.kill, victim)
            await eventually(lambda: _back(project, victim, before), within=90, every=0.3, what=f"{victim} to be healthy again")  # noqa: B023  awaited here
            findings.figures[f"seconds from the kill of {victim} until its container was healthy again"] = (
                f"{time.monotonic() - killed:.1f}"
            )
            if project.engine.own:
                times = await asyncio.to_thread(project.restarts, victim) - before
                findings.expect(f"{victim}: killed with signal 9, brought back once by its restart policy", times == 1, times)
    finally:
        done.set()
        await task
    findings.expect(
        f"needs: all {len(sending.accepted)} sent needs were accepted in the end", not sending.refused, sending.refused[:3]
    )
    findings.figures["needs sent during the kills"] = f"{len(sending.accepted)} in {time.monotonic() - began:.0f} s"
    findings.figures["requests without a good answer, after which the same need was sent again"] = str(sending.again)
    findings.figures["longest that a need took to be accepted, with repetitions, s"] = f"{sending.longest:.1f}"
    return sending.accepted


async def _more_than(sending: Sending, number: int) -> bool:
    return len(sending.accepted) >= number


async def _back(project: Project, service: str, restarts: int) -> bool:
    """Whether it was started again since then, which only an engine of our own counts, and is healthy."""
    started = not project.engine.own or await asyncio.to_thread(project.restarts, service) > restarts
    return started and await asyncio.to_thread(project.healthy, service)
