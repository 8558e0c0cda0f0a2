"""Proposals for people: the list of needs with their best proposal, a need's shortlist, and one proposal that explains itself."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse

from common.access.auth import Principal, allowed
from common.access.permissions import Action
from common.contracts.matching import Match
from common.contracts.values import Money
from common.errors import NotFound
from common.exact_json import load, to_json
from common.service import Service
from common.transaction import Transaction
from common.vocabulary import technologies
from common.web.addresses import address, each_taken_off, known_form, window
from common.web.application import Pages
from common.web.list_parameters import Code, PageNumber
from matching import compromise_pages, compromise_store, feedback_store, page_store, reach_pages, reach_store, store
from matching.compromising import may_read
from matching.domain.blocking import what_blocks
from matching.domain.changes import WHO, Said
from matching.domain.circumstances import Circumstances, NoRate, Rate, day_at, rates_between
from matching.domain.explanation import explained
from matching.domain.facet import Reason
from matching.domain.facets import FACETS
from matching.domain.near_misses import NearMiss, near_miss, near_misses
from matching.domain.places import wide_field
from matching.domain.shortlist import judge
from matching.domain.sides import Need, Offering, Prices
from matching.domain.words import say
from matching.feedback_pages import REASON_WORDS, feedback_on
from matching.giving_feedback import SpokenOf
from matching.page_store import Filter, Scope, Shortlist, ShownOffering

PER_PAGE = 20
NEAR_MISSES_OF_A_NEED = 6
NEAR_MISSES_BESIDE_A_PROPOSAL = 3
RATES_USED = Reason("rates_used", 0, "Exchange rates used: {rates:rates}.", "使った為替レート：{rates:rates}。")
LABELS = {facet.name: facet.label for facet in FACETS}

Reader = Annotated[Principal, Depends(allowed(Action.SEE_PROPOSALS))]


class Missed(NamedTuple):
    """A near miss with the offering's name and company."""

    miss: NearMiss
    shown: ShownOffering


def routes(service: Service) -> APIRouter:
    """`/matching`, `/matching/needs/{id}`, `/matching/needs/{id}/offerings/{id}`, and what `…_pages` add."""
    router = APIRouter(include_in_schema=False)
    pages = Pages(service, Path(__file__).parent / "pages")
    words: dict[str, Any] = {"says": _says, "who_can": WHO, "labels": LABELS, "here": "matching"}
    reach_pages.add(router, service, pages, words)
    compromise_pages.add(router, service, pages, words)

    @router.get("/matching")
    async def proposals(
        request: Request,
        reader: Reader,
        technology: Code = None,
        country: Code = None,
        found: Code = None,
        page: PageNumber = 1,
    ) -> HTMLResponse:
        scope, narrowed = Scope.of(reader), Filter(technology or None, country or None, found or None)
        async with service.database.reading() as tx:
            counts = await page_store.counts(tx, scope, narrowed)
            part = window(page, PER_PAGE, counts.listed)
            entries = await page_store.needs(tx, scope, narrowed, skip=part.skip, limit=PER_PAGE)
            blocks = await _blocks(tx, entries)
            alike = await compromise_store.needs_of_technologies(tx, {one.need.technology for one in entries})
            may_reach = scope.company and await reach_store.lists_something(tx, known_form(scope.company))
        in_use = {name: value for name, value in narrowed._asdict().items() if value}
        return pages.render(
            request,
            "proposals.html",
            **words,
            entries=entries,
            blocks=blocks,
            alike=alike if may_read(reader) else {},
            counts=counts,
            scope=scope,
            may_reach=may_reach,
            narrowed=narrowed,
            part=part,
            groups=[one.code for one in technologies().values() if not one.unit],
            in_use=in_use,
            address=address("/matching", in_use),
            without=each_taken_off("/matching", in_use),
        )

    @router.get("/matching/needs/{need_id}")
    async def shortlist(request: Request, reader: Reader, need_id: str) -> HTMLResponse:
        scope = Scope.of(reader)
        async with service.database.reading() as tx:
            found = await _shortlist(tx, scope, need_id)
            if scope.company and not found.places:
                raise NotFound
            circumstances = await _circumstances(tx, found)
            field = await page_store.offerings_in(tx, scope, wide_field(found.need))
            missed = await _near_misses(tx, found, field, circumstances, NEAR_MISSES_OF_A_NEED)
            became = await feedback_store.outcomes_of(tx, need_id)
            technology = found.need.technology
            alike = await compromise_store.needs_of_technologies(tx, {technology}) if may_read(reader) else {}
        blocking = None if found.places else await asyncio.to_thread(what_blocks, found.need, field, circumstances)
        return pages.render(
            request,
            "shortlist.html",
            **words,
            found=found,
            missed=missed,
            blocking=blocking,
            became=became,
            alike=alike.get(technology, 0),
        )

    @router.get("/matching/needs/{need_id}/offerings/{offering_id}")
    async def proposal(request: Request, reader: Reader, need_id: str, offering_id: str) -> HTMLResponse:
        scope = Scope.of(reader)
        async with service.database.reading() as tx:
            found = await _shortlist(tx, scope, need_id)
            shown = await page_store.offering(tx, scope, known_form(offering_id))
            if shown is None:
                raise NotFound
            circumstances = await _circumstances(tx, found)
            field = await page_store.offerings_in(tx, scope, wide_field(found.need))
            others = [one for one in field if one.id != offering_id]
            missed = await _near_misses(tx, found, others, circumstances, NEAR_MISSES_BESIDE_A_PROPOSAL)
            about = SpokenOf(found, shown, await feedback_store.history(tx, need_id, offering_id))
        place = next((one for one in found.places if one.match.offering_id == offering_id), None)
        match = place.match if place else _live_match(found.need, shown, circumstances)
        return pages.render(
            request,
            "proposal.html",
            **words,
            found=found,
            scope=scope,
            place=place,
            match=match,
            shown=shown,
            missed=missed,
            feedback=feedback_on(about, reader),
            reason_words=REASON_WORDS,
            not_any_more=None if place else near_miss(found.need, shown.offering, circumstances),
            tiers=_tiers(shown.offering),
            used_rates=_used_rates(match, shown.offering.prices, found.summary.budget, circumstances),
            rates_used=RATES_USED,
        )

    return router


async def _shortlist(tx: Transaction, scope: Scope, need_id: str) -> Shortlist:
    found = await page_store.shortlist(tx, scope, known_form(need_id))
    if found is None:
        raise NotFound
    return found


async def _circumstances(tx: Transaction, found: Shortlist) -> Circumstances:
    return Circumstances(day_at(tx.now, found.summary.municipality.timezone), await store.rates(tx))


async def _near_misses(
    tx: Transaction, found: Shortlist, field: list[Offering], circumstances: Circumstances, most: int
) -> list[Missed]:
    if not found.open:
        return []
    # A field may have thousands of offerings: others have their turn meanwhile.
    misses = await asyncio.to_thread(near_misses, found.need, field, circumstances, most)
    shown = await page_store.shown(tx, [miss.offering.id for miss in misses])
    return [Missed(miss, shown[miss.offering.id]) for miss in misses]


async def _blocks(tx: Transaction, entries: list[page_store.ListedNeed]) -> dict[str, Said]:
    """What blocks each of these needs that has no proposal, by need."""
    lonely = [one for one in entries if not one.matches]
    rates = await store.rates(tx) if lonely else {}
    fields: dict[str, list[Offering]] = {}
    found: dict[str, Said] = {}
    for one in lonely:
        name = wide_field(one.need)
        if name not in fields:
            fields[name] = await page_store.offerings_in(tx, Scope(), name)
        circumstances = Circumstances(day_at(tx.now, one.summary.municipality.timezone), rates)
        found[one.need.id] = await asyncio.to_thread(what_blocks, one.need, fields[name], circumstances)
    return found


def _live_match(need: Need, shown: ShownOffering, circumstances: Circumstances) -> Match | None:
    """The pair judged now, for a proposal that left the list; None if it does not fit any more."""
    judged = judge(need, shown.offering, circumstances)
    if judged is None:
        return None
    return load(Match, explained(need, judged, to_json(shown.names).decode(), to_json(shown.company).decode()).said)


def _tiers(offering: Offering) -> list[tuple[Any, Any]]:
    prices = offering.prices
    return list(zip(prices.quantities, prices.unit_prices, strict=True)) if prices else []


def _used_rates(
    match: Match | None, prices: Prices | None, budget: Money | None, circumstances: Circumstances
) -> tuple[Rate, ...]:
    """The exchange rates through which the price was compared with the budget."""
    compared = match is not None and any("rates" in facet.values for facet in match.facets)
    if not compared or prices is None or budget is None:
        return ()
    found = rates_between(prices.currency, budget.currency, circumstances)
    return () if isinstance(found, NoRate) else found


def _says(reason: Reason, values: dict[str, Any], language: str) -> str:
    return say(getattr(reason, language), values, language)
