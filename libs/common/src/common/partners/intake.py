"""How a partner's events come in over HTTP: each is a request to record something, judged for itself and answered in its place.

An answer "accepted" stands in the database before it leaves. The same event again gets the same answer; an older one than the
newest of its source and subject has no effect. What the request means is up to the service (`Recorder`).
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar
from uuid import NAMESPACE_URL, uuid5

from fastapi import APIRouter, Depends, Query
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.contracts import registry
from common.contracts.values import Submission
from common.errors import Fault, Forbidden, Rejected
from common.faults import encodable, fault, faults_of
from common.partners import cloudevents, inbox
from common.partners.cloudevents import MAX_BYTES, MAX_ITEMS, CloudEvent
from common.transaction import Transaction
from common.vocabulary import pick
from common.web.language_choice import language_of

if TYPE_CHECKING:
    from common.service import Service

OLDEST = timedelta(days=28)
"""Receipts are kept 35 days, so an event that is still taken in always meets its receipt."""
AHEAD = timedelta(minutes=5)

CONTENT_TYPES = ("application/cloudevents+json", "application/cloudevents-batch+json", "application/json")

SHARED_KINDS = ("exchange-rate",)
"""What is one and the same for everybody; its subject is its id."""

S = TypeVar("S", bound=Submission)
Effect = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Received(Generic[S]):
    """A partner's event whose form is right. `organisation` is the one that the API key speaks for."""

    source: str
    id: str
    subject: str
    time: datetime
    organisation: str
    aggregate_id: str
    data: S

    def aggregate_id_of(self, kind: str, subject: str) -> str:
        """The id of something else that the same organisation submitted, such as the municipality of a need."""
        return aggregate_id(self.organisation, kind, subject)


Recorder = Callable[[Received[Any], Transaction], Awaitable[Effect]]
"""Records what was received and says what it changed; raises Rejected, or `NotYet`, with faults."""


class NotYet(Rejected):
    """This refers to something that we have not been told of; the same event may pass later."""

    slug = "not-yet"

    def __init__(self, *faults: Fault) -> None:
        super().__init__(faults=faults)


class _OnlyAsked(Exception):
    """Rolls back what a dry run did."""


def aggregate_id(organisation: str, kind: str, subject: str) -> str:
    """The id under which we keep what an organisation calls `subject`; the same in every service and at every time."""
    if kind in SHARED_KINDS:
        return subject
    return str(uuid5(uuid5(NAMESPACE_URL, organisation), f"{kind}/{subject}"))


def routes(service: "Service", submissions: Mapping[type[Any], Recorder]) -> APIRouter:
    """`POST /api/<service>/v1/events`: one CloudEvent or a batch of them, answered item by item."""
    router = APIRouter()
    intake = Intake(service, submissions)

    @router.post(f"/api/{service.name}/v1/events", openapi_extra=_interface(intake.types), status_code=202)
    async def take_in_events(
        request: Request,
        partner: Annotated[Principal, Depends(allowed(Action.SUBMIT_EVENTS))],
        dry_run: Annotated[bool, Query(description="Only say what would happen")] = False,
    ) -> JSONResponse:
        """202: all accepted. 207: some refused. 422: none accepted. Always one result per item, in order."""
        if not partner.organisation_id:
            raise Forbidden
        _check_encoding(request.headers.get("content-encoding", ""))
        items = _items(request.headers.get("content-type", ""), await _body(request))
        answers = await intake.take_in(items, partner.organisation_id, only_asked=dry_run)
        if not dry_run:
            for answer in answers:
                service.telemetry.metrics.submissions.labels(answer["status"]).inc()
        refused = sum(answer["status"] == "refused" for answer in answers)
        status = (200 if dry_run else 202) if not refused else 207 if refused < len(answers) else 422
        language = language_of(request)
        return JSONResponse({"results": [_in_language(answer, language) for answer in answers]}, status)

    return router


class Intake:
    """Takes in events for one service: `submissions` says what it records, and how."""

    def __init__(self, service: "Service", submissions: Mapping[type[Any], Recorder]) -> None:
        self._service = service
        self._submissions = {kind.type: (kind, recorder) for kind, recorder in submissions.items()}
        self.types = sorted(self._submissions)
        self._kinds = {_kind(type_) for type_ in self.types}

    async def take_in(self, items: list[Any], organisation: str, *, only_asked: bool) -> list[dict[str, Any]]:
        """One answer per item, in order. All in one transaction, each item in a savepoint of its own."""
        answers: list[dict[str, Any]] = []
        try:
            async with self._service.database.transaction() as tx:
                await _hold(tx, *self._names_to_hold(items, organisation))
                for index, item in enumerate(items):
                    answers.append(await self._answer(tx, item, index, organisation))
                if only_asked:
                    raise _OnlyAsked
        except _OnlyAsked:
            for answer in answers:
                if answer["status"] == "accepted":
                    answer["status"] = "valid"
        return answers

    async def _answer(self, tx: Transaction, item: Any, index: int, organisation: str) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "index": index,
            "id": encodable(item["id"]) if isinstance(item, dict) and isinstance(item.get("id"), str) else None,
            "status": "refused",
            "retryable": False,
            "effect": None,
            "aggregate_id": None,
            "errors": (),
        }
        try:
            event = cloudevents.read_event(item)
            data, recorder = self._understood(event)
            async with tx.savepoint():
                tx.correlation_id = event.id
                answer |= await self._recorded(tx, event, data, recorder, organisation)
        except Rejected as refusal:
            answer["retryable"] = isinstance(refusal, NotYet)
            answer["errors"] = refusal.faults or (Fault("", refusal.slug, refusal.detail),)
        return answer

    def _understood(self, event: CloudEvent) -> tuple[Submission, Recorder]:
        """The event's data as the submission that its type says; raises Rejected with everything that is wrong with it."""
        if event.type not in self._submissions:
            raise Rejected(faults=(self._unknown(event.type),))
        kind, recorder = self._submissions[event.type]
        try:
            return kind.model_validate(event.data, extra="forbid"), recorder  # also in nested values, which facts share
        except ValidationError as error:
            raise Rejected(faults=faults_of(error, event.data, kind, prefix="/data")) from None

    def _unknown(self, type_: str) -> Fault:
        known = registry.SUBMISSIONS.get(type_)
        if known:
            address = f"{self._service.settings.public_origin}/api/{known.service}/v1/events"
            return fault("/type", "other_service", value=type_, address=address)
        if type_ in registry.FACTS:
            return fault("/type", "our_own_fact", value=type_, known=self.types)
        versions = [other for other in sorted(registry.SUBMISSIONS) if _without_version(other) == _without_version(type_)]
        if versions:
            return fault("/type", "unknown_version", value=type_, known=versions)
        return fault("/type", "unknown_type", value=type_, known=self.types)

    async def _recorded(
        self, tx: Transaction, event: CloudEvent, data: Submission, recorder: Recorder, organisation: str
    ) -> dict[str, Any]:
        kind = _kind(event.type)
        source = f"{organisation} {event.source}"  # one partner cannot use up another's ids
        received = Received(
            event.source, event.id, event.subject, event.time, organisation,
            aggregate_id(organisation, kind, event.subject), data,
        )  # fmt: skip
        receipt = await inbox.receipt(tx, source, event.id, _digest(event))
        if receipt.status == "conflict":
            raise Rejected(faults=(fault("/id", "id_used_before", value=event.id),))
        if receipt.status == "repeat":
            return {"status": "repeat", **receipt.result}
        _check_time(event.time, tx.now)
        stream = f"{kind}/{event.subject}"  # a city and a need may go by the same name
        newest = await inbox.newest_time(tx, source, stream)
        result: dict[str, Any] = {"effect": None, "aggregate_id": received.aggregate_id}
        if newest and event.time < newest:
            status = "superseded"
        else:
            status = "accepted"
            result["effect"] = await recorder(received, tx)
            await inbox.took_effect(tx, source, stream, event.time)
        await inbox.settle(tx, source, event.id, result)
        return {"status": status, **result}

    def _names_to_hold(self, items: list[Any], organisation: str) -> tuple[set[str], set[str]]:
        """What this request will write, and what it will only read: receipts, aggregates, and the aggregates they belong to."""
        written: set[str] = set()
        read: set[str] = set()
        for item in items:
            if not isinstance(item, dict) or not all(isinstance(item.get(k), str) for k in ("type", "subject", "id")):
                continue
            written.add(f"intake receipt {organisation} {item['id']}")
            written.add(f"intake {organisation} {_kind(item['type'])}/{item['subject']}")
            data = item.get("data")
            if not isinstance(data, dict):
                continue
            for kind in self._kinds:
                if isinstance(data.get(kind), str):
                    read.add(f"intake {organisation} {kind}/{data[kind]}")
        return written, read - written


async def _hold(tx: Transaction, written: Iterable[str], read: Iterable[str]) -> None:
    """Holds these until the end of the transaction, in the same order for everybody, so that no two requests block each other.

    Without it, a need and the change of its municipality that arrive together would not see each other."""
    wanted = sorted([*((_lockable(name), True) for name in written), *((_lockable(name), False) for name in read)])
    await tx.fetch(
        """
        select case when writes then pg_advisory_xact_lock(key)::text else pg_advisory_xact_lock_shared(key)::text end
        from unnest($1::bigint[], $2::boolean[]) as wanted (key, writes)
        """,
        [key for key, _ in wanted], [writes for _, writes in wanted],
    )  # fmt: skip


def _lockable(name: str) -> int:
    """A name as the number that PostgreSQL locks."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _check_time(time: datetime, now: datetime) -> None:
    if time < now - OLDEST:
        raise Rejected(faults=(fault("/time", "time_too_old", value=_readable(time), days=OLDEST.days),))
    if time > now + AHEAD:
        minutes = AHEAD.seconds // 60
        raise Rejected(faults=(fault("/time", "time_ahead", value=_readable(time), minutes=minutes, now=_readable(now)),))


def _readable(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _digest(event: CloudEvent) -> bytes:
    content = {"type": event.type, "subject": event.subject, "data": event.data}
    return hashlib.sha256(cloudevents.canonical(content).encode()).digest()


def _kind(type_: str) -> str:
    return type_.partition(".")[0]


def _without_version(type_: str) -> str:
    return type_.rpartition(".")[0]


def _check_encoding(encoding: str) -> None:
    """Raises Rejected for a body that is packed: its size would say nothing of how much comes out of it."""
    if encoding.strip().lower() not in ("", "identity"):
        raise Rejected("unsupported-content", faults=(fault("", "content_encoding", value=encoding),))


async def _body(request: Request) -> bytes:
    """The body, read no further than it may be long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise Rejected("too-large", faults=(fault("", "too_large", limit=MAX_BYTES // 1024),))
    return bytes(body)


def _items(content_type: str, body: bytes) -> list[Any]:
    """The items of a body: an object is one, a list is a batch. Raises Rejected where the whole cannot be read."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind not in CONTENT_TYPES:
        raise Rejected("unsupported-content", faults=(fault("", "content_type", value=kind),))
    try:
        value = cloudevents.read_json(body)
    except Rejected as refusal:
        raise Rejected("not-readable", faults=refusal.faults) from None
    items = value if isinstance(value, list) else [value]
    if not items:
        raise Rejected("not-readable", faults=(fault("", "empty"),))
    if len(items) > MAX_ITEMS:
        raise Rejected("too-large", faults=(fault("", "too_many_items", count=len(items), limit=MAX_ITEMS),))
    return items


def _in_language(answer: dict[str, Any], language: str) -> dict[str, Any]:
    errors = [{"pointer": f.pointer, "code": f.code, "detail": pick(f.detail, language)} for f in answer["errors"]]
    return {**answer, "errors": errors}


def _interface(types: list[str]) -> dict[str, Any]:
    """What the interface description says of the body, which is read by hand so that one bad item does not refuse the rest."""
    event = {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            **{name: {"type": "string"} for name in ("id", "source", "subject")},
            "type": {"enum": types},
            "time": {"type": "string", "format": "date-time"},
            "data": {"type": "object"},
        },
    }
    batch = {"type": "array", "items": event, "maxItems": MAX_ITEMS}
    content = {CONTENT_TYPES[0]: {"schema": event}, CONTENT_TYPES[1]: {"schema": batch}}
    return {"requestBody": {"required": True, "content": content}}
