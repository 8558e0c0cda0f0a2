"""Publishes events to a running Musubi over HTTP and says of each one what became of it."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from common.contracts.registry import SUBMISSIONS
from musubi import events_file, run_file
from musubi.advice import CannotGoOn
from musubi.events_file import Item, Unreadable

MAX_ITEMS = 100
MAX_BYTES = 200_000
ATTEMPTS = 5
BATCH = "application/cloudevents-batch+json"


class CannotPublish(CannotGoOn):
    """Nothing more can be sent; the text says why and what to do."""


class Result(NamedTuple):
    """What became of one event. `status` is the service's word (accepted, repeat, superseded, refused), or "unreadable"."""

    number: int
    id: str
    status: str
    effect: str | None = None
    aggregate_id: str | None = None
    errors: tuple[dict[str, Any], ...] = ()

    @property
    def failed(self) -> bool:
        return self.status in ("refused", "unreadable")

    def line(self) -> str:
        """One line for people: where, which event, what became of it, and for a refusal each reason with its place."""
        reasons = "; ".join(f"{e.get('pointer') or 'the event'}: {e.get('detail')}" for e in self.errors)
        words = f"accepted {self.effect}" if self.status == "accepted" and self.effect else self.status
        return f"{self.number}\t{self.id or '-'}\t{words}" + (f"\t{reasons}" if reasons else "")

    def as_json(self) -> str:
        return json.dumps({k: v for k, v in self._asdict().items() if v is not None}, ensure_ascii=False)


def from_file(file: str, *, url: str | None, key: str | None, as_json: bool, folder: Path) -> int:
    """The command `musubi publish`. `file` may be "-" for standard input. Returns 1 if anything was refused."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CannotPublish(f"{file} cannot be read: {error.strerror}") from None
    running = run_file.find(folder)
    url = url or os.environ.get("MUSUBI_URL") or (running and running.address)
    key = key or os.environ.get("MUSUBI_KEY") or (running and running.key)
    if not url or not key:
        raise CannotPublish(
            f"Nothing runs in {folder}. Start it with `musubi up`, or say where to publish: --url URL and --key KEY."
        )
    counts: dict[str, int] = {}
    with client(url, key) as http:
        for result in publish(http, events_file.read(content)):
            counts[result.status] = counts.get(result.status, 0) + 1
            print(result.as_json() if as_json else result.line(), flush=True)
    if not as_json:
        print(", ".join(f"{n} {status}" for status, n in counts.items()) or "the file holds no events", file=sys.stderr)
    return 1 if counts.keys() & {"refused", "unreadable"} else 0


def client(url: str, key: str) -> httpx.Client:
    """A client that speaks for the partner whose key this is; answers come in the language of the terminal."""
    japanese = os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("ja")
    headers = {"Authorization": f"Bearer {key}", "Accept-Language": "ja" if japanese else "en"}
    # No proxy of the environment: the address is this machine's, or one that was given on purpose.
    return httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)


def publish(http: httpx.Client, items: Iterable[Item | Unreadable]) -> Iterator[Result]:
    """Send events in order and yield one result for each, in order. Raises `CannotPublish` when nobody answers."""
    for service, chunk in _chunks(items):
        if isinstance(chunk, Unreadable):
            yield Result(chunk.number, "", "unreadable", errors=({"pointer": "", "code": "unreadable", "detail": chunk.reason},))
        else:
            yield from _send(http, service, chunk)


def _chunks(items: Iterable[Item | Unreadable]) -> Iterator[tuple[str, list[Item] | Unreadable]]:
    """Neighbours that one service takes in, as many as a request may hold. Order is kept: a need follows its municipality."""
    waiting: list[Item] = []
    service, size = "", 0
    for item in items:
        if isinstance(item, Unreadable):
            if waiting:
                yield service, waiting
            yield "", item
            waiting, size = [], 0
            continue
        taker = _service_of(item.type)
        if waiting and (taker != service or len(waiting) >= MAX_ITEMS or size + len(item.text) > MAX_BYTES):
            yield service, waiting
            waiting, size = [], 0
        waiting.append(item)
        service, size = taker, size + len(item.text) + 1
    if waiting:
        yield service, waiting


def _service_of(event_type: str) -> str:
    """Who takes in this type. What nobody knows goes to needs, which refuses it with the list of what is known."""
    submission = SUBMISSIONS.get(event_type)
    return submission.service if submission else "needs"


def _send(http: httpx.Client, service: str, chunk: list[Item]) -> Iterator[Result]:
    answer = _post(http, service, b"[" + b",".join(item.text for item in chunk) + b"]")
    body = _json_object(answer)
    if answer.status_code in (200, 202, 207, 422) and len(body.get("results", ())) == len(chunk):
        for item, said in zip(chunk, body["results"], strict=True):
            errors = tuple(said.get("errors") or ())
            yield Result(item.number, item.id, said["status"], said.get("effect"), said.get("aggregate_id"), errors)
    elif answer.status_code in (401, 403):
        raise CannotPublish(f"{http.base_url} does not accept this key: {_reason(answer, body)}")
    elif len(chunk) > 1:  # one of them spoils the request: find out which
        for item in chunk:
            yield from _send(http, service, [item])
    else:
        fault = {"pointer": "", "code": f"http_{answer.status_code}", "detail": _reason(answer, body)}
        yield Result(chunk[0].number, chunk[0].id, "refused", errors=(fault,))


def _post(http: httpx.Client, service: str, content: bytes) -> httpx.Response:
    """One request, repeated while the service says that it is busy; sending twice does no harm, every event has its id."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = http.post(f"/api/{service}/v1/events", content=content, headers={"Content-Type": BATCH})
        except httpx.HTTPError as error:
            if attempt == ATTEMPTS:
                raise CannotPublish(f"{http.base_url} does not answer ({error}). Is `musubi up` running?") from None
            time.sleep(0.2 * attempt)
            continue
        if answer.status_code not in (429, 503) or attempt == ATTEMPTS:
            return answer
        time.sleep(min(float(answer.headers.get("Retry-After", "1")), 10))
    raise AssertionError("unreachable")


def _json_object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _reason(answer: httpx.Response, body: dict[str, Any]) -> str:
    faults = " ".join(str(fault.get("detail")) for fault in body.get("errors") or ())
    return faults or str(body.get("detail") or body.get("title") or f"HTTP {answer.status_code}")
