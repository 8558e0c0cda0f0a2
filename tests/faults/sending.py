"""Sends batches as a careful partner does: again with the same ids until there is an answer, every step written into the ledger.

Every answer that must never be given is written down as a complaint.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.ledger import Answer, Ledger, Sent
from tests.faults.partners import cloud_event

BATCH = "application/cloudevents-batch+json"
ANSWER_SECONDS = 8
TO_BE_TRIED_AGAIN = ("time_too_old", "time_ahead", "unknown_municipality", "unknown_company")
"""Refusals that may pass: somebody's clock is wrong, or something else has to come first."""

Answers = list[tuple[str, str]]
"""One for each event: the status, and what was said beside it (the effect, or the code of the refusal)."""
Ask = Callable[[Sequence[Sent]], Awaitable[Answers | None]]


@dataclass
class Surroundings:
    """Where everything is; the embedded broker moves with each of its lives."""

    origins: dict[str, list[str]]
    partner_key: str
    kafka: str
    has_a_limit: bool = True
    """Whether the broker refuses records of 10 MB. The embedded one takes them, and drops others for them."""


def client() -> httpx.AsyncClient:
    """What requests go through; no answer within some seconds is none."""
    limits = httpx.Limits(max_connections=20, keepalive_expiry=5)
    return httpx.AsyncClient(timeout=ANSWER_SECONDS, limits=limits, trust_env=False)


@dataclass
class Sender:
    """One partner's way in. `calm`: no more faults come, so nothing is given up any more."""

    ledger: Ledger
    where: Surroundings
    http: httpx.AsyncClient
    counts: Counter[str] = field(default_factory=Counter)
    calm: bool = False

    async def send(
        self,
        batch: list[Sent],
        ask: Ask,
        *,
        expected: str = "accepted",
        give_up: bool = False,
    ) -> bool:
        """Send until all are answered for good; False if it was given up. Answers other than `expected` are complained of."""
        left = batch
        first = True
        while left:
            self.ledger.sending(left)
            answers = await ask(left)
            if answers is None:
                self.counts["no answer"] += 1
                if give_up and not self.calm:
                    self.counts["given up"] += len(left)
                    return False
                first = False
                await asyncio.sleep(0.2)
                continue
            settled, again = self._judge(left, answers, expected, first=first)
            self.ledger.answered(settled)
            self.counts.update(said for _, outcome, said in settled if outcome != "ok")
            self.counts["accepted"] += sum(outcome == "ok" and said != "superseded" for _, outcome, said in settled)
            if again:
                await asyncio.sleep(0.5)
            left = again
        return True

    def _judge(self, sent: Sequence[Sent], answers: Answers, expected: str, *, first: bool) -> tuple[list[Answer], list[Sent]]:
        """What is settled, and what has to be sent again."""
        settled: list[Answer] = []
        again: list[Sent] = []
        for event, (status, said) in zip(sent, answers, strict=True):
            if status == "refused" and said in TO_BE_TRIED_AGAIN:
                self.counts[said] += 1
                again.append(event)
                continue
            meant = ("superseded" if said == "superseded" else "accepted") if status in ("accepted", "repeat") else status
            if meant != expected or (status == "repeat" and first):
                self.ledger.complain("answer", f"{event.kind}/{event.subject}", f"{status} {said} for {event.id}, not {expected}")
            settled.append(Answer(event.id, "fail" if status == "refused" else "ok", said))
        return settled, again

    async def again(self, batch: list[Sent], ask: Ask) -> None:
        """What was accepted before is sent once more: each has to be a repeat."""
        answers = await self._insist(batch, ask)
        self.counts["repeats"] += len(batch)
        for event, (status, said) in zip(batch, answers, strict=True):
            if status != "repeat":
                self.ledger.complain("repeat", f"{event.kind}/{event.subject}", f"{status} {said} for {event.id} sent again")

    async def must_be_refused(self, batch: list[Sent], ask: Ask) -> None:
        """Ids that were accepted, with other content."""
        answers = await self._insist(batch, ask)
        self.counts["other bodies"] += len(batch)
        for event, (status, said) in zip(batch, answers, strict=True):
            if status != "refused":
                self.ledger.complain("other body", f"{event.kind}/{event.subject}", f"{status} {said} for {event.id} again")

    async def _insist(self, batch: list[Sent], ask: Ask) -> Answers:
        while True:
            answers = await ask(batch)
            if answers is not None:
                return answers
            await asyncio.sleep(0.5)

    async def ask_counter(self, batch: Sequence[Sent]) -> Answers | None:
        names = ("id", "topic", "key", "number", "trouble")
        body = [dict(zip(names, (e.id, e.kind, e.subject, e.number, e.trouble), strict=True)) for e in batch]
        """The counter's words on each, or None where there was no answer."""
        answer = await self._post("counter", body, "application/json")
        return answer and [(said, said) for said in answer]

    async def ask_partner(self, batch: Sequence[Sent]) -> Answers | None:
        """The same of the service that takes these in."""
        answer = await self._post(batch[0].service, [cloud_event(event) for event in batch], BATCH)
        return answer and [_understood(result) for result in answer]

    async def _post(self, service: str, body: list[Any], kind: str) -> list[Any] | None:
        """The results, or None where it is not known what became of the request."""
        origin = random.choice(self.where.origins[service])
        headers = {"authorization": f"Bearer {self.where.partner_key}", "content-type": kind, "accept-language": "en"}
        try:
            answer = await self.http.post(f"{origin}/api/{service}/v1/events", json=body, headers=headers)
            if answer.status_code not in (202, 207, 422):
                self.counts[f"status {answer.status_code}"] += 1
                return None
            return answer.json()["results"]
        except (httpx.HTTPError, ValueError, KeyError):
            return None


def _understood(result: dict[str, Any]) -> tuple[str, str]:
    if result["status"] == "refused":
        return "refused", result["errors"][0]["code"] if result["errors"] else "?"
    return ("accepted" if result["status"] == "superseded" else result["status"]), result["effect"] or "superseded"
