"""The precision of the first places, by what people said: shares, intervals, and what each match counts for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.domain.precision import NORMAL_95, Judged, wilson
from matching.outcomes import measured

LAMPS, PUMPS = "lighting.street_led", "water.pumps"


@pytest.mark.parametrize(
    ("good", "judged", "low", "high"),
    [  # the four examples of R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_the_one_of_the_literature(good: int, judged: int, low: float, high: float) -> None:
    assert wilson(good, judged) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_where_nothing_is_known_everything_is_possible() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


counts = st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_both_ends_are_where_the_share_is_so_many_deviations_away(count: tuple[int, int]) -> None:
    """The definition of the interval: what is solved there for, put in again."""
    good, judged = count
    for end in wilson(good, judged):
        assert 0 <= end <= 1
        deviation = math.sqrt(end * (1 - end) / judged)
        assert math.isclose(abs(good / judged - end), NORMAL_95 * deviation, abs_tol=1e-9)


@given(counts)
def test_the_interval_holds_the_share_and_mirrors(count: tuple[int, int]) -> None:
    good, judged = count
    low, high = wilson(good, judged)
    assert low <= good / judged <= high
    other_low, other_high = wilson(judged - good, judged)
    assert math.isclose(low, 1 - other_high, abs_tol=1e-9)
    assert math.isclose(high, 1 - other_low, abs_tol=1e-9)


def test_the_first_three_are_measured_by_technology_and_the_rest_beside_them() -> None:
    found = measured(
        [
            Judged(LAMPS, "1-a", 1, "awarded", 2),
            Judged(LAMPS, "1-a", 2, "introduced", 1),
            Judged(LAMPS, "1-a", 3, "interested", 3),
            Judged(LAMPS, "1-b", 3, "one_sided", 1),
            Judged(LAMPS, "1-b", 1, "declined", 1),
            Judged(LAMPS, "1-a", 4, "declined", 5),
            Judged(PUMPS, "1-a", 1, "declined", 1),
            Judged(PUMPS, "1-a", None, "awarded", 1),
        ],
        {"price": 4},
    )
    assert (found.first.good, found.first.judged) == (6, 9)
    assert list(found.by_technology) == [LAMPS, PUMPS]  # the most judged first
    lamps, pumps = found.by_technology.values()
    assert (lamps.good, lamps.judged, lamps.share) == (6, 8, 0.75)
    assert (pumps.good, pumps.judged, pumps.share) == (0, 1, 0.0)
    assert {name: (one.good, one.judged) for name, one in found.by_weights.items()} == {"1-a": (6, 7), "1-b": (0, 2)}
    assert {name: (one.good, one.judged) for name, one in found.by_part.items()} == {
        "first": (6, 9),
        "behind": (0, 5),
        "outside": (1, 1),
    }
    said = found.as_json()
    assert said["by_technology"][LAMPS]["interval_95"] == list(wilson(6, 8))
    assert said["decline_reasons"] == {"price": 4}


def test_nothing_judged_is_no_share() -> None:
    said = measured([], {}).as_json()
    assert (said["all"]["share"], said["all"]["interval_95"], said["by_technology"]) == (None, None, {})
