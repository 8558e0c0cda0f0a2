"""Records that are no events, for operators: those of one reason, and one record as it came, byte for byte."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.contracts.registry import Topic
from common.errors import NotFound, Rejected
from common.operating import audit, held, mending_records, raw_records
from common.operating.audit import Entry
from common.operating.broken_words import in_words
from common.operating.held import RecordId
from common.operating.operators_forms import Tried, actor_of, fits_a_form, posted, without_nul
from common.operating.raw_records import RecordText
from common.transaction import Transaction
from common.web.addresses import window
from common.web.list_parameters import PageNumber

if TYPE_CHECKING:
    from common.service import Service

PER_PAGE = 50
Seer = Annotated[Principal, Depends(allowed(Action.SEE_PARKED))]
Mender = Annotated[Principal, Depends(allowed(Action.MEND_PARKED))]
Word = Annotated[str, Query(max_length=500)]
Act = Callable[[Callable[[Transaction], Awaitable[Entry]]], Awaitable[Entry]]


def record_id(
    topic: Word,
    part: Annotated[int, Query(ge=0, lt=2**31)],
    offset: Annotated[int, Query(ge=0, lt=2**63)],
    incarnation: Word = "",
) -> RecordId:
    """Which record an address means."""
    return RecordId(without_nul(topic), without_nul(incarnation), part, offset)


Which = Annotated[RecordId, Depends(record_id)]


def routes(
    service: "Service",
    topics: Mapping[str, Topic],
    act: Act,
    to_act: Callable[[Entry], Response],
    rendered: Callable[..., Response],
) -> APIRouter:
    """`/<service>/quarantine/…`; for `common.operating.parked_pages`, whose way to act and to render they share."""
    router = APIRouter(include_in_schema=False)
    group_of = service.group_of
    home = f"/{service.name}/quarantine"

    @router.get(f"{home}/cause")
    async def records_of_cause(request: Request, _: Seer, topic: Word, cause: Word, page: PageNumber = 1) -> Response:
        return await show_cause(request, without_nul(topic), without_nul(cause), page)

    @router.post(f"{home}/cause")
    async def retry_all(request: Request, mender: Mender, topic: Word, cause: Word) -> Response:
        topic, cause = without_nul(topic), without_nul(cause)
        tried = await posted(request)
        try:
            entry = await act(
                lambda tx: mending_records.retry_records(
                    tx, group_of(topic), topic, cause, actor=actor_of(mender), reason=tried.reason
                )
            )
        except Rejected as error:
            return await show_cause(request, topic, cause, 1, tried.refused(error), error)
        return to_act(entry)

    async def show_cause(
        request: Request, topic: str, cause: str, page: int, tried: Tried | None = None, problem: Rejected | None = None
    ) -> Response:
        group = group_of(topic)
        async with service.database.reading() as tx:
            amounts = {(row.topic, row.cause): row.amount for row in await held.record_causes(tx, group)}
            total = amounts.get((topic, cause), 0)
            part = window(page, PER_PAGE, total)
            records = await held.records_of(tx, group, topic, cause, limit=PER_PAGE, skip=part.skip)
        if not records and problem is None:
            raise NotFound
        query = urlencode({"topic": topic, "cause": cause})
        context = {
            "topic": topic,
            "cause": cause,
            "words": in_words(cause),
            "records": records,
            "part": part,
            "total": total,
            "query": query,
        }
        return rendered(request, "quarantine_cause.html", 422 if problem else 200, **context, tried=tried, problem=problem)

    @router.get(f"{home}/record")
    async def record(request: Request, _: Seer, which: Which) -> Response:
        return await show_record(request, which)

    @router.post(f"{home}/record")
    async def mend(request: Request, mender: Mender, which: Which) -> Response:
        tried, actor, group = await posted(request), actor_of(mender), group_of(which.topic)

        async def do(tx: Transaction) -> Entry:
            match tried.verb:
                case "retry":
                    return await mending_records.retry_record(tx, group, which, actor=actor, reason=tried.reason)
                case "edit":
                    text = RecordText(tried.key, tried.headers, tried.body)
                    return await mending_records.edit_record(tx, group, which, text, actor=actor, reason=tried.reason)
                case "skip":
                    return await mending_records.skip_record(tx, group, which, actor=actor, reason=tried.reason)
                case _:
                    raise NotFound

        try:
            entry = await act(do)
        except Rejected as error:
            return await show_record(request, which, tried.refused(error), error)
        return to_act(entry)

    async def show_record(
        request: Request, which: RecordId, tried: Tried | None = None, problem: Rejected | None = None
    ) -> Response:
        subject = which._asdict()
        async with service.database.reading() as tx:
            found = await held.record(tx, group_of(which.topic), which)
            if found is None:
                raise NotFound
            acts = [*await audit.about(tx, subject), *await audit.about(tx, {"records": [list(which)]})]
            names = await audit.names_of(tx, {entry.actor for entry in acts})
        acts.sort(key=lambda entry: -entry.number)
        text = raw_records.as_text(found)
        context = {
            "record": found, "words": in_words(found.reason), "text": text, "fits": all(map(fits_a_form, text)),
            "own": raw_records.own_place(found), "dense": held.is_dense(found.id.topic, topics),
            "whole_text": raw_records.is_whole_text(found),
            "headers": [(name, raw_records.shown(value)[0] if value is not None else None)
                        for name, value in raw_records.headers_of(found.headers)],
            "key": raw_records.shown(found.key), "body": raw_records.shown(found.body),
            "acts": acts, "names": names, "query": urlencode(subject), "tried": tried, "problem": problem,
        }  # fmt: skip
        return rendered(request, "quarantined.html", 422 if problem else 200, **context)

    return router
