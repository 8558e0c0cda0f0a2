"""The kernels count what the facets declare, pair by pair."""

import pytest

from matching.domain.circumstances import Circumstances
from matching.domain.shortlist import judge
from matching.engine import self_check
from matching.engine.field import Field
from matching.engine.market import Market
from matching.engine.packing import pack_needs, pack_offerings, unpack_need, unpack_offering
from matching.engine.samples import RATES, TODAY, UNIT, Sides


def field() -> Field:
    market = Market()
    market.set(RATES)
    return Field("lighting", UNIT, market)


NOW = Circumstances(TODAY, RATES)


@pytest.mark.parametrize("seed", range(1, 4))
def test_every_pair_has_the_score_that_the_plain_rules_give_it(seed: int) -> None:
    assert self_check.check(seed, needs=100, offerings=300) == 30_000


def test_what_people_write_is_seldom_left_to_the_plain_rules() -> None:
    sides = Sides(2, plain=True)
    needs, offerings = [sides.need() for _ in range(100)], [sides.offering() for _ in range(400)]
    lamps = field()
    lamps.load(offerings, [(need, TODAY) for need in needs])
    before = lamps.counts.judged_plainly
    for need in needs:
        lamps.scores(need.id)
    assert lamps.counts.judged_plainly - before < 0.1 * 100 * 400


def test_what_was_packed_judges_as_before_when_it_is_read_back() -> None:
    sides = Sides(3)
    lamps = field()
    for _ in range(400):
        need, offering = sides.need(), sides.offering()
        needs, offerings = pack_needs([(need, TODAY)], lamps.lexicon), pack_offerings([offering], lamps.lexicon)
        need_again = needs.whole.get(0) or unpack_need(needs.ids[0], needs.cold[0], lamps.lexicon)
        ids, sets, hot, cold, whole = offerings
        again = whole.get(0) or unpack_offering(ids[0], sets[0], hot[0], cold[0], lamps.lexicon)
        before, after = judge(need, offering, NOW), judge(need_again, again, NOW)
        assert (before and before.rank) == (after and after.rank)
