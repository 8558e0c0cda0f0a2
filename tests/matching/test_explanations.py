"""What matching says is true: every figure in every sentence, in both languages, is computed anew from what the sides state."""

from datetime import date
from decimal import Decimal

import pytest

from bench.workload import World
from matching.domain.blocking import BLOCKS
from matching.domain.changes import CHANGES, OBSTACLES
from matching.domain.facets import FACETS
from matching.domain.reach import ASKED, LEVERS
from matching.domain.sides import Need, Offering
from matching.domain.words import say
from tests.matching.explanations import (
    CASES,
    SNAPSHOT,
    Case,
    Facts,
    Figure,
    Sentence,
    blocking_sentences,
    earned_by,
    figures_in,
    figures_of,
    in_words,
    names_of,
    near_miss_sentences,
    reach_sentences,
    snapshot,
)
from tests.matching.pairs import circumstances_of

BESIDES = [*near_miss_sentences(), *blocking_sentences(), *reach_sentences()]


def alike(figures: list[Figure]) -> list[str]:
    """In one order and form, for the two languages put figures in different places."""
    return sorted(one.isoformat() if isinstance(one, date) else f"{one.normalize():f}" for one in figures)


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.facet}: {case.code}")
def test_every_figure_of_a_facet_s_sentence_follows_from_the_inputs(case: Case, language: str) -> None:
    reason, _, said = earned_by(case)
    assert reason.code == case.code
    names = names_of(case.facts.need, case.facts.offering, case.facts.now)
    assert alike(figures_in(in_words(said, language), names)) == alike(figures_of(case.facet, case.code, case.facts, language))


def test_every_reason_of_every_facet_has_a_case() -> None:
    declared = {(facet.name, reason.code) for facet in FACETS for reason in facet.reasons}
    assert {(case.facet, case.code) for case in CASES} == declared


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("one", BESIDES, ids=lambda one: one.said.reason.code)
def test_every_figure_beside_the_facets_follows_from_the_inputs(one: Sentence, language: str) -> None:
    expected: list[Figure] = [Decimal(figure) if isinstance(figure, int) else figure for figure in one.figures]
    assert alike(figures_in(in_words(one.said, language), one.names)) == alike(expected)


def test_every_sentence_beside_the_facets_has_a_case() -> None:
    declared = (*OBSTACLES, *CHANGES, *BLOCKS, *LEVERS, ASKED)
    assert {one.said.reason for one in BESIDES} == set(declared)


@pytest.mark.parametrize("seed", range(8))
def test_every_figure_is_true_of_pairs_that_nobody_chose(seed: int) -> None:
    world = World(seed=seed, technologies=5, countries=5)
    now = circumstances_of(world)
    needs, offerings = [world.need() for _ in range(12)], [world.offering() for _ in range(12)]
    for need in needs:
        for offering in offerings:
            facts, names = Facts(need, offering, now), names_of(need, offering, now)
            for facet in FACETS:
                earned = facet.earn(Need.of(need), Offering.of(offering), now)
                for language in ("en", "ja"):
                    sentence = say(getattr(earned.reason, language), earned.values, language)
                    expected = figures_of(facet.name, earned.reason.code, facts, language)
                    assert alike(figures_in(sentence, names)) == alike(expected), sentence


def test_the_sentences_are_those_that_people_have_read() -> None:
    """After a change: `python -m tests.matching.explanations`, and read what became of it before it is committed."""
    assert snapshot() == SNAPSHOT.read_text(encoding="utf-8")
