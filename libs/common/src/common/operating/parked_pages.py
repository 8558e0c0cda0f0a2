"""What a service could not handle, for operators: the overview by cause, the events of one cause, one event, and what was done.

Every form works without a script and asks for a reason; a refusal comes back on the same page with what was typed. After an act
its row in the audit is shown. Records that are no events have their pages in `common.operating.quarantine_pages`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.contracts.registry import TOPICS, Topic
from common.errors import NotFound, Rejected
from common.exact_json import NotJson, from_json
from common.operating import audit, held, held_board, mending, quarantine_pages
from common.operating.amendments import contract_faults
from common.operating.audit import Entry
from common.operating.broken_words import in_words
from common.operating.held import Cause, EventId, HeldEvent
from common.operating.json_shown import Piece, as_text, cut, laid_out
from common.operating.operators_forms import Tried, actor_of, fits_a_form, posted, without_nul
from common.transaction import Transaction
from common.web.addresses import window
from common.web.application import SHARED_PAGES, Pages
from common.web.list_parameters import PageNumber

if TYPE_CHECKING:
    from common.service import Service

PER_PAGE = 50
LATEST_ACTS = 10
MOST_SHOWN = 200_000
"""Characters of a body that are shown with marks; the box to edit it holds all of it."""
SERVICES = ("needs", "catalog", "matching", "notify")
TELL_EVERY = 5.0
"""Seconds between two looks at how many records are held, for the pages of the other services."""

Seer = Annotated[Principal, Depends(allowed(Action.SEE_PARKED))]
Mender = Annotated[Principal, Depends(allowed(Action.MEND_PARKED))]
Word = Annotated[str, Query(max_length=500)]


def event_id(
    topic: Annotated[str, Query(max_length=255)],
    key: Annotated[str, Query(max_length=255)],
    sequence: Annotated[int, Query(ge=1, lt=10**18)],
) -> EventId:
    """Which event an address means. In the query, because a key may hold slashes and dots, which browsers resolve in a path."""
    return EventId(without_nul(topic), without_nul(key), sequence)


def cause_of(topic: Word, type: Word, reason: Word, cause: Word = "") -> Cause:  # noqa: A002  the column's name
    """Which cause an address means."""
    return Cause(*map(without_nul, (topic, type, reason, cause)))


Which = Annotated[EventId, Depends(event_id)]
WhichCause = Annotated[Cause, Depends(cause_of)]


def routes(service: "Service", *, topics: Mapping[str, Topic] = TOPICS) -> APIRouter:
    """`/<service>/parked` and below, `/<service>/quarantine`. Include them before the service's own pages, whose addresses may
    end in anything. The other services' pages are told in the background how many records are held here. `topics` are all that
    are known to anybody."""
    router = APIRouter(include_in_schema=False)
    pages, name, group_of = Pages(service, SHARED_PAGES), service.name, service.group_of
    home = f"/{name}/parked"
    board = held_board.tell_how_many(service.database, name)
    service.in_background("held records", board, every=TELL_EVERY, after_commits=False)

    @router.get(home)
    async def overview(request: Request, _: Seer) -> Response:
        async with service.database.reading() as tx:
            groups = service.consumers or (name,)
            causes = [row for group in groups for row in await held.causes(tx, group)]
            records = [row for group in groups for row in await held.record_causes(tx, group)]
            records_over = Counter[str]()
            for group in groups:
                records_over.update(await held.records_over(tx, group))
            acts = await audit.about(tx, {}, LATEST_ACTS)
            shown = {
                "amount": await held.amount(tx),
                "given_up": [row for row in causes if row.dead],
                "tried_again": [row for row in causes if not row.dead],
                "behind": sum([await held.behind(tx, group) for group in groups]),
                "records": records,
                "over": [row for group in groups for row in await held.over(tx, group)],
                "records_over": records_over,
                "acts": acts,
                "names": await audit.names_of(tx, {entry.actor for entry in acts}),
            }
        return _rendered(request, "parked.html", 200, **shown, services=SERVICES if name in SERVICES else (name,))

    @router.get(f"{home}/cause")
    async def events_of_cause(request: Request, _: Seer, cause: WhichCause, page: PageNumber = 1) -> Response:
        return await show_cause(request, cause, page)

    @router.post(f"{home}/cause")
    async def mend_all(request: Request, mender: Mender, cause: WhichCause) -> Response:
        tried = await posted(request)
        verb = {"retry-all": mending.retry_all, "go-on-all": mending.go_on_all}.get(tried.verb)
        if verb is None:
            raise NotFound
        try:
            entry = await act(lambda tx: verb(tx, group_of(cause.topic), cause, actor=actor_of(mender), reason=tried.reason))
        except Rejected as error:
            return await show_cause(request, cause, 1, tried.refused(error), error)
        return _to_act(entry)

    async def show_cause(
        request: Request, cause: Cause, page: int, tried: Tried | None = None, problem: Rejected | None = None
    ) -> Response:
        async with service.database.reading() as tx:
            group = group_of(cause.topic)
            total = await held.amount_of(tx, group, cause)
            part = window(page, PER_PAGE, total)
            events = await held.events_of(tx, group, cause, limit=PER_PAGE, skip=part.skip)
        if not events and problem is None:
            raise NotFound("nothing-of-this-cause", _NOTHING_LEFT)
        query = urlencode(cause._asdict())
        context = {"cause": cause, "events": events, "part": part, "total": total, "query": query}
        return _rendered(request, "parked_cause.html", 422 if problem else 200, **context, tried=tried, problem=problem)

    @router.get(f"{home}/event")
    async def event(request: Request, _: Seer, which: Which) -> Response:
        return await show_event(request, which)

    @router.post(f"{home}/event")
    async def mend(request: Request, mender: Mender, which: Which) -> Response:
        tried, actor, group = await posted(request), actor_of(mender), group_of(which.topic)

        async def do(tx: Transaction) -> Entry:
            match tried.verb:
                case "retry":
                    return await mending.retry(tx, group, which, actor=actor, reason=tried.reason, topics=topics)
                case "edit":
                    return await mending.edit(tx, group, which, tried.body, actor=actor, reason=tried.reason, topics=topics)
                case "skip":
                    return await mending.skip(tx, group, which, actor=actor, reason=tried.reason, topics=topics)
                case _:
                    raise NotFound

        try:
            entry = await act(do)
        except Rejected as error:
            return await show_event(request, which, tried.refused(error), error)
        return _to_act(entry)

    async def show_event(
        request: Request, which: EventId, tried: Tried | None = None, problem: Rejected | None = None
    ) -> Response:
        subject, group = which._asdict(), group_of(which.topic)
        async with service.database.reading() as tx:
            event = await held.event(tx, group, which)
            standing = await held.standing_of(tx, group, which)
            acts = [
                *await audit.about(tx, subject),
                *await audit.about(tx, {"events": [list(which)]}),
                *await audit.about(tx, {"event": [list(which)]}),
            ]
            names = await audit.names_of(tx, {entry.actor for entry in acts})
        if event is None and which.sequence > standing.last and not acts:
            raise NotFound
        acts.sort(key=lambda entry: -entry.number)
        context = {
            "which": which, "event": event, "standing": standing, "dense": held.is_dense(which.topic, topics), "acts": acts,
            "names": names, "query": urlencode(subject),
            "head_query": urlencode({**subject, "sequence": standing.head or which.sequence}),
            "tried": tried, "problem": problem, **(_body_of(event) if event else {}),
        }  # fmt: skip
        return _rendered(request, "parked_event.html", 422 if problem else 200, **context)

    @router.get(f"{home}/acts/{{number}}")
    async def done(request: Request, number: str, _: Seer) -> Response:
        """What was done, as it stands in the audit, and how its record stands now."""
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise NotFound
        async with service.database.reading() as tx:
            entry = await audit.entry(tx, int(number))
            if entry is None:
                raise NotFound
            which = _event_of(entry)
            event = await held.event(tx, group_of(which.topic), which) if which else None
            names = await audit.names_of(tx, {entry.actor})
        query = urlencode(which._asdict()) if which else ""
        context = {"entry": entry, "which": which, "event": event, "names": names, "query": query}
        return _rendered(request, "parked_act.html", 200, **context)

    async def act(do: Callable[[Transaction], Awaitable[Entry]]) -> Entry:
        """One act in a transaction of its own; whoever can go on now is woken."""
        async with service.database.transaction() as tx:
            entry = await do(tx)
        audit.tell(service.telemetry.log, entry)
        service.wake("held records")
        service.retry_parked()
        return entry

    def _to_act(entry: Entry) -> Response:
        return RedirectResponse(f"{home}/acts/{entry.number}", status_code=303)

    def _rendered(request: Request, template: str, status: int, **context: object) -> Response:
        return pages.render(request, template, status, here="held", service=name, home=home, in_words=in_words, **context)

    router.include_router(quarantine_pages.routes(service, topics, act, _to_act, _rendered))
    return router


def _body_of(event: HeldEvent) -> dict[str, Any]:
    """The body laid out with what is wrong in it marked, and what the contract says of it today."""
    try:
        value = from_json(event.event.body)
    except NotJson:
        return {
            "pieces": [Piece(text := event.event.body.decode("utf-8", "replace"), False)],
            "text": text,
            "fits": fits_a_form(text),
            "faults": (),
            "original": None,
        }
    faults = contract_faults(event.event.type, event.event.key, value)
    wrong = {fault.pointer for fault in faults} or {event.pointer}
    original = as_text(from_json(event.original)) if event.original is not None else None
    text = as_text(value)
    pieces = cut(laid_out(value, wrong), MOST_SHOWN)
    return {"pieces": pieces, "text": text, "fits": fits_a_form(text), "faults": faults, "original": original}


def _event_of(entry: Entry) -> EventId | None:
    """The one event that an act was about, or that a record became by it."""
    subject = entry.subject
    became = subject.get("event")
    if isinstance(became, list) and became:
        topic, key, sequence = became[0]
    else:
        topic, key, sequence = subject.get("topic"), subject.get("key"), subject.get("sequence")
    if isinstance(topic, str) and isinstance(key, str) and isinstance(sequence, int):
        return EventId(topic, key, sequence)
    return None


_NOTHING_LEFT = {
    "en": "Nothing is held for this cause any more. What there was has taken effect, or somebody has decided on it.",
    "ja": "この原因で保留中のものはもうありません。反映されたか、既に誰かが処理しました。",
}
