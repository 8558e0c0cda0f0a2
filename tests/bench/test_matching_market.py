"""The benchmark's market and its judge are what they claim to be, so that equal answers mean right answers."""

import numpy as np
import pytest

from bench.matching.changes import Changes
from bench.matching.engines import Lists
from bench.matching.numpy_peer import NumpyPeer
from bench.matching.oracle import Oracle, wrong
from bench.matching.records import Market, identifier, packed
from bench.matching.workload import OLD_RATE, SKEWS, Sizes, market
from matching.domain.gates import passes
from matching.domain.shortlist import LENGTH, judge


def best_by_id(market: Market, needs: int) -> list[list[tuple[int, str]]]:
    ids = {int(record["rank"]): identifier(record["id"]) for record in market.offerings}
    oracle = Oracle(market)
    return [[(score, ids[rank]) for score, rank in oracle.best(need)] for need in range(needs)]


@pytest.fixture(scope="module", params=list(SKEWS))
def small(request: pytest.FixtureRequest) -> Market:
    return market(request.param, Sizes(offerings=1500, needs=150, events=20))


def test_the_same_seed_makes_the_same_market_and_another_seed_another() -> None:
    sizes = Sizes(50, 10, 5)
    one, again, other = market("skewed", sizes, 7), market("skewed", sizes, 7), market("skewed", sizes, 8)
    assert one.offerings.tobytes() == again.offerings.tobytes() and one.needs.tobytes() == again.needs.tobytes()
    assert one.offerings.tobytes() != other.offerings.tobytes()


def test_objects_made_of_records_make_the_same_objects_again_when_packed(small: Market) -> None:
    today = small.lexicon.circumstances
    needs = [small.lexicon.need(record) for record in small.needs]
    offerings = small.offering_objects(range(len(small.offerings)))
    again = packed("again", today.today, dict(today.rates), needs, offerings)
    for need, record in zip(needs, again.needs, strict=True):
        read = again.lexicon.need(record)
        assert (read.id, read.quantity, read.budget, read.deadline) == (need.id, need.quantity, need.budget, need.deadline)
        assert [(one.key, one.unit_key, one.op, one.values, one.mandatory) for one in read.requirements] == [
            (one.key, one.unit_key, one.op, one.values, one.mandatory) for one in need.requirements
        ]
    assert best_by_id(small, 40) == best_by_id(again, 40)


def test_offerings_that_the_judge_leaves_out_beforehand_pass_no_gate(small: Market) -> None:
    offerings = small.offering_objects(range(len(small.offerings)))
    for record in small.needs[:25]:
        need = small.lexicon.need(record)
        passing = {row for row, one in enumerate(offerings) if passes(need, one, small.lexicon.circumstances)}
        assert passing <= set(np.flatnonzero((small.offerings["fields"] == record["field"]).any(axis=1)).tolist())


def test_numpy_gives_the_ten_of_the_plain_rules_for_every_need(small: Market) -> None:
    found = NumpyPeer(small).new_needs(len(small.needs))
    assert list(wrong(small, found, sample=len(small.needs))) == []


def test_the_market_holds_what_is_rare_and_hard(small: Market) -> None:
    """Incremental prices, old rates, two fields, values stated twice, mandatory requirements that most do not meet."""
    offerings, needs = small.offerings, small.needs
    assert (
        offerings["incremental"].any()
        and (offerings["fields"][:, 1] != offerings["fields"][:, 0])[offerings["fields"][:, 1] >= 0].any()
    )
    assert (offerings["currency"] == small.lexicon.currencies.index(OLD_RATE)).any()
    attributes = np.sort(offerings["attribute"], axis=1)
    assert ((attributes[:, 1:] == attributes[:, :-1]) & (attributes[:, 1:] >= 0)).any()
    assert needs["mandatory"].any() and (needs["low"] > needs["high"])[needs["attribute"] >= 0].any()


def test_new_offerings_enter_the_lists_that_a_search_over_everything_would_give(small: Market) -> None:
    oracle, lists = Oracle(small), Lists.empty(len(small.needs))
    for need in range(len(small.needs)):
        lists.put(need, oracle.best(need))
    for event in range(len(small.events)):
        oracle.entered(event, lists)
    offerings = np.concatenate([small.offerings, small.events])
    after = Oracle(Market("after", small.lexicon, offerings, small.needs, small.events[:0]))
    assert [lists.of(need) for need in range(len(small.needs))] == [after.best(need) for need in range(len(small.needs))]


def test_changes_come_in_the_promised_shares_and_lead_to_the_state_they_tell_of() -> None:
    whole = market("even", Sizes(offerings=800, needs=1200, events=300))
    changes, told = Changes(whole, open_needs=200, seed=3), {}
    taken = list(changes.take(2000))
    for change in taken:
        told[change.kind.split()[0], change.record["id"].tobytes()] = change
    shares = {kind: sum(one.kind == kind for one in taken) / len(taken) for kind in ("offering", "need", "offering gone")}
    assert shares["offering"] == pytest.approx(0.7, abs=0.05) and shares["need"] == pytest.approx(0.25, abs=0.05)
    for at, record in enumerate(changes.offerings):
        last = told.get(("offering", record["id"].tobytes()))
        if last is not None:
            assert changes.listed[at] == (last.kind == "offering") and record.tobytes() == last.record.tobytes()


def test_a_need_with_few_offerings_has_a_short_list(small: Market) -> None:
    few = Market("few", small.lexicon, small.offerings[:60], small.needs, small.events)
    found = NumpyPeer(few).new_needs(len(few.needs))
    short = [need for need in range(len(few.needs)) if len(found.lists.of(need)) < LENGTH]
    offerings = few.offering_objects(range(len(few.offerings)))
    for need in short[:20]:
        asked = few.lexicon.need(few.needs[need])
        assert len(found.lists.of(need)) == sum(judge(asked, one, few.lexicon.circumstances) is not None for one in offerings)
    assert short
