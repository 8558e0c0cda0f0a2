"""Where the lines, bands and dots of our charts lie."""

import itertools
from decimal import Decimal

import pytest

from common.web.charts import FLOW_HEIGHT, MAP_LEFT, MAP_WIDTH, ROOM_OF_A_FIGURE, City, city_map, flow_stages, price_steps

TIERS = [(Decimal(q), Decimal(p)) for q, p in ((100, 200), (1000, 180), (5000, 160), (20_000, 140))]


def test_the_price_chart_marks_the_tier_that_the_quantity_reaches_and_the_way_to_the_next() -> None:
    chart = price_steps(TIERS, Decimal(3600))
    assert (chart.reached, chart.to_next) == (2, Decimal(1400))
    assert chart.mark_y == chart.steps[1].y
    assert chart.mark_x is not None
    assert chart.steps[1].left < chart.mark_x < chart.steps[1].right


def test_the_price_chart_covers_its_whole_width_and_falls_with_the_price() -> None:
    steps = price_steps(TIERS).steps
    assert (steps[0].left, steps[-1].right) == (0.0, 100.0)
    for before, after in itertools.pairwise(steps):
        assert before.right == after.left
        assert before.y < after.y


def test_the_axis_begins_near_what_happens_where_the_first_tier_lies_decades_before() -> None:
    tiers = [(Decimal(1), Decimal(34)), (Decimal(2000), Decimal(30)), (Decimal(5000), Decimal(26))]
    chart = price_steps(tiers, Decimal(9500))
    assert chart.start == 100
    assert chart.steps[0].left == 0.0
    assert chart.steps[1].left > 40
    assert price_steps(tiers, Decimal(30)).start == 1


def test_below_the_first_tier_nothing_is_reached_and_nothing_is_marked() -> None:
    chart = price_steps(TIERS, Decimal(50))
    assert (chart.reached, chart.mark_x, chart.to_next) == (0, None, Decimal(50))


def test_at_the_last_tier_there_is_no_next_and_the_mark_stays_inside() -> None:
    chart = price_steps(TIERS, Decimal(90_000))
    assert (chart.reached, chart.to_next) == (4, None)
    assert chart.mark_x is not None
    assert chart.mark_x < 100


def test_a_single_price_is_a_level_line() -> None:
    (step,) = price_steps([(Decimal(1), Decimal(50))], Decimal(1)).steps
    assert (step.left, step.right) == (0.0, 100.0)


def test_figures_of_crowded_tiers_do_not_run_together_and_the_reached_one_is_kept() -> None:
    crowded = [(Decimal(100 + n), Decimal(200 - n)) for n in range(20)]
    steps = price_steps(crowded, Decimal(110)).steps
    assert steps[10].label_price
    shown = [step.left for step in steps if step.label_price]
    assert all(b - a >= ROOM_OF_A_FIGURE for a, b in itertools.pairwise(shown))


def test_the_flow_loses_at_each_stage_what_stays_there() -> None:
    needs, proposed, told = flow_stages([128, 97, 52])
    assert needs.height == FLOW_HEIGHT
    assert needs.onward == proposed.height
    assert needs.stays == pytest.approx(31 / 128 * FLOW_HEIGHT, abs=0.1)
    assert (told.onward, told.stays) == (0.0, 0.0)


def test_an_empty_flow_has_posts_without_height() -> None:
    assert [stage.height for stage in flow_stages([0, 0, 0])] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "latitude", "longitude", "x", "y"),
    [
        ("Kitakyushu", 33.883, 130.875, 510.9, 161.0),
        ("Surabaya", -7.257, 112.752, 376.4, 490.1),
        ("Colombo", 6.927, 79.861, 132.5, 376.6),
        ("Ulaanbaatar", 47.921, 106.917, 333.0, 48.8),
    ],
)
def test_cities_lie_where_the_land_outline_has_them(name: str, latitude: float, longitude: float, x: float, y: float) -> None:
    (dot,) = city_map([City(name, latitude, longitude, 4)]).dots
    assert (dot.x, dot.y) == (pytest.approx(x, abs=0.6), pytest.approx(y, abs=0.6))


def test_names_on_the_map_cover_neither_each_other_nor_leave_it() -> None:
    close_together = [City(f"Place {n}", 34 + n * 0.1, 135 + n * 0.1, n) for n in range(30)]
    labels = city_map(close_together).labels
    assert 0 < len(labels) < 30
    for a, b in itertools.combinations(labels, 2):
        assert (a.x, a.y) != (b.x, b.y)
        assert a.anchor != b.anchor or abs(a.y - b.y) > 7
    assert all(MAP_LEFT <= label.x <= MAP_LEFT + MAP_WIDTH for label in labels)


def test_the_largest_cities_are_named_also_on_a_phone() -> None:
    cities = [City("Small", 21.0, 105.8, 1), City("Large", 3.1, 101.7, 9)]
    (large, *_) = city_map(cities).labels
    assert (large.text, large.minor) == ("Large", False)


def test_cities_outside_of_the_picture_are_counted() -> None:
    assert city_map([City("Lima", -12.0, -77.0, 3), City("Hanoi", 21.0, 105.8, 3)]).outside == 1


def test_the_area_of_a_dot_is_the_number_of_open_needs_and_none_is_a_ring() -> None:
    nine, four, none = city_map([City("A", 20, 100, 9), City("B", 10, 100, 4), City("C", 0, 100, 0)]).dots
    assert nine.radius**2 / four.radius**2 == pytest.approx(9 / 4)
    assert (nine.empty, none.empty) == (False, True)
