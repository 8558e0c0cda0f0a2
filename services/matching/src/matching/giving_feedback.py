"""Somebody says what becomes of a match: looked up as far as they may see it, judged by the rules, written down, announced."""

from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter

from common.access.auth import Principal
from common.access.permissions import Role
from common.contracts.matching import FeedbackGiven, Speaking, Statement
from common.errors import NotFound
from common.telemetry import FEEDBACK_TOTAL
from common.transaction import Transaction
from common.web.addresses import known_form
from matching import feedback_store, page_store, store
from matching.domain import feedback
from matching.domain.circumstances import Circumstances, day_at
from matching.domain.facets import WEIGHTS
from matching.domain.feedback import Speaker, Spoken, Stands
from matching.domain.shortlist import judge
from matching.feedback_store import MatchOutcome
from matching.page_store import Scope, Shortlist, ShownOffering

KINDS: Mapping[Role, Speaking] = {
    Role.OFFICER: "municipality",
    Role.COMPANY: "company",
    Role.OFFICE: "office",
    Role.SECRETARIAT: "secretariat",
}
"""As whom each role speaks; the others listen."""


class SpokenOf(NamedTuple):
    """A need and an offering, and all that was said of the two so far, oldest first."""

    found: Shortlist
    shown: ShownOffering
    history: list[Statement]

    @property
    def standing(self) -> list[Statement]:
        """The words that count, newest first."""
        return feedback.standing(self.history)

    def own(self, reader: Principal) -> Statement | None:
        """What the reader's organisation says at present."""
        return next((one for one in self.standing if one.organisation_id == reader.organisation_id), None)


class FeedbackCount:
    """How often each kind of organisation said what; to be told after the commit."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(FEEDBACK_TOTAL, "Words on matches, by who said what", ["kind", "word"], registry=registry)

    def note(self, said: Statement | None) -> None:
        """This was written down, if anything."""
        if said is not None:
            self._counter.labels(said.kind, said.word).inc()


async def look_up(tx: Transaction, reader: Principal, need_id: str, offering_id: str) -> SpokenOf:
    """The match, where it concerns the reader; else `NotFound`. It need not be on the list (any more)."""
    scope = Scope.of(reader)
    found = await page_store.shortlist(tx, scope, known_form(need_id))
    shown = await page_store.offering(tx, scope, known_form(offering_id))
    if found is None or shown is None:
        raise NotFound
    return SpokenOf(found, shown, await feedback_store.history(tx, need_id, offering_id))


async def give(tx: Transaction, reader: Principal, need_id: str, offering_id: str, what: Spoken) -> Statement | None:
    """Write down what the reader's organisation says; None where it said just that already.

    Raises `NotFound`, and `Rejected` where there is nothing to answer."""
    await feedback_store.hold(tx, known_form(need_id), known_form(offering_id))
    about = await look_up(tx, reader, need_id, offering_id)
    speaker = Speaker(reader.organisation_id or "", reader.names, KINDS[reader.role], reader.account_id or "")
    if not feedback.says_something_new(about.history, speaker.organisation_id, what):
        return None
    stands = await _stands(tx, about, offering_id)
    feedback.check_that_it_can_be_said(what.word, fits=stands.score is not None, spoken_of=bool(about.history))
    said = feedback.statement(speaker, what, stands, about.found.summary.municipality.id, tx.now)
    await feedback_store.add(tx, need_id, offering_id, said)
    await _tell(tx, about._replace(history=[*about.history, said]), offering_id)
    return said


async def _stands(tx: Transaction, about: SpokenOf, offering_id: str) -> Stands:
    place = next((one for one in about.found.places if one.match.offering_id == offering_id), None)
    if place is not None:
        return Stands(place.rank, place.match.score, WEIGHTS)
    circumstances = Circumstances(day_at(tx.now, about.found.summary.municipality.timezone), await store.rates(tx))
    judged = judge(about.found.need, about.shown.offering, circumstances)
    return Stands(None, judged.rank.score if judged else None, WEIGHTS)


async def _tell(tx: Transaction, about: SpokenOf, offering_id: str) -> None:
    """Keep what has become of the match, and announce it."""
    need, first, said, standing = about.found.summary, about.history[0], about.history[-1], about.standing
    outcome = feedback.outcome(standing)
    reasons = [one.reason for one in standing if one.word == "declined" and one.reason]
    await feedback_store.save_outcome(
        tx, MatchOutcome(need.id, offering_id, need.technology, first.place, first.weights, outcome, reasons)
    )
    tx.emit(
        FeedbackGiven(
            need_id=need.id,
            offering_id=offering_id,
            municipality_id=need.municipality.id,
            company_id=about.shown.company["id"],
            technology=need.technology,
            said=said,
            standing=standing,
            outcome=outcome,
        )
    )
